package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	mib     = 1 << 20
	patient = time.Minute
)

func (r *rig) put(name string, size int) []byte {
	r.t.Helper()
	data := make([]byte, size)
	_, _ = rand.New(rand.NewSource(int64(size))).Read(data)
	file := filepath.Join(r.export, name)
	must(r.t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(r.t, os.WriteFile(file, data, 0o644))
	return data
}

func (r *rig) open(name string) *os.File {
	r.t.Helper()
	f, err := os.Open(filepath.Join(r.mounted, name))
	must(r.t, err)
	r.t.Cleanup(func() { _ = f.Close() })
	return f
}

func isAt(f *os.File, data []byte, off int64) error {
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, off); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("other bytes")
	}
	return nil
}

func TestFilesAndFoldersAreTheServers(t *testing.T) {
	r := newRig(t, patient)
	whole := r.put("folder/large", 40*mib+77)
	r.put("folder/small", 5)
	r.put("folder/empty", 0)
	entries, err := os.ReadDir(filepath.Join(r.mounted, "folder"))
	must(t, err)
	if len(entries) != 3 {
		t.Fatalf("listed: %v", entries)
	}
	for _, name := range []string{"folder", "folder/large", "folder/small", "folder/empty"} {
		ours, err := os.Stat(filepath.Join(r.mounted, name))
		must(t, err)
		theirs, err := os.Stat(filepath.Join(r.export, name))
		must(t, err)
		ino, id := ours.Sys().(*syscall.Stat_t).Ino, theirs.Sys().(*syscall.Stat_t).Ino
		isSame := ours.IsDir() || ours.Size() == theirs.Size()
		if ino != id || !isSame || !ours.ModTime().Truncate(time.Microsecond).Equal(theirs.ModTime().Truncate(time.Microsecond)) {
			t.Errorf("%s: %d %d %v, on the server %d %d %v", name, ino, ours.Size(), ours.ModTime(), id, theirs.Size(), theirs.ModTime())
		}
	}
	if got, err := os.ReadFile(filepath.Join(r.mounted, "folder/large")); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("read: %d bytes, %v", len(got), err)
	}
	f := r.open("folder/large")
	for range 200 {
		off := rand.Intn(len(whole))
		must(t, isAt(f, whole[off:min(off+rand.Intn(300_000), len(whole))], int64(off)))
	}
	var space syscall.Statfs_t
	must(t, syscall.Statfs(r.mounted, &space))
	if space.Blocks == 0 || space.Bavail > space.Blocks {
		t.Errorf("statfs: %+v", space)
	}
	if _, err := os.Stat(filepath.Join(r.mounted, "folder/none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

func TestOpenFilesAreReadOnWhileConnectionsAreLost(t *testing.T) {
	r := newRig(t, patient)
	wholes := map[string][]byte{"one": r.put("one", 30*mib), "two": r.put("two", 25*mib)}
	ended := make(chan struct{})
	var cutting, reading sync.WaitGroup
	cuts := 0
	cutting.Go(func() {
		for ; ; cuts++ {
			_, err := r.share.files.connected(t.Context())
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
			must(t, err)
			r.cable.set(false)
		}
	})
	for name, whole := range wholes {
		f := r.open(name)
		reading.Go(func() {
			for round := 0; round < 3; round++ {
				got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(len(whole))))
				if err != nil || !bytes.Equal(got, whole) {
					t.Errorf("%s, round %d: %d bytes, %v", name, round, len(got), err)
				}
				// Else the kernel has it all.
				must(t, dropPages(f))
			}
		})
	}
	reading.Wait()
	close(ended)
	cutting.Wait()
	if cuts < 3 {
		t.Errorf("only %d cuts", cuts)
	}
	t.Logf("%d cuts", cuts)
}

func dropPages(f *os.File) error {
	const dontNeed = 4
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func TestAnOpenFileIsReadOnAfterARestartOfTheServer(t *testing.T) {
	r := newRig(t, patient)
	whole := r.put("file", 8*mib)
	f := r.open("file")
	must(t, isAt(f, whole[:100], 0))
	r.killServer()
	r.startServer()
	must(t, isAt(f, whole[4*mib:5*mib], 4*mib))
}

func TestAHandleNeverReadsAnotherFile(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"replaced": func(file string) error {
			if err := os.WriteFile(file+".new", make([]byte, 8*mib), 0o644); err != nil {
				return err
			}
			return os.Rename(file+".new", file)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, patient)
			whole := r.put("file", 8*mib)
			f := r.open("file")
			must(t, isAt(f, whole[:100], 0))
			r.cable.set(true)
			must(t, change(filepath.Join(r.export, "file")))
			r.cable.set(false)
			for range 2 {
				if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.ESTALE) {
					t.Errorf("read: %v", err)
				}
			}
			if name == "replaced" {
				must(t, isAt(r.open("file"), make([]byte, mib), 4*mib))
			}
		})
	}
}

func TestTheLostSessionEndsWithTheNextSignIn(t *testing.T) {
	r := newRig(t, patient)
	whole := r.put("file", 8*mib)
	f := r.open("file")
	// A cut while it signs in would leave a session that nothing names.
	_, err := r.share.names.connected(t.Context())
	must(t, err)
	for range 3 {
		r.cable.set(true)
		tries := r.cable.tries()
		must(t, dropPages(f))
		read := make(chan error, 1)
		go func() { read <- isAt(f, whole[4*mib:5*mib], 4*mib) }()
		eventually(t, "a try without an answer", func() bool { return r.cable.tries() > tries })
		r.cable.set(false)
		must(t, <-read)
	}
	// The server's ends of all connections are still open.
	eventually(t, "two sessions, one for names", func() bool { return r.sessions() <= 2 })
}

