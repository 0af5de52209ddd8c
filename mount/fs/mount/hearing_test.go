package mount

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/rig"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "repeat" {
		_ = Repeat(os.Stdin, os.Stdout)
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "only watch" {
		onlyWatch()
		return
	}
	os.Exit(m.Run())
}

// ears are what the kernel tells of some folders.
type ears struct {
	t     *testing.T
	fd    int
	names map[int32]string
	mu    sync.Mutex
	heard []string
}

var said = map[uint32]string{
	unix.IN_CREATE: "new", unix.IN_MODIFY: "changed", unix.IN_DELETE: "gone", unix.IN_MOVED_FROM: "from", unix.IN_MOVED_TO: "to", unix.IN_CLOSE_WRITE: "written",
	unix.IN_CREATE | unix.IN_ISDIR: "new folder", unix.IN_DELETE | unix.IN_ISDIR: "gone folder",
}

// listen returns once the mount hears of changes in these folders.
func (m *mounted) listen(folders ...string) *ears {
	m.T.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	rig.Must(m.T, err)
	e := &ears{t: m.T, fd: fd, names: map[int32]string{}}
	file := os.NewFile(uintptr(fd), "inotify")
	m.T.Cleanup(func() { _ = file.Close() })
	for _, each := range folders {
		_, err := os.ReadDir(m.here(each))
		rig.Must(m.T, err)
		wd, err := unix.InotifyAddWatch(fd, m.here(each), unix.IN_ALL_EVENTS&^(unix.IN_ACCESS|unix.IN_OPEN|unix.IN_CLOSE_NOWRITE))
		rig.Must(m.T, err)
		e.names[int32(wd)] = each
	}
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				return
			}
			for at := 0; at < n; {
				length := int(binary.LittleEndian.Uint32(buffer[at+12:]))
				name := string(bytes.TrimRight(buffer[at+16:at+16+length], "\x00"))
				if what := said[binary.LittleEndian.Uint32(buffer[at+4:])]; what != "" {
					e.mu.Lock()
					e.heard = append(e.heard, what+" "+strings.TrimPrefix(e.names[int32(binary.LittleEndian.Uint32(buffer[at:]))]+"/"+name, "/"))
					e.mu.Unlock()
				}
				at += 16 + length
			}
		}
	}()
	rig.Eventually(m.T, "folders are heard", func() bool {
		h := &m.share.hearing
		h.mu.Lock()
		defer h.mu.Unlock()
		count := 0
		for n, each := range h.folders {
			if slices.Contains(folders, n.Path(nil)) && each.knows.Load() {
				count++
			}
		}
		return count == len(folders)
	})
	return e
}

// hears waits for these events, and that there are no others.
func (e *ears) hears(what ...string) {
	e.t.Helper()
	is := func() []string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return slices.Clone(e.heard)
	}
	for until := time.Now().Add(rig.AtMost); len(is()) < len(what) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(3 * heardTogether)
	if got := is(); !slices.Equal(got, what) {
		e.t.Errorf("heard %q, not %q", got, what)
	}
	e.mu.Lock()
	e.heard = nil
	e.mu.Unlock()
}

func TestChangesOfOtherClientsAreHeard(t *testing.T) {
	m := newMount(t, patient, oldest)
	m.put("old", 10)
	m.put("in/deep", 10)
	rig.Must(t, os.MkdirAll(m.Theirs("in/empty"), 0o755))
	e := m.listen("", "in")
	write(t, m.Theirs("new"), "text")
	e.hears("new new", "written new")
	if text, err := os.ReadFile(m.here("new")); string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	write(t, m.Theirs("old"), "another text")
	e.hears("changed old", "written old")
	rig.Must(t, os.Rename(m.Theirs("new"), m.Theirs("renamed")))
	e.hears("from new", "to renamed")
	rig.Must(t, os.Remove(m.Theirs("renamed")))
	e.hears("gone renamed")
	rig.Must(t, os.Mkdir(m.Theirs("folder"), 0o755))
	e.hears("new folder folder")
	rig.Must(t, os.Remove(m.Theirs("folder")))
	e.hears("gone folder folder")
	rig.Must(t, os.Remove(m.Theirs("in/deep")))
	rig.Must(t, os.Remove(m.Theirs("in/empty")))
	e.hears("gone in/deep", "gone folder in/empty")
	// A file that is replaced, as editors save.
	write(t, m.Theirs("tmp"), "saved")
	rig.Must(t, os.Rename(m.Theirs("tmp"), m.Theirs("old")))
	e.hears("new old", "written old")
	m.has(map[string]string{"old": "saved"})
}

