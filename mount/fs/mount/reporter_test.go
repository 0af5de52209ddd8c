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

// kernelEvents are the inotify events of some folders.
type kernelEvents struct {
	t      *testing.T
	fd     int
	names  map[int32]string
	mu     sync.Mutex
	events []string
}

var said = map[uint32]string{
	unix.IN_CREATE: "new", unix.IN_MODIFY: "changed", unix.IN_DELETE: "gone", unix.IN_MOVED_FROM: "from", unix.IN_MOVED_TO: "to", unix.IN_CLOSE_WRITE: "written",
	unix.IN_CREATE | unix.IN_ISDIR: "new folder", unix.IN_DELETE | unix.IN_ISDIR: "gone folder",
}

// listen returns once the mount report of changes in these folders.
func (m *mounted) listen(folders ...string) *kernelEvents {
	m.T.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	rig.Must(m.T, err)
	e := &kernelEvents{t: m.T, fd: fd, names: map[int32]string{}}
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
					e.events = append(e.events, what+" "+strings.TrimPrefix(e.names[int32(binary.LittleEndian.Uint32(buffer[at:]))]+"/"+name, "/"))
					e.mu.Unlock()
				}
				at += 16 + length
			}
		}
	}()
	rig.Eventually(m.T, "folders are watched", func() bool {
		r := &m.share.reporter
		r.mu.Lock()
		defer r.mu.Unlock()
		count := 0
		for n, each := range r.folders {
			if slices.Contains(folders, n.Path(nil)) && each.hasBefore.Load() {
				count++
			}
		}
		return count == len(folders)
	})
	return e
}

// report waits for these events, and that there are no others.
func (e *kernelEvents) report(what ...string) {
	e.t.Helper()
	is := func() []string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return slices.Clone(e.events)
	}
	for until := time.Now().Add(rig.AtMost); len(is()) < len(what) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(3 * reportTogether)
	if got := is(); !slices.Equal(got, what) {
		e.t.Errorf("events %q, not %q", got, what)
	}
	e.mu.Lock()
	e.events = nil
	e.mu.Unlock()
}

func TestChangesOfOtherClientsAreReported(t *testing.T) {
	m := newMount(t, patient, oldest)
	m.put("old", 10)
	m.put("in/deep", 10)
	rig.Must(t, os.MkdirAll(m.Theirs("in/empty"), 0o755))
	e := m.listen("", "in")
	write(t, m.Theirs("new"), "text")
	e.report("new new", "written new")
	if text, err := os.ReadFile(m.here("new")); string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	write(t, m.Theirs("old"), "another text")
	e.report("changed old", "written old")
	rig.Must(t, os.Rename(m.Theirs("new"), m.Theirs("renamed")))
	e.report("from new", "to renamed")
	rig.Must(t, os.Remove(m.Theirs("renamed")))
	e.report("gone renamed")
	rig.Must(t, os.Mkdir(m.Theirs("folder"), 0o755))
	e.report("new folder folder")
	rig.Must(t, os.Remove(m.Theirs("folder")))
	e.report("gone folder folder")
	rig.Must(t, os.Remove(m.Theirs("in/deep")))
	rig.Must(t, os.Remove(m.Theirs("in/empty")))
	e.report("gone in/deep", "gone folder in/empty")
	// A file that is replaced, as editors save.
	write(t, m.Theirs("tmp"), "saved")
	rig.Must(t, os.Rename(m.Theirs("tmp"), m.Theirs("old")))
	e.report("new old", "written old")
	m.has(map[string]string{"old": "saved"})
}

func TestChangesFromHereAreReportedOnce(t *testing.T) {
	m := newMount(t, patient)
	e := m.listen("")
	f := openFile(t, m.here("own"), os.O_CREATE|os.O_WRONLY)
	add(t, f, "text")
	rig.Must(t, f.Close())
	e.report("new own", "changed own", "written own")
	rig.Must(t, os.Rename(m.here("own"), m.here("second")))
	e.report("from own", "to second")
	time.Sleep(localFor + reportAgainAfter)
	e.report()
	write(t, m.Theirs("second"), "of another")
	e.report("changed second", "written second")
	rig.Must(t, os.Remove(m.here("second")))
	e.report("gone second")
}

// Else each file of a build would cost requests, and be reported twice.
func TestManyChangesFromHereAreReportedOnce(t *testing.T) {
	m := newMount(t, patient)
	e := m.listen("")
	var want []string
	for i := range 300 {
		name := fmt.Sprint(i)
		write(t, m.here(name), "text")
		want = append(want, "new "+name, "changed "+name, "written "+name)
	}
	// As if the server could not say which.
	m.share.root.reported.Load().notice(nil)
	e.report(want...)
	time.Sleep(localFor + reportAgainAfter)
	e.report()
	write(t, m.Theirs("7"), "of another")
	e.report("changed 7", "written 7")
}

