package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

// anotherMachine is a second mount of the share, over its own cable.
func anotherMachine(m *mounted) *mounted {
	other := *m.Rig
	other.Cable = m.Rig.LayCable()
	return mountOf(m.T, &other, patient)
}

func ranged(kind int16, start, length int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: 0, Start: start, Len: length}
}

// lockRange locks for what the file is opened by, as fcntl does for a process.
func lockRange(f *os.File, kind int16, start, length int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, ranged(kind, start, length))
}

const (
	shared    = unix.F_RDLCK
	exclusive = unix.F_WRLCK
	unlocked  = unix.F_UNLCK
)

func isEventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(rig.AtMost); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}

func (m *mounted) rw(name string) *os.File { return openFile(m.T, m.here(name), os.O_RDWR) }

func TestLocks(t *testing.T) {
	for _, dialect := range []string{"SMB3_11", "SMB2_10"} {
		t.Run(dialect, func(t *testing.T) {
			here := newMount(t, patient, rig.Global("server max protocol = "+dialect))
			there := anotherMachine(here)
			here.put("a", 1000)
			mine, second, theirs := here.rw("a"), here.rw("a"), there.rw("a")
			may := func(f *os.File, kind int16, start, length int64) {
				t.Helper()
				rig.Must(t, lockRange(f, kind, start, length))
			}
			mayNot := func(f *os.File, kind int16, start, length int64) {
				t.Helper()
				if err := lockRange(f, kind, start, length); !errors.Is(err, syscall.EAGAIN) {
					t.Errorf("a lock of %d to %d: %v", start, start+length, err)
				}
			}
			may(mine, exclusive, 0, 100)
			mayNot(theirs, exclusive, 50, 10)
			mayNot(theirs, shared, 99, 10)
			mayNot(second, shared, 0, 10)
			may(theirs, exclusive, 100, 50)
			mayNot(mine, exclusive, 90, 20)
			may(theirs, unlocked, 0, 0)
			// Split.
			may(mine, unlocked, 40, 20)
			may(theirs, exclusive, 40, 20)
			mayNot(theirs, exclusive, 30, 5)
			may(theirs, unlocked, 0, 0)
			// Merged, and downgraded in part.
			may(mine, exclusive, 40, 20)
			may(mine, shared, 0, 50)
			may(theirs, shared, 10, 40)
			mayNot(theirs, shared, 10, 41)
			// Upgraded: refused while the other machine shares it, and still shared then.
			mayNot(mine, exclusive, 0, 50)
			mayNot(theirs, exclusive, 0, 5)
			may(theirs, unlocked, 0, 0)
			may(mine, exclusive, 0, 50)
			mayNot(theirs, shared, 0, 5)
			// To the end, wherever that is; a flock is another lock.
			may(mine, exclusive, 0, 0)
			mayNot(theirs, shared, 1<<40, 5)
			rig.Must(t, unix.Flock(int(theirs.Fd()), unix.LOCK_EX|unix.LOCK_NB))
			if err := unix.Flock(int(mine.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, syscall.EAGAIN) {
				t.Error(err)
			}
			at := ranged(exclusive, 0, 1)
			rig.Must(t, unix.FcntlFlock(theirs.Fd(), unix.F_OFD_GETLK, at))
			if at.Type != exclusive {
				t.Errorf("nobody has it: %+v", at)
			}
			// Locked ranges are read and written by any handle here, and by none of the other machine.
			rig.Must(t, failed(second.WriteAt([]byte("mine"), 10)))
			rig.Must(t, isAt(second, []byte("mine"), 10))
			if _, err := theirs.WriteAt([]byte("theirs"), 10); !errors.Is(err, syscall.EACCES) {
				t.Error(err)
			}
			rig.Must(t, mine.Close())
			isEventually(t, "a closed file is locked", func() bool { return lockRange(theirs, exclusive, 0, 1) == nil })
			rig.Must(t, isAt(theirs, []byte("mine"), 10))
			rig.Must(t, theirs.Close())
			isEventually(t, "a closed file is locked", func() bool { return unix.Flock(int(second.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil })
		})
	}
}

func failed(_ int, err error) error { return err }

// A process drops its locks when it closes any descriptor of the file, and when it is killed.
func TestLocksOfProcesses(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	here.put("a", 10)
	theirs := there.rw("a")
	for _, end := range []string{"open('a').close()", "import os; os.kill(os.getpid(), 9)"} {
		lockHandle := exec.Command("python3", "-uc", "import fcntl; f = open('a', 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(1); input(); "+end+"; print(2); input()")
		lockHandle.Dir = here.folder
		in, err := lockHandle.StdinPipe()
		rig.Must(t, err)
		out, err := lockHandle.StdoutPipe()
		rig.Must(t, err)
		rig.Must(t, lockHandle.Start())
		_, _ = out.Read(make([]byte, 10))
		if err := lockRange(theirs, exclusive, 0, 1); !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s: not locked: %v", end, err)
		}
		_, _ = in.Write([]byte("\n"))
		isEventually(t, end+": locked still", func() bool { return lockRange(theirs, exclusive, 0, 1) == nil })
		rig.Must(t, lockRange(theirs, unlocked, 0, 0))
		_ = in.Close()
		_ = lockHandle.Wait()
	}
	// Closing frees at once.
	once := exec.Command("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do flock -n a true || echo refused; done")
	once.Dir = here.folder
	if out, err := once.CombinedOutput(); err != nil || string(out) != "" {
		t.Errorf("%s, %v", out, err)
	}
	// flock(1) on the file that is the input of its command.
	run := exec.Command("sh", "-c", "exec flock a sh -c 'flock -n a true || echo refused' < a")
	run.Dir = here.folder
	if out, err := run.CombinedOutput(); err != nil || string(out) != "refused\n" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestAwaitedLock(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	here.put("a", 10)
	theirs := there.rw("a")
	rig.Must(t, unix.Flock(int(theirs.Fd()), unix.LOCK_EX))
	for _, isGranted := range []bool{false, true} {
		waits := exec.Command("flock", here.here("a"), "true")
		rig.Must(t, waits.Start())
		ended := make(chan error, 1)
		go func() { ended <- waits.Wait() }()
		select {
		case err := <-ended:
			t.Fatal("it did not wait", err)
		case <-time.After(500 * time.Millisecond):
		}
		if wait := here.client.OldestWait(); wait > 100*time.Millisecond {
			t.Errorf("a lock that is waited for looks like a silent server: %v", wait)
		}
		if isGranted {
			rig.Must(t, unix.Flock(int(theirs.Fd()), unix.LOCK_UN))
		} else {
			rig.Must(t, waits.Process.Signal(syscall.SIGTERM))
		}
		select {
		case err := <-ended:
			if (err == nil) != isGranted {
				t.Error(err)
			}
		case <-time.After(rig.AtMost):
			t.Fatal("it waits still")
		}
	}
	isEventually(t, "a closed file is locked", func() bool { return unix.Flock(int(theirs.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil })
}

// Two machines write to one SQLite database: no error but busy, and every commit is there.
func TestSqliteOnTwoMachines(t *testing.T) {
	commits := 60
	if os.Getenv("COMMITS") != "" {
		_, _ = fmt.Sscan(os.Getenv("COMMITS"), &commits)
	}
	here := newMount(t, patient)
	there := anotherMachine(here)
	script := `
import sqlite3, sys, random, time
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, who TEXT, n INTEGER)")
for n in range(int(sys.argv[3])):
    db.execute("BEGIN IMMEDIATE")
    seen = db.execute("SELECT count(*), coalesce(max(id), 0) FROM rows").fetchone()
    assert seen[0] == seen[1], seen
    db.execute("INSERT INTO rows (id, who, n) VALUES (?, ?, ?)", (seen[1] + 1, sys.argv[2], n))
    db.execute("COMMIT")
    time.sleep(random.random() / 500)
`
	ended := make(chan error, 2)
	for i, m := range []*mounted{here, there} {
		go func() {
			out, err := exec.Command("python3", "-c", script, m.here("rows.db"), fmt.Sprint(i), fmt.Sprint(commits)).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("machine %d: %s", i, out)
			}
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	check := exec.Command("python3", "-c", `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("PRAGMA integrity_check").fetchone()[0], db.execute("SELECT count(*), count(DISTINCT who || ' ' || n) FROM rows").fetchone())`, here.Theirs("rows.db"))
	if out, err := check.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprintf("ok (%d, %d)", 2*commits, 2*commits) {
		t.Errorf("%s, %v", out, err)
	}
}

// A lock is kept over a loss if no other client has written; else its program gets EIO.
func TestLocksAfterLoss(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	lost := func() int { return len(here.share.LostLocks()) }
	for _, isWritten := range []bool{false, true} {
		name := fmt.Sprintf("written: %v", isWritten)
		write(t, here.here(name), strings.Repeat(" ", 100))
		mine, theirs := here.rw(name), there.rw(name)
		rig.Must(t, unix.Flock(int(mine.Fd()), unix.LOCK_EX))
		// Ranges that are not locked themselves are written without a trace at the loss.
		rig.Must(t, failed(mine.WriteAt([]byte("mine"), 0)))
		here.Cable.Set(true)
		here.Cable.CloseFar()
		isEventually(t, name+": the server has the lock still", func() bool { return unix.Flock(int(theirs.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil })
		if isWritten {
			rig.Must(t, failed(theirs.WriteAt([]byte("theirs"), 50)))
		}
		rig.Must(t, unix.Flock(int(theirs.Fd()), unix.LOCK_UN))
		here.Cable.Set(false)
		if !isWritten {
			isEventually(t, "the lock is not had again", func() bool {
				err := unix.Flock(int(theirs.Fd()), unix.LOCK_EX|unix.LOCK_NB)
				if err == nil {
					_ = unix.Flock(int(theirs.Fd()), unix.LOCK_UN)
				}
				return err != nil
			})
			rig.Must(t, failed(mine.WriteAt([]byte("more"), 4)))
			rig.Must(t, isAt(mine, []byte("minemore"), 0))
			rig.Must(t, unix.Flock(int(mine.Fd()), unix.LOCK_UN))
			if lost() != 0 {
				t.Error("a lock that nobody else had is lost")
			}
			continue
		}
		isEventually(t, "nobody says that the lock is lost", func() bool { return lost() == 1 })
		if said := here.share.LostLocks()[0]; said.Path != name || said.Program == "" {
			t.Errorf("%+v", said)
		}
		if _, err := mine.WriteAt([]byte("more"), 4); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		if err := unix.Flock(int(mine.Fd()), unix.LOCK_UN); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		rig.Must(t, unix.Flock(int(mine.Fd()), unix.LOCK_EX))
		rig.Must(t, failed(mine.WriteAt([]byte("more"), 4)))
	}
}

// A file that was written by the handle that has the locks has another time after a loss: the lock is kept only if no other machine has the file open.
func TestLocksOfWrittenRanges(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	for _, isAlone := range []bool{true, false} {
		name := fmt.Sprintf("alone %v", isAlone)
		here.put(name, 100)
		mine := here.rw(name)
		if !isAlone {
			there.rw(name)
		}
		rig.Must(t, lockRange(mine, exclusive, 0, 10))
		rig.Must(t, failed(mine.WriteAt([]byte("mine"), 0)))
		here.Cable.Set(false)
		here.Cable.CloseFar()
		err := failed(mine.WriteAt([]byte("more"), 4))
		if isAlone && err != nil || !isAlone && !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", name, err)
		}
		if isAlone {
			rig.Must(t, isAt(mine, []byte("minemore"), 0))
			theirs := there.rw(name)
			if err := lockRange(theirs, exclusive, 0, 10); !errors.Is(err, syscall.EAGAIN) {
				t.Error(err)
			}
		}
		isEventually(t, name+": it is not said that the lock is lost, or it is", func() bool { return (len(here.share.LostLocks()) == 1) != isAlone })
		rig.Must(t, mine.Close())
	}
}

// Another machine that had the lock in between, and has closed the file, leaves bytes that differ from those written last from here.
func TestALockThatAnotherMachineHadMeanwhileIsLost(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	here.put("a", 100)
	mine := here.rw("a")
	rig.Must(t, lockRange(mine, exclusive, 0, 10))
	rig.Must(t, failed(mine.WriteAt([]byte("mine"), 0)))
	here.Cable.Set(true)
	here.Cable.CloseFar()
	theirs := there.rw("a")
	isEventually(t, "the server has the lock still", func() bool { return lockRange(theirs, exclusive, 0, 10) == nil })
	rig.Must(t, failed(theirs.WriteAt([]byte("theirs"), 0)))
	rig.Must(t, theirs.Close())
	time.Sleep(500 * time.Millisecond)
	here.Cable.Set(false)
	if err := failed(mine.WriteAt([]byte("more"), 4)); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// A planned move takes locks along, also of what was written by the handle that has them.
func TestLocksInMove(t *testing.T) {
	here := newMount(t, patient)
	there := anotherMachine(here)
	second := here.Rig.LayCable().Route("second")
	rig.Must(t, here.client.Set(client.Settings{Routes: []smb.Route{here.Cable.Route("only"), second}}))
	rig.Must(t, here.client.Allow([]string{"only", "second"}))
	here.put("a", 100)
	mine, theirs := here.rw("a"), there.rw("a")
	rig.Must(t, lockRange(mine, exclusive, 0, 10))
	rig.Must(t, failed(mine.WriteAt([]byte("mine"), 0)))
	_, err := here.client.Use(context.Background(), "second")
	rig.Must(t, err)
	rig.Must(t, failed(mine.WriteAt([]byte("more"), 4)))
	if err := lockRange(theirs, exclusive, 0, 10); !errors.Is(err, syscall.EAGAIN) {
		t.Error(err)
	}
	rig.Must(t, isAt(mine, []byte("minemore"), 0))
	if len(here.share.LostLocks()) > 0 {
		t.Error("lost")
	}
}

// SQLite's write-ahead log works on one machine, and so do others' lock files, and programs that append to what they have locked.
func TestProgramsThatLock(t *testing.T) {
	m := newMount(t, patient)
	script := `
import sqlite3, sys
one, two = (sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None) for _ in range(2))
assert one.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"
one.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY)")
for n in range(20):
    (one, two)[n % 2].execute("INSERT INTO rows VALUES (?)", (n,))
assert two.execute("SELECT count(*) FROM rows").fetchone()[0] == 20`
	if out, err := exec.Command("python3", "-c", script, m.here("wal.db")).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	deliver := `
import fcntl, os, sys
f = open(sys.argv[1] + '.new', 'ab', 0)
f.write(b'one')
fcntl.lockf(f, fcntl.LOCK_EX)
os.rename(f.name, sys.argv[1])
f.write(b'two')`
	if out, err := exec.Command("python3", "-c", deliver, m.here("mail")).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	if mail, err := os.ReadFile(m.Theirs("mail")); err != nil || string(mail) != "onetwo" {
		t.Errorf("%s, %v", mail, err)
	}
	for _, arguments := range [][]string{{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "a"}, {"fsck"}} {
		git := exec.Command("git", arguments...)
		git.Dir = filepath.Join(m.folder)
		if out, err := git.CombinedOutput(); err != nil {
			t.Errorf("git %v: %s", arguments, out)
		}
	}
}
