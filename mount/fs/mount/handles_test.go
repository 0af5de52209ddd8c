package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

// steady has files by which the server is known, whatever becomes of the others.
func (m *mounted) steady() *mounted {
	for _, name := range []string{"steady1", "steady2"} {
		write(m.T, m.Theirs(name), "here for long")
		_, err := os.ReadFile(m.here(name))
		rig.Must(m.T, err)
	}
	return m
}

// closeCopy closes a copy of a descriptor, as a child of a program does when it ends.
func closeCopy(t *testing.T, f *os.File) {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	rig.Must(t, err)
	rig.Must(t, unix.Close(fd))
}

// A19: an open file lives at the server until its last close here, whatever its name becomes there and whichever program closes a copy of it.
func TestAnOpenFileIsAHandle(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.Theirs("log"), "")
	log := openFile(t, m.here("log"), os.O_WRONLY|os.O_APPEND)
	add(t, log, "one\n")
	closeCopy(t, log)
	if err := m.connected(client.Files).Share.IsUnused("log"); smb.StatusOf(err) != sharingViolation {
		t.Errorf("a colleague who wants it alone: %v", err)
	}
	rig.Must(t, os.Rename(m.Theirs("log"), m.Theirs("log.1")))
	// What the kernel knows of it has to be asked again.
	time.Sleep(attributesFor + 100*time.Millisecond)
	add(t, log, "two\n")
	if seen, err := log.Stat(); err != nil || seen.Size() != 8 {
		t.Errorf("stat: %v, %v", seen, err)
	}
	at := time.Unix(1_000_000_000, 123_456_000)
	rig.Must(t, unix.Futimes(int(log.Fd()), []unix.Timeval{unix.NsecToTimeval(at.UnixNano()), unix.NsecToTimeval(at.UnixNano())}))
	rig.Must(t, log.Sync())
	rig.Must(t, log.Close())
	locked := openFile(t, m.here("locked"), os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	rig.Must(t, unix.Flock(int(locked.Fd()), unix.LOCK_EX))
	add(t, locked, "one\n")
	rig.Must(t, os.Rename(m.Theirs("locked"), m.Theirs("locked.1")))
	add(t, locked, "two\n")
	rig.Must(t, locked.Close())
	rig.Eventually(t, "closed", func() bool { return m.connected(client.Files).Share.IsUnused("log.1") == nil })
	if seen, err := os.Stat(m.Theirs("log.1")); err != nil || !seen.ModTime().Equal(at) {
		t.Errorf("its time: %v, %v", seen.ModTime(), err)
	}
	m.has(map[string]string{"log.1": "one\ntwo\n", "locked.1": "one\ntwo\n"})
}

// A19: the time that a program sees after it has closed a file stays, also that of writes after a child has closed its copy.
func TestAFileKeepsTheTimeOfItsLastWrite(t *testing.T) {
	m := newMount(t, patient)
	f := openFile(t, m.here("f"), os.O_RDWR|os.O_CREATE)
	add(t, f, "1")
	closeCopy(t, f)
	time.Sleep(3 * timesSlack / 2)
	before := time.Now()
	add(t, f, "2")
	if seen, err := os.Stat(m.Theirs("f")); err != nil || seen.ModTime().Before(before.Add(-timesSlack/2)) {
		t.Errorf("the server's time stands still: %v, %v", before.Sub(seen.ModTime()), err)
	}
	closeCopy(t, f)
	seen, err := f.Stat()
	rig.Must(t, err)
	rig.Must(t, f.Close())
	rig.Eventually(t, "closed", func() bool { return m.connected(client.Files).Share.IsUnused("f") == nil })
	for _, name := range []string{m.here("f"), m.Theirs("f")} {
		if now, err := os.Stat(name); err != nil || !now.ModTime().Equal(seen.ModTime()) {
			t.Errorf("%s: %v became %v, %v", name, seen.ModTime(), now.ModTime(), err)
		}
	}
}