func TestADeadlySignalEndsAWaitAtOnce(t *testing.T) {
	r := newRig(t, patient)
	r.put("file", 8*mib)
	f := r.open("file")
	r.cable.set(true)
	for name, program := range map[string]*exec.Cmd{
		"an open": exec.Command("cat", filepath.Join(r.mounted, "file")),
		"a read":  exec.Command("cat"),
	} {
		program.Stdin = f
		must(t, program.Start())
		eventually(t, name+" waits", func() bool {
			call, err := os.ReadFile("/proc/" + strconv.Itoa(program.Process.Pid) + "/wchan")
			return err == nil && (bytes.Contains(call, []byte("fuse")) || bytes.Contains(call, []byte("request_wait")) || bytes.Contains(call, []byte("folio")))
		})
		killed := time.Now()
		must(t, program.Process.Kill())
		_ = program.Wait()
		if took := time.Since(killed); took > 500*time.Millisecond {
			t.Errorf("%s: %v", name, took)
		}
	}
	r.cable.set(false)
}

func TestPatienceEndsInAnErrorThatPasses(t *testing.T) {
	r := newRig(t, 200*time.Millisecond)
	whole := r.put("file", 8*mib)
	f := r.open("file")
	r.cable.set(true)
	if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.EIO) {
		t.Errorf("read without a route: %v", err)
	}
	r.cable.set(false)
	eventually(t, "read on", func() bool { return isAt(f, whole[4*mib:5*mib], 4*mib) == nil })
}

func TestARefusedUserIsNotTriedAgain(t *testing.T) {
	r := newRig(t, patient)
	whole := r.put("file", 8*mib)
	f := r.open("file")
	r.setPassword("another one")
	before := r.cable.tries()
	r.cable.set(false)
	for range 20 {
		if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.EACCES) {
			t.Errorf("read: %v", err)
		}
	}
	if tries := r.cable.tries() - before; tries != 1 {
		t.Errorf("%d tries", tries)
	}
}

func TestChangesOfOthersAreSeen(t *testing.T) {
	r := newRig(t, patient)
	whole := r.put("file", 8*mib)
	f := r.open("file")
	// Reads ahead, also what is changed next.
	must(t, isAt(f, whole[:2*mib], 0))
	theirs, err := os.OpenFile(filepath.Join(r.export, "file"), os.O_WRONLY, 0)
	must(t, err)
	defer theirs.Close()
	changed := bytes.Repeat([]byte("changed "), 1000)
	_, err = theirs.WriteAt(changed, 3*mib)
	must(t, err)
	_, err = theirs.WriteAt(changed, 8*mib)
	must(t, err)
	at := time.Now()
	eventually(t, "appended bytes", func() bool { return isAt(f, changed, 8*mib) == nil })
	must(t, isAt(f, changed, 3*mib))
	if took := time.Since(at); took > 2*time.Second {
		t.Errorf("seen after %v", took)
	}
}

// waiting says when it is first waited with.
type waiting struct {
	context.Context
	begun chan struct{}
}

func (w waiting) Done() <-chan struct{} {
	close(w.begun)
	return w.Context.Done()
}

func TestOnlyRenamesThatBeganBeforeAreWaitedFor(t *testing.T) {
	var m moves
	before := m.count()
	if m.since(t.Context(), before) {
		t.Error("there was none")
	}
	first := m.begin()
	w := waiting{t.Context(), make(chan struct{})}
	was := make(chan bool, 1)
	go func() { was <- m.since(w, before) }()
	<-w.begun
	defer m.begin()()
	select {
	case <-was:
		t.Error("it does not wait")
	default:
	}
	first()
	select {
	case is := <-was:
		if !is {
			t.Error("there was one")
		}
	case <-time.After(atMost):
		t.Error("it waits for a later one")
	}
}

func TestOnlyAProcessThatIsKnownIsKilled(t *testing.T) {
	ended := exec.Command("true")
	must(t, ended.Run())
	for pid, want := range map[int]bool{0: false, os.Getpid(): false, ended.Process.Pid: true} {
		ctx := &fuse.Context{Caller: fuse.Caller{Pid: uint32(pid)}}
		if isKilled(ctx) != want {
			t.Errorf("%d: %v", pid, !want)
		}
	}
}

func TestAListingIsWholeOrEndsWithItsProgram(t *testing.T) {
	r := newRig(t, patient)
	for i := range 2001 {
		write(t, r.theirs(strconv.Itoa(i)), "")
	}
	entries, err := os.ReadDir(r.mounted)
	must(t, err)
	if len(entries) != 2001 {
		t.Errorf("%d entries", len(entries))
	}
	c, err := r.share.files.connected(t.Context())
	must(t, err)
	folder, err := c.share.Open("")
	must(t, err)
	defer folder.Close()
	life, end := context.WithCancel(t.Context())
	end()
	if all, err := entriesOf(life, folder); !errors.Is(err, context.Canceled) || len(all) > 1000 {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

// impacket's server says NO_SUCH_FILE where Samba and Windows say OBJECT_NAME_NOT_FOUND.
func TestANameThatIsNotThereIsAbsentOnEachServer(t *testing.T) {
	for _, err := range []error{os.ErrNotExist, &smb2.ResponseError{Code: noSuchFile}} {
		if !isAbsent(err) || errnoOf(err) != syscall.ENOENT {
			t.Errorf("%v is %v", err, errnoOf(err))
		}
	}
}