func TestChangesFromHereAreToldOnce(t *testing.T) {
	m := newMount(t, patient)
	e := m.listen("")
	f := openFile(t, m.here("own"), os.O_CREATE|os.O_WRONLY)
	add(t, f, "text")
	rig.Must(t, f.Close())
	e.hears("new own", "changed own", "written own")
	rig.Must(t, os.Rename(m.here("own"), m.here("second")))
	e.hears("from own", "to second")
	time.Sleep(ownFor + heardAgain)
	e.hears()
	write(t, m.Theirs("second"), "of another")
	e.hears("changed second", "written second")
	rig.Must(t, os.Remove(m.here("second")))
	e.hears("gone second")
}

// Else each file of a build would cost requests, and be told twice.
func TestManyChangesFromHereAreToldOnce(t *testing.T) {
	m := newMount(t, patient)
	e := m.listen("")
	var want []string
	for i := range 300 {
		name := fmt.Sprint(i)
		write(t, m.here(name), "text")
		want = append(want, "new "+name, "changed "+name, "written "+name)
	}
	// As if the server could not say which.
	m.share.root.heard.Load().notice(nil)
	e.hears(want...)
	time.Sleep(ownFor + heardAgain)
	e.hears()
	write(t, m.Theirs("7"), "of another")
	e.hears("changed 7", "written 7")
}

func TestWhatChangedDuringAnOutageIsToldAfterIt(t *testing.T) {
	m := newMount(t, patient)
	m.put("gone", 10)
	m.put("stays", 10)
	e := m.listen("")
	m.Cable.Set(true)
	m.put("new", 10)
	rig.Must(t, os.Remove(m.Theirs("gone")))
	m.Cable.Set(false)
	e.hears("new new", "written new", "gone gone")
}

func TestFoldersBeyondThoseThatAreHeardAreNamed(t *testing.T) {
	heardAtMost = 1
	t.Cleanup(func() { heardAtMost = 256 })
	m := newMount(t, patient)
	m.put("one/file", 10)
	m.put("two/file", 10)
	m.listen("one")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	rig.Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, m.here("two"), unix.IN_CREATE)
	rig.Must(t, err)
	rig.Eventually(t, "one is not heard", func() bool {
		unheard := m.share.Unheard()
		return unheard != nil && len(unheard.Folders) == 1 && unheard.Missing == ""
	})
	m.share.Watch = []string{"one", "two/"}
	_, err = unix.InotifyAddWatch(fd, m.here("one/file"), unix.IN_MODIFY)
	rig.Must(t, err)
	_, err = unix.InotifyAddWatch(fd, m.here(""), unix.IN_MODIFY)
	rig.Must(t, err)
	rig.Eventually(t, "only the root is not named", func() bool {
		unheard := m.share.Unheard()
		return unheard == nil || slices.Equal(unheard.Folders, []string{""})
	})
}