func TestChangesDuringAnOutageAreReportedAfterIt(t *testing.T) {
	m := newMount(t, patient)
	m.put("gone", 10)
	m.put("stays", 10)
	e := m.listen("")
	m.Cable.Set(true)
	m.put("new", 10)
	rig.Must(t, os.Remove(m.Theirs("gone")))
	m.Cable.Set(false)
	e.report("new new", "written new", "gone gone")
}

func TestFoldersBeyondThoseThatAreWatchedAreNamed(t *testing.T) {
	reportedAtMost = 1
	t.Cleanup(func() { reportedAtMost = 256 })
	m := newMount(t, patient)
	m.put("one/file", 10)
	m.put("two/file", 10)
	m.listen("one")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	rig.Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, m.here("two"), unix.IN_CREATE)
	rig.Must(t, err)
	rig.Eventually(t, "one is not watched", func() bool {
		unreported := m.share.Unreported()
		return unreported != nil && len(unreported.Folders) == 1 && unreported.Missing == ""
	})
	m.share.Watch = []string{"one", "two/"}
	_, err = unix.InotifyAddWatch(fd, m.here("one/file"), unix.IN_MODIFY)
	rig.Must(t, err)
	_, err = unix.InotifyAddWatch(fd, m.here(""), unix.IN_MODIFY)
	rig.Must(t, err)
	rig.Eventually(t, "only the root is not named", func() bool {
		unreported := m.share.Unreported()
		return unreported == nil || slices.Equal(unreported.Folders, []string{""})
	})
}

// Otherwise a watcher that gets a report could cause the change.
func TestACallOfTheRepeaterIsNeverReal(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 10)
	e := m.listen("")
	m.put("other", 10)
	e.report("new other", "written other")
	r := &m.share.repeats
	r.turn.Lock()
	defer r.turn.Unlock()
	for _, each := range []report{
		{Do: newFile, Name: "made"}, {Do: newFolder, Name: "made"}, {Do: changedFile, Name: "file"}, {Do: movedTo, Name: "file", To: "made"}, {Do: goneFile, Name: "file"},
	} {
		if err := r.ask(each); err == nil {
			t.Errorf("%+v was not refused", each)
		}
	}
	// Announced, and too late.
	r.expect(m.share.root, report{Do: goneFile, Name: "file"}, fileInfo{})
	r.expected[0].until = time.Now()
	if r.ask(report{Do: goneFile, Name: "file"}) == nil {
		t.Error("a late call was not refused")
	}
	// A bare folder, as below the mount, is another device.
	if err := (report{Do: newFile, Name: "made"}).repeat(repeaterMount{m.Folder, r.device}); err == nil {
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

func TestANamedFolderIsReportedWhateverWatches(t *testing.T) {
	m := newMount(t, patient)
	m.put("Photos/2024/one", 10)
	go m.share.reporter.watchTree("Photos")
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
	rig.Eventually(t, "watched", func() bool {
		buffer := make([]byte, 4096)
		if n, err := unix.Read(fd, buffer); err == nil {
			got = append(got, buffer[:n]...)
		}
		return bytes.Contains(got, []byte("two")) && bytes.Contains(got, []byte("one"))
	})
}

// onlyWatch watches the folder that it reads, and says what it report.
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
// memory, or when all processes are checked.
func TestAProgramThatOnlyWatchesGetsReports(t *testing.T) {
	for _, isInMemory := range []bool{true, false} {
		m := newMount(t, patient)
		m.put("d/old", 10)
		isKept := func() bool {
			_, err := os.ReadDir(m.here("d"))
			rig.Must(t, err)
			m.share.folders.mu.Lock()
			defer m.share.folders.mu.Unlock()
			return len(m.share.folders.subscriptions) > 0
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
			m.share.watchers.scan()
			rig.Eventually(t, "the folder is watched", func() bool {
				m.share.reporter.mu.Lock()
				defer m.share.reporter.mu.Unlock()
				for _, each := range m.share.reporter.folders {
					return each.hasBefore.Load()
				}
				return false
			})
		}
		write(t, m.Theirs("d/new"), "")
		late := time.AfterFunc(rig.AtMost, func() { _ = child.Process.Kill() })
		if lines.Scan(); lines.Text() != "new new" {
			t.Errorf("kept in memory: %v: events %q", isInMemory, lines.Text())
		}
		late.Stop()
	}
}