// A19: a file with several names lives while one leads to it.
func TestAFileLivesByAnyOfItsNames(t *testing.T) {
	for _, open := range []string{"a/x", "b/x"} {
		m := newMount(t, patient).steady()
		m.put("a/x", 2*mib)
		rig.Must(t, os.Mkdir(m.Theirs("b"), 0o755))
		rig.Must(t, os.Link(m.Theirs("a/x"), m.Theirs("b/x")))
		rig.Must(t, os.Link(m.here("a/x"), m.here("b/third")))
		rig.Must(t, os.Remove(m.here("b/third")))
		f := openFile(t, m.here(open), os.O_RDWR)
		for _, other := range []string{"a/x", "b/x"} {
			seen, err := os.Stat(m.here(other))
			rig.Must(t, err)
			if links := seen.Sys().(*syscall.Stat_t).Nlink; links != 2 {
				t.Errorf("%s has %d names", other, links)
			}
		}
		rig.Must(t, os.Remove(m.Theirs("a/x")))
		m.Cable.Set(false)
		_, err := f.WriteAt([]byte("by another name"), mib)
		rig.Must(t, err)
		rig.Must(t, isAt(f, []byte("by another name"), mib))
		time.Sleep(attributesFor + 100*time.Millisecond)
		if _, err := f.Stat(); err != nil {
			t.Errorf("stat: %v", err)
		}
		rig.Must(t, os.Remove(m.Theirs("b/x")))
		m.Cable.Set(false)
		if _, err := f.WriteAt([]byte("by none"), 0); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("without a name: %v", err)
		}
	}
}

// A14: a file of which another client set the times back is the same; one to which the server gave the number of a removed one is not.
func TestAnOpenFileIsNotALaterOneOfItsNumber(t *testing.T) {
	m := newMount(t, patient).steady()
	reused := 0
	for i := range 10 {
		write(t, m.Theirs(fmt.Sprint(i)), "old")
	}
	for i := range 10 {
		here, theirs := m.here(fmt.Sprint(i)), m.Theirs(fmt.Sprint(i))
		f := openFile(t, here, os.O_RDWR)
		add(t, f, "o")
		back := time.Unix(1_000_000_000, 0)
		rig.Must(t, os.Chtimes(theirs, back, back))
		m.Cable.Set(false)
		add(t, f, "ld")
		m.Cable.Set(false)
		time.Sleep(2 * wroteSlack)
		if m.replaceThere(fmt.Sprint(i)) {
			reused++
		}
		if _, err := f.WriteAt([]byte("old"), 0); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("%d: %v", i, err)
		}
		if text, err := os.ReadFile(theirs); err == nil && string(text) != "new" {
			t.Fatalf("%d: the new file has %q", i, text)
		}
	}
	t.Logf("the number was given again %d times", reused)
}

// replaceThere replaces a file by another one, which has the text new. isReused: the server gave it the number of the first one.
func (m *mounted) replaceThere(name string) (isReused bool) {
	m.T.Helper()
	was, err := os.Stat(m.Theirs(name))
	rig.Must(m.T, err)
	for until := time.Now().Add(time.Second); time.Now().Before(until) && !isReused; {
		rig.Must(m.T, os.Remove(m.Theirs(name)))
		write(m.T, m.Theirs(name), "new")
		now, err := os.Stat(m.Theirs(name))
		isReused = err == nil && os.SameFile(was, now)
	}
	return isReused
}

// A14: a write is not sent again into a later file of the number, which the server gave before the program knew that the connection is lost.
func TestAWriteInFlightIsNotForALaterFileOfItsNumber(t *testing.T) {
	for name, change := range map[string]func(f *os.File) error{
		"write":  func(f *os.File) error { _, err := f.WriteAt([]byte("old"), 0); return err },
		"resize": func(f *os.File) error { return f.Truncate(1) },
	} {
		m := newMount(t, patient).steady()
		write(t, m.Theirs(name), "old file")
		f, answered := openFile(t, m.here(name), os.O_RDWR), make(chan error, 1)
		m.Cable.Hold(true)
		go func() { answered <- change(f) }()
		time.Sleep(2 * wroteSlack)
		m.Cable.CloseFar()
		time.Sleep(2 * wroteSlack)
		isReused := m.replaceThere(name)
		time.Sleep(2 * wroteSlack)
		m.Cable.Hold(false)
		err := <-answered
		if text, e := os.ReadFile(m.Theirs(name)); !errors.Is(err, syscall.ESTALE) || e != nil || string(text) != "new" {
			t.Errorf("%s: %v, and the new file has %q, %v (the number was given again: %v)", name, err, text, e, isReused)
		}
	}
}