// Else a watcher that is told of a change could have it made.
func TestACallOfTheRepeaterIsNeverReal(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 10)
	e := m.listen("")
	m.put("other", 10)
	e.hears("new other", "written other")
	r := &m.share.repeats
	r.turn.Lock()
	defer r.turn.Unlock()
	for _, each := range []told{
		{Do: newFile, Name: "made"}, {Do: newFolder, Name: "made"}, {Do: changedFile, Name: "file"}, {Do: movedTo, Name: "file", To: "made"}, {Do: goneFile, Name: "file"},
	} {
		if err := r.ask(each); err == nil {
			t.Errorf("%+v was not refused", each)
		}
	}
	// Announced, and too late.
	r.announce(m.share.root, told{Do: goneFile, Name: "file"}, found{})
	r.expected[0].until = time.Now()
	if r.ask(told{Do: goneFile, Name: "file"}) == nil {
		t.Error("a late call was not refused")
	}
	// A bare folder, as below the mount, is another device.
	if err := (told{Do: newFile, Name: "made"}).repeat(place{m.Folder, r.device}); err == nil {
		t.Error("made outside of the mount")
	}
	for _, name := range []string{"file", "other"} {
		if _, err := os.Stat(m.Theirs(name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(m.Theirs("made")); err == nil {
		t.Error("made on the server")
	}
}

func TestANamedFolderIsHeardWhoeverWatches(t *testing.T) {
	m := newMount(t, patient)
	m.put("Photos/2024/one", 10)
	go m.share.hearing.hearTree("Photos")
	m.share.watchers.isOn.Store(false)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	rig.Must(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, m.here("Photos/2024"), unix.IN_CREATE|unix.IN_DELETE)
	rig.Must(t, err)
	time.Sleep(time.Second)
	other := mountOf(t, m.Rig, patient)
	write(t, other.here("Photos/2024/two"), "text")
	rig.Must(t, os.Remove(other.here("Photos/2024/one")))
	var got []byte
	rig.Eventually(t, "heard", func() bool {
		buffer := make([]byte, 4096)
		if n, err := unix.Read(fd, buffer); err == nil {
			got = append(got, buffer[:n]...)
		}
		return bytes.Contains(got, []byte("two")) && bytes.Contains(got, []byte("one"))
	})
}

// onlyWatch watches the folder that it reads, and says what it hears.
func onlyWatch() {
	var folder string
	_, _ = fmt.Scanln(&folder)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, folder, unix.IN_CREATE|unix.IN_MODIFY|unix.IN_DELETE)
	}
	fmt.Println("watches", err)
	for buffer := make([]byte, 4096); err == nil; {
		var n int
		if n, err = unix.Read(fd, buffer); n > 16 {
			fmt.Println(said[binary.LittleEndian.Uint32(buffer[4:])], string(bytes.TrimRight(buffer[16:min(n, 16+int(buffer[12]))], "\x00")))
		}
	}
}

// A18: a program that only watches asks nothing of the mount. It is found when another client changes something in a folder that is kept in
// memory, or when all processes are looked at.
func TestAProgramThatOnlyWatchesIsHeard(t *testing.T) {
	for _, isInMemory := range []bool{true, false} {
		m := newMount(t, patient)
		m.put("d/old", 10)
		isKept := func() bool {
			_, err := os.ReadDir(m.here("d"))
			rig.Must(t, err)
			m.share.folders.mu.Lock()
			defer m.share.folders.mu.Unlock()
			return len(m.share.folders.watches) > 0
		}
		if isInMemory {
			rig.Eventually(t, "the folder is kept in memory", isKept)
		}
		child := exec.Command(os.Args[0], "only watch")
		in, err := child.StdinPipe()
		rig.Must(t, err)
		out, err := child.StdoutPipe()
		rig.Must(t, err)
		rig.Must(t, child.Start())
		t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
		lines := bufio.NewScanner(out)
		_, err = os.Stat(m.here("d"))
		rig.Must(t, err)
		_, err = fmt.Fprintln(in, m.here("d"))
		rig.Must(t, err)
		if lines.Scan(); lines.Text() != "watches <nil>" {
			t.Fatal(lines.Text())
		}
		if !isInMemory {
			m.share.watchers.sweep()
			rig.Eventually(t, "the folder is heard", func() bool {
				m.share.hearing.mu.Lock()
				defer m.share.hearing.mu.Unlock()
				for _, each := range m.share.hearing.folders {
					return each.knows.Load()
				}
				return false
			})
		}
		write(t, m.Theirs("d/new"), "")
		late := time.AfterFunc(rig.AtMost, func() { _ = child.Process.Kill() })
		if lines.Scan(); lines.Text() != "new new" {
			t.Errorf("kept in memory: %v: heard %q", isInMemory, lines.Text())
		}
		late.Stop()
	}
}