// readThere reads a file as a program on the server does. If it has no creation time, Samba then sends the time of the last change as that.
func (m *mounted) readThere(name string) {
	m.T.Helper()
	time.Sleep(20 * time.Millisecond)
	_, err := os.ReadFile(m.Theirs(name))
	rig.Must(m.T, err)
}

// A19: a file that this mount has changed is still the same after a lost connection, whatever its creation time looks like.
func TestAnOpenFileThatWasChangedIsTheSameAfterALoss(t *testing.T) {
	m := newMount(t, patient)
	for _, name := range []string{"source", "resized", "allocated", "emptied", "opened", "copied"} {
		m.put(name, 3000)
	}
	source := m.steady().open("source")
	for name, change := range map[string]func(f *os.File) error{
		"resized":   func(f *os.File) error { return f.Truncate(5) },
		"allocated": func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 5000) },
		"emptied":   func(*os.File) error { return os.Truncate(m.here("emptied"), 0) },
		"opened":    func(*os.File) error { openFile(t, m.here("opened"), os.O_WRONLY|os.O_TRUNC); return nil },
		"copied": func(f *os.File) error {
			_, err := unix.CopyFileRange(int(source.Fd()), nil, int(f.Fd()), nil, 10, 0)
			return err
		},
	} {
		f := openFile(t, m.here(name), os.O_RDWR)
		time.Sleep(20 * time.Millisecond)
		rig.Must(t, change(f))
		m.readThere(name)
		m.Cable.Set(false)
		if _, err := f.WriteAt([]byte("go on"), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(m.here(name)); err != nil || string(text[:min(5, len(text))]) != "go on" {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}

// A19: a file that got the number and the name of an earlier one can be opened, also while that is open here.
func TestALaterFileOfItsNumberAndNameIsOpened(t *testing.T) {
	m := newMount(t, patient).steady()
	m.put("file", 100)
	openFile(t, m.here("file"), os.O_RDWR)
	for i := range 3 {
		m.Cable.Set(true)
		time.Sleep(20 * time.Millisecond)
		// In place, so that the server gives the number again for sure.
		want := m.put("file", 10+i)
		m.readThere("file")
		m.Cable.Set(false)
		if got, err := os.ReadFile(m.here("file")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: %d bytes, %v", i, len(got), err)
		}
		rig.Must(t, isAt(m.open("file"), want, 0))
	}
}

// A19: of a server that takes few open files, those are closed that no program uses or has locked.
func TestAServerThatTakesFewOpenFiles(t *testing.T) {
	m := newMount(t, patient, rig.Global("max open files = 200"))
	var files []*os.File
	for i := range 250 {
		f := openFile(t, m.here(fmt.Sprint(i)), os.O_RDWR|os.O_CREATE)
		add(t, f, "1")
		files = append(files, f)
	}
	rig.Must(t, unix.Flock(int(files[0].Fd()), unix.LOCK_EX))
	for _, f := range files {
		add(t, f, "2")
	}
	for i, f := range files {
		if text, err := os.ReadFile(m.here(fmt.Sprint(i))); string(text) != "12" {
			t.Fatalf("%d: %q, %v", i, text, err)
		}
		rig.Must(t, isAt(f, []byte("12"), 0))
	}
	if _, err := os.ReadDir(m.folder); err != nil {
		t.Error(err)
	}
	if lost := m.share.LostLocks(); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	var err error
	for i := 1; i < 250 && err == nil; i++ {
		err = unix.Flock(int(files[i].Fd()), unix.LOCK_EX)
	}
	if !errors.Is(err, syscall.ENFILE) {
		t.Errorf("with a lock on each: %v", err)
	}
}

// A19: the ten-thousandth file of a folder costs what the first does: names that are not known do not have the folder listed again and again.
func TestEachFileOfAFolderCostsTheSame(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.MkdirAll(m.Theirs("large"), 0o755))
	for i := range 2_000 {
		write(t, m.Theirs(fmt.Sprintf("large/%04d", i)), "")
	}
	rig.Must(t, os.Mkdir(m.Theirs("small"), 0o755))
	cost := func(folder string) int64 {
		before := m.client.Status().Bytes.FromServer
		for i := range 100 {
			// As rsync does it.
			name, part := m.here(fmt.Sprintf("%s/new%d", folder, i)), m.here(fmt.Sprintf("%s/.new%d.a1B2c3", folder, i))
			write(t, part, "text")
			rig.Must(t, os.Chtimes(part, time.Unix(1e9, 0), time.Unix(1e9, 0)))
			rig.Must(t, os.Rename(part, name))
			rig.Must(t, os.Remove(m.here(fmt.Sprintf("%s/new%d", folder, i))))
		}
		return m.client.Status().Bytes.FromServer - before
	}
	small, large := cost("small"), cost("large")
	if large > 2*small+2_000*200 {
		t.Errorf("100 files in a small folder: %d bytes of answers, in a large one %d", small, large)
	}
}

func TestAFolderIsListedOnlyIfThatCostsNoMoreThanTheQuestions(t *testing.T) {
	f := names{size: 10 * missesBefore * listedPerRequest}
	for i := 1; i <= 30*missesBefore; i++ {
		if is := f.countMiss(); is != (i%(10*missesBefore) == 0) {
			t.Fatalf("question %d: %v", i, is)
		}
	}
	f.size = 0
	f.setTooLarge()
	for range 2 * missesBefore {
		if f.countMiss() {
			t.Fatal("a folder that is too large is listed again")
		}
	}
}

// A18: bytes that were read ahead before a file grew do not hide the new ones.
func TestAChunkThatIsTooShortIsReadAgain(t *testing.T) {
	m := newMount(t, patient)
	data := m.put("f", 70_000)
	f := m.open("f")
	rig.Must(t, isAt(f, data[:1], 0))
	m.share.handles.Range(func(each, _ any) bool {
		short := &chunk{done: make(chan struct{}), readAt: time.Now()}
		short.users.Store(1)
		close(short.done)
		h := each.(*handle)
		h.ahead.mu.Lock()
		defer h.ahead.mu.Unlock()
		h.ahead.chunks, h.ahead.next = map[int64]*chunk{0: short}, 1
		return true
	})
	rig.Must(t, dropPages(f))
	rig.Must(t, isAt(f, data, 0))
}

func TestAMountIsOfTheUserWhoMadeIt(t *testing.T) {
	table := "30 1 0:57 / /home/a/NAS rw,nosuid - fuse.mountaineer-fs //nas/a\\040b rw,user_id=1000,group_id=100,default_permissions\n" +
		"31 1 0:58 / /home/a/other rw - fuse.sshfs nas: rw,user_id=1000,group_id=100\n"
	for device, want := range map[string]int{"0:57": 1000, "0:58": -1, "0:5": -1} {
		user, isOurs := mountedBy(table, device)
		if !isOurs {
			user = -1
		}
		if user != want {
			t.Errorf("%s: %d", device, user)
		}
	}
}

func TestTheKernelReadsAheadAsTheRouteIs(t *testing.T) {
	k := kernelReadAhead{path: t.TempDir() + "/read_ahead_kb", current: slowReadAhead}
	rig.Must(t, os.WriteFile(k.path, []byte("128"), 0o644))
	for i, isFast := range []bool{false, true, true, false} {
		k.setFor(isFast)
		if got, err := os.ReadFile(k.path); err != nil || string(got) != map[bool]string{false: "128", true: "1024"}[isFast] {
			t.Errorf("%d: %s, %v", i, got, err)
		}
	}
}
