package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	smb2 "github.com/cloudsoda/go-smb2"
	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/rig"
)

func TestWhatIsWrittenIsOnTheServerWhenWriteReturns(t *testing.T) {
	m := newMount(t, patient)
	f := openFile(t, m.here("new"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	data := make([]byte, 5*mib+77)
	_, _ = rand.New(rand.NewSource(1)).Read(data)
	_, err := f.Write(data)
	rig.Must(t, err)
	_, err = f.WriteAt([]byte("changed"), 3*mib-3)
	rig.Must(t, err)
	copy(data[3*mib-3:], "changed")
	for side, file := range map[string]string{"server": m.Theirs("new"), "mount": m.here("new")} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", side, len(got), err)
		}
	}
	rig.Must(t, f.Sync())
	rig.Must(t, m.open("new").Sync())
	rig.Must(t, f.Truncate(100))
	rig.Must(t, os.Truncate(m.here("new"), 50))
	if got, err := os.ReadFile(m.Theirs("new")); err != nil || !bytes.Equal(got, data[:50]) {
		t.Errorf("after truncation: %d bytes, %v", len(got), err)
	}
	write(t, m.here("new"), "short")
	m.has(map[string]string{"new": "short"})
}

func TestFoldersAreMadeRenamedAndRemoved(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.MkdirAll(m.here("a/b/c"), 0o755))
	write(t, m.here("a/b/c/file"), "text")
	rig.Must(t, os.Rename(m.here("a"), m.here("d")))
	m.has(map[string]string{"d/b/c/file": "text"})
	if err := os.Mkdir(m.here("d"), 0o755); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("mkdir: %v", err)
	}
	if err := syscall.Rmdir(m.here("d/b")); err != syscall.ENOTEMPTY {
		t.Errorf("rmdir: %v", err)
	}
	rig.Must(t, os.Mkdir(m.here("empty"), 0o755))
	rig.Must(t, syscall.Rename(m.here("d/b"), m.here("empty")))
	m.has(map[string]string{"empty/c/file": "text"})
	if err := syscall.Rename(m.here("d"), m.here("empty")); err != syscall.ENOTEMPTY {
		t.Errorf("over a filled folder: %v", err)
	}
	rig.Must(t, os.RemoveAll(m.here("empty")))
	rig.Must(t, os.RemoveAll(m.here("d")))
	m.has(map[string]string{})
}

func TestAnOpenFileIsWrittenWhereverItIsRenamed(t *testing.T) {
	m := newMount(t, patient)
	for _, folder := range []string{"d0", "d1"} {
		rig.Must(t, os.Mkdir(m.Theirs(folder), 0o755))
	}
	write(t, m.Theirs("d0/c"), "old")
	write(t, m.Theirs("d1/log"), "one\n")
	write(t, m.Theirs("log"), "old\n")
	c := openFile(t, m.here("d0/c"), os.O_RDWR)
	rig.Must(t, os.Rename(m.here("d0"), m.here("dx")))
	add(t, c, "new")
	log := openFile(t, m.here("d1/log"), os.O_WRONLY|os.O_APPEND)
	rig.Must(t, os.Rename(m.here("d1"), m.here("dy")))
	add(t, log, "two\n")
	rotated := openFile(t, m.here("log"), os.O_WRONLY|os.O_APPEND)
	rig.Must(t, os.Rename(m.here("log"), m.here("log.1")))
	write(t, m.here("log"), "a new log\n")
	add(t, rotated, "last words\n")
	// Also over a lost connection.
	m.Cable.Set(false)
	add(t, rotated, "and more\n")
	add(t, c, "er")
	m.has(map[string]string{"dx/c": "newer", "dy/log": "one\ntwo\n", "log": "a new log\n", "log.1": "old\nlast words\nand more\n"})
}

func TestAnOpenFileThatIsReplacedOrRemovedKeepsItsBytes(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("d"), 0o755))
	write(t, m.here("d/removed"), "old bytes")
	write(t, m.here("replaced"), "old bytes")
	write(t, m.here("other"), "other bytes")
	removed, replaced := openFile(t, m.here("d/removed"), os.O_RDWR), openFile(t, m.here("replaced"), os.O_RDWR)
	rig.Must(t, os.Remove(m.here("d/removed")))
	rig.Must(t, os.Rename(m.here("other"), m.here("replaced")))
	rig.Must(t, os.Remove(m.here("d")))
	if got := tree(m.folder); !reflect.DeepEqual(got, map[string]string{"replaced": "other bytes"}) {
		t.Errorf("mount has %v", got)
	}
	for name, f := range map[string]*os.File{"removed": removed, "replaced": replaced} {
		_, err := f.WriteAt([]byte("NEW"), 0)
		rig.Must(t, err)
		rig.Must(t, f.Truncate(9))
		if err := isAt(f, []byte("NEW bytes"), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rig.Must(t, os.Rename(m.here("replaced"), m.here("moved")))
	m.Cable.Set(false)
	for _, f := range []*os.File{removed, replaced} {
		rig.Must(t, dropPages(f))
		rig.Must(t, isAt(f, []byte("NEW bytes"), 0))
		rig.Must(t, f.Truncate(4))
	}
	rig.Must(t, removed.Close())
	rig.Must(t, replaced.Close())
	rig.Eventually(t, "nothing is left of them", func() bool {
		entries, _ := os.ReadDir(m.Export)
		return len(entries) == 1
	})
	m.has(map[string]string{"moved": "other bytes"})
}

func TestANameIsFreeOnceItsFileIsRemoved(t *testing.T) {
	m := newMount(t, patient)
	for i := range 50 {
		f := openFile(t, m.here("lock"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if i%2 == 0 {
			rig.Must(t, f.Close())
		}
		rig.Must(t, os.Remove(m.here("lock")))
	}
	m.has(map[string]string{})
}

// A18: a removed file or folder is gone here, although another client has it open, and Samba lists it until that closes it.
func TestWhatIsRemovedHereIsGoneWhileAnotherClientHasItOpen(t *testing.T) {
	for name, isRestored := range map[string]bool{"folder": false, "restored": true, "file": false} {
		m := newMount(t, patient)
		other := mountOf(t, m.Rig, patient).connected(client.Files).Share
		var held smb2.Opened
		var err error
		if name == "file" {
			write(t, m.here(name), "text")
			held, err = other.OpenAt(name, smb2.AccessRead, smb2.MustExist, smb2.LeaseKey{})
		} else {
			rig.Must(t, os.Mkdir(m.here(name), 0o755))
			held, err = other.OpenFolder(name)
		}
		rig.Must(t, err)
		lists := func(want ...string) {
			t.Helper()
			var got []string
			entries, err := os.ReadDir(m.folder)
			for _, each := range entries {
				got = append(got, each.Name())
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: the folder has %q, %v", name, got, err)
			}
		}
		lists(name)
		rig.Must(t, os.Remove(m.here(name)))
		for range 2 * missesBefore {
			if _, err := os.Lstat(m.here(name)); !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%s: stat: %v", name, err)
			}
			lists()
		}
		if err := os.WriteFile(m.here(name+"/new"), nil, 0o644); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s: a file in it: %v", name, err)
		}
		if name == "folder" {
			if err := os.Mkdir(m.here(name), 0o755); !errors.Is(err, syscall.EBUSY) {
				t.Errorf("another folder of its name: %v", err)
			}
		}
		if isRestored {
			write(t, m.Theirs("restored/theirs"), "in time")
		}
		// It fails for a folder with files in it.
		_, err = held.Close()
		if isRestored {
			lists(name)
			m.has(map[string]string{"restored/theirs": "in time"})
			continue
		}
		rig.Must(t, err)
		lists()
		rig.Must(t, os.Mkdir(m.here(name), 0o755))
		lists(name)
	}
}

// A18: a file or folder created in its place waits until the other client closes it; so does the removal of the folder around it.
func TestARemovedNameIsFreeOnceAnotherClientClosesIt(t *testing.T) {
	m := newMount(t, patient)
	other := mountOf(t, m.Rig, patient).connected(client.Files).Share
	write(t, m.here("source"), "text")
	rig.Must(t, os.Mkdir(m.here("folder"), 0o755))
	for i, create := range []func(name string) error{
		func(name string) error { return os.Mkdir(name, 0o755) },
		func(name string) error { return os.WriteFile(name, nil, 0o644) },
		func(name string) error {
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err == nil {
				err = f.Close()
			}
			return err
		},
		func(name string) error { return os.Symlink("source", name) },
		func(name string) error { return os.Link(m.here("source"), name) },
		func(name string) error { return os.Rename(m.here("source"), name) },
		func(name string) error { return os.Rename(m.here("folder"), name) },
		func(name string) error { return os.Remove(filepath.Dir(name)) },
	} {
		for _, isFolder := range []bool{false, true} {
			if i == 5 {
				write(t, m.here("source"), "text")
			} else if _, err := os.Stat(m.here("folder")); i == 6 && err != nil {
				rig.Must(t, os.Mkdir(m.here("folder"), 0o755))
			}
			name := fmt.Sprintf("in %d %v/name", i, isFolder)
			rig.Must(t, os.Mkdir(m.here(filepath.Dir(name)), 0o755))
			var held smb2.Opened
			var err error
			if isFolder {
				rig.Must(t, os.Mkdir(m.here(name), 0o755))
				held, err = other.OpenFolder(name)
			} else {
				write(t, m.here(name), "text")
				held, err = other.OpenAt(name, smb2.AccessRead, smb2.MustExist, smb2.LeaseKey{})
			}
			rig.Must(t, err)
			rig.Must(t, os.Remove(m.here(name)))
			closing := time.AfterFunc(5*deletedEvery, func() { _, _ = held.Close() })
			if err = create(m.here(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if closing.Stop() {
				t.Errorf("%s: it was free", name)
			}
			_, _ = held.Close()
			if _, err = os.Lstat(m.Theirs(name)); err != nil && i != 7 {
				t.Errorf("%s: lost: %v", name, err)
			}
		}
	}
}

// A11: Samba deletes a removed file by its path once another client closes it, and not a new one that has got that path since.
func TestAFolderIsRenamedOnceWhatWasRemovedInItIsDeleted(t *testing.T) {
	m := newMount(t, patient)
	other := mountOf(t, m.Rig, patient).connected(client.Files).Share
	rig.Must(t, os.MkdirAll(m.here("folder/in"), 0o755))
	write(t, m.here("folder/in/file"), "old")
	held, err := other.OpenAt("folder/in/file", smb2.AccessRead, smb2.MustExist, smb2.LeaseKey{})
	rig.Must(t, err)
	rig.Must(t, os.Remove(m.here("folder/in/file")))
	closed := make(chan struct{})
	time.AfterFunc(5*deletedEvery, func() { _, _ = held.Close(); close(closed) })
	rig.Must(t, os.Rename(m.here("folder"), m.here("before")))
	rig.Must(t, os.MkdirAll(m.here("folder/in"), 0o755))
	write(t, m.here("folder/in/file"), "new")
	<-closed
	m.has(map[string]string{"folder/in/file": "new"})
	if _, err := os.Lstat(m.Theirs("before/in/file")); !os.IsNotExist(err) {
		t.Errorf("the removed file: %v", err)
	}
}

// F5: a removal does not wait for what no wait removes: a file that is never listed, or one with the name and the number of a removed one.
func TestTheRemovalOfAFolderThatIsNotEmptyFailsAtOnce(t *testing.T) {
	m := newMount(t, patient, rig.PerShare("veto files = /veto/"))
	m.put("folder/veto", 1)
	m.put("other/file", 1)
	rig.Must(t, os.Link(m.Theirs("other/file"), m.Theirs("second")))
	_, err := os.Stat(m.here("other/file"))
	rig.Must(t, err)
	rig.Must(t, os.Remove(m.here("other/file")))
	rig.Must(t, os.Rename(m.Theirs("second"), m.Theirs("other/file")))
	for _, name := range []string{"folder", "other"} {
		began := time.Now()
		if err := os.Remove(m.here(name)); !errors.Is(err, syscall.ENOTEMPTY) || time.Since(began) > deletedWithin/2 {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
}

// A11: a failed rename onto a name that was removed and is free by now does not wait for itself.
func TestARenameOntoARemovedNameEndsIfItFails(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.here("target"), "text")
	rig.Must(t, os.Remove(m.here("target")))
	end := m.share.renames.begin()
	late := time.AfterFunc(2*time.Second, end)
	if is := m.share.root.deletionOf(t.Context(), "target", syscall.EIO); is != deletionDone || !late.Stop() {
		t.Errorf("%v, or too late", is)
	} else {
		end()
	}
}

// A18: for a moment Samba has a file again that it is deleting.
func TestARemovedFileThatIsThereForAMomentIsNotRestored(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.here("file"), "text")
	rig.Must(t, os.Link(m.Theirs("file"), m.Theirs("second")))
	rig.Must(t, os.Remove(m.here("file")))
	rig.Must(t, os.Rename(m.Theirs("second"), m.Theirs("file")))
	time.AfterFunc(deletedEvery/4, func() { _ = os.Remove(m.Theirs("file")) })
	if is := m.share.root.deletionOf(t.Context(), "file", syscall.EEXIST); is != deletionDone {
		t.Errorf("%v", is)
	}
}

// A18: a program on this machine that has read only one name of a folder does not keep it open.
func TestTheNameOfAFolderThatIsBeingReadIsFreeOnceRemoved(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("folder"), 0o755))
	for i := range 500 {
		m.put(fmt.Sprintf("folder/%d", i), 1)
	}
	reading := openFile(t, m.here("folder"), os.O_RDONLY)
	_, err := reading.Readdirnames(1)
	rig.Must(t, err)
	entries, err := os.ReadDir(m.here("folder"))
	rig.Must(t, err)
	for _, each := range entries {
		rig.Must(t, os.Remove(m.here("folder/"+each.Name())))
	}
	rig.Must(t, os.Remove(m.here("folder")))
	rig.Must(t, os.Mkdir(m.here("folder"), 0o755))
}

// F5: a file that has the name and the number of a removed one is found in the cached listing, as any other.
func TestAFileOfARemovedNameAndNumberIsListedAsAnyOther(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 5)
	_, err := os.ReadDir(m.folder)
	rig.Must(t, err)
	rig.Must(t, os.Link(m.Theirs("file"), m.Theirs("other")))
	rig.Must(t, os.Remove(m.here("file")))
	rig.Must(t, os.Rename(m.Theirs("other"), m.Theirs("file")))
	_, err = os.Lstat(m.here("file"))
	rig.Must(t, err)
	rig.Eventually(t, "an answer from the listing", func() bool {
		rig.Must(t, m.share.root.listNow(context.Background()))
		_, isListed := m.share.root.listed("file")
		return isListed
	})
}

func TestOneOfTwoClientsMakesAFile(t *testing.T) {
	m := newMount(t, patient)
	for i := range 10 {
		name := fmt.Sprint(i)
		// The kernel has just got the answer that there is none.
		_, _ = os.Stat(m.here(name))
		write(t, m.Theirs(name), "theirs")
		if _, err := os.OpenFile(m.here(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("create: %v", err)
		}
	}
}

func TestTwoClientsAppendToOneFile(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.Theirs("list"), "one\n")
	ours, theirs := openFile(t, m.here("list"), os.O_RDWR|os.O_APPEND), openFile(t, m.Theirs("list"), os.O_WRONLY|os.O_APPEND)
	want := "one\n"
	for i := range 10 {
		for who, f := range []*os.File{ours, theirs} {
			line := fmt.Sprintf("%d %d\n", who, i)
			add(t, f, line)
			want += line
			if i == 5 {
				m.Cable.Set(false)
			}
		}
		if got := make([]byte, len(want)); true {
			_, err := ours.ReadAt(got[:len(want)-4], 0)
			rig.Must(t, err)
			if string(got[:len(want)-4]) != want[:len(want)-4] {
				t.Fatalf("read back: %q", got)
			}
		}
	}
	rig.Eventually(t, "seen", func() bool { text, _ := os.ReadFile(m.here("list")); return string(text) == want })
	m.has(map[string]string{"list": want})
}

func TestTimesAreTheServers(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("d"), 0o755))
	write(t, m.here("d/f"), "1")
	at := time.Unix(1_000_000_000, 123_456_000)
	rig.Must(t, os.Chtimes(m.here("d/f"), at, at))
	// As cp -p does it.
	copied := openFile(t, m.here("d/copied"), os.O_WRONLY|os.O_CREATE)
	add(t, copied, "copied")
	stamp := unix.NsecToTimeval(at.UnixNano())
	rig.Must(t, unix.Futimes(int(copied.Fd()), []unix.Timeval{stamp, stamp}))
	rig.Must(t, copied.Close())
	rig.Must(t, os.Chtimes(m.here("d"), at, at))
	for _, name := range []string{"d", "d/f", "d/copied"} {
		for _, file := range []string{m.here(name), m.Theirs(name)} {
			seen, err := os.Stat(file)
			rig.Must(t, err)
			if !seen.ModTime().Equal(at) {
				t.Errorf("%s: %v", file, seen.ModTime())
			}
		}
	}
	rig.Must(t, os.Chmod(m.here("d/f"), 0o600))
	rig.Must(t, os.Chown(m.here("d/f"), 12, 34))
	for name, err := range map[string]error{
		"mkfifo": syscall.Mkfifo(m.here("d/pipe"), 0o600),
		"xattr":  syscall.Setxattr(m.here("d/f"), "user.x", []byte("1"), 0),
	} {
		if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTSUP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesAreThoseOfMacsAndTheKernel(t *testing.T) {
	m := newMount(t, patient)
	onServer := map[string]string{
		`a:b*c?"<>|\d`: "a\uf022b\uf021c\uf025\uf020\uf023\uf024\uf027\uf026d",
		"dot.":         "dot\uf029",
		"space ":       "space\uf028",
		"tab\there":    "tab\uf009here",
		"byte\xe9":     "byte\uf0e9",
		"é":            "é",
		"e\u0301":      "e\u0301",
		"a：b":          "a：b",
		"質問？.":         "質問？\uf029",
	}
	for name, want := range onServer {
		write(t, m.here(name), name)
		if text, err := os.ReadFile(m.Theirs(want)); err != nil || string(text) != name {
			entries, _ := os.ReadDir(m.Export)
			t.Errorf("%q: %v, the server has %v", name, err, entries)
		}
	}
	const ofMac = "Re\uf022 a\uf028b\uf025\uf029"
	rig.Must(t, os.WriteFile(m.Theirs(ofMac), nil, 0o644))
	onServer["Re: a\uf028b?."] = ofMac
	write(t, m.here("Re: a\uf028b?."), "text")
	if text, err := os.ReadFile(m.Theirs(ofMac)); string(text) != "text" {
		t.Errorf("a Mac's file has %q, %v", text, err)
	}
	for _, private := range []string{ofMac, "a\uf022b", "dot\uf029", "byte\uf0e9", "new\uf001"} {
		if _, err := os.Lstat(m.here(private)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %v", private, err)
		}
		if err := os.Rename(m.here("é"), m.here(private)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("to %q: %v", private, err)
		}
	}
	entries, err := os.ReadDir(m.folder)
	rig.Must(t, err)
	for _, entry := range entries {
		if _, ok := onServer[entry.Name()]; !ok {
			t.Errorf("listed: %q", entry.Name())
		}
	}
	if len(entries) != len(onServer) {
		t.Errorf("%d are listed", len(entries))
	}
	for _, long := range []string{strings.Repeat("x", 256), strings.Repeat(":", 128)} {
		if _, err := os.Create(m.here(long)); !errors.Is(err, syscall.ENAMETOOLONG) {
			t.Errorf("a long name: %v", err)
		}
	}
}

func TestTouchHasTheServersTime(t *testing.T) {
	m := newMount(t, patient, rig.Ahead("1h"))
	for _, name := range []string{"built", "stamp"} {
		write(t, m.here(name), "")
	}
	write(t, m.here("built"), "text")
	rig.Must(t, exec.Command("touch", m.here("stamp")).Run())
	built, err := os.Stat(m.here("built"))
	rig.Must(t, err)
	stamp, err := os.Stat(m.here("stamp"))
	rig.Must(t, err)
	if younger := stamp.ModTime().Sub(built.ModTime()); younger < 0 || younger > rig.AtMost {
		t.Errorf("touched after a write: %v younger", younger)
	}
}

func TestAReadOnlyFileIsWrittenAfterChmod(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.here("f"), "old")
	const hidden = 2
	_, err := m.connected(client.Files).Share.SetAttributes("f", readOnly|hidden)
	rig.Must(t, err)
	mode := func() os.FileMode {
		seen, err := os.Stat(m.here("f"))
		rig.Must(t, err)
		return seen.Mode()
	}
	rig.Eventually(t, "it is shown as read-only", func() bool { return mode() == 0o444 })
	rig.Must(t, os.Chmod(m.here("f"), 0o644))
	write(t, m.here("f"), "new")
	if mode() != 0o644 {
		t.Errorf("%v", mode())
	}
	if stat, err := m.connected(client.Files).Share.StatAt("f"); err != nil || stat.FileAttributes&hidden == 0 {
		t.Errorf("%+v, %v", stat, err)
	}
}

func TestEachNameIsItsOwn(t *testing.T) {
	rclone, sfm := nameMapping(identity.RcloneMapping), nameMapping(identity.SfmMapping)
	parts := map[nameMapping][]string{
		rclone: {"\n", "␊", "‛␊", "\r", "␍", "\x7f", "␡", "␀", "‛␀", "／", "‛／", " ", "␠", ".", "．", "‛．", "..", ".．", "．．", ":", "：", "‛", "‛‛", "\xff", "‛FF", "�"},
		sfm:    {"\n", "␊", "\x7f", " ", "\uf028", ".", "\uf029", "．", ":", "：", "\uf022", "\uf00a", "\uf000", "\uf02a", "\uf07f", "\uf08f", "\xc3", "\xa9", "é", "\uf0c3", "\uf0a9", "\xef", "\x80", "\x81", "\uf0ef", "\uf080", "\uf081", "�"},
	}
	for c, parts := range parts {
		shown, there := map[string]string{}, map[string]string{}
		try := func(name string) {
			onServer, err := c.toServer(name)
			if name == "." || name == ".." || c == sfm && errors.Is(err, syscall.EINVAL) {
				return
			}
			if here := c.fromServer(onServer); err != nil || here != name {
				t.Errorf("%q is %q on the server and %q here, %v", name, onServer, here, err)
			}
			if other, ok := there[onServer]; ok && other != name {
				t.Errorf("%q and %q are both %q", name, other, onServer)
			}
			there[onServer] = name
		}
		for _, one := range parts {
			for _, two := range parts {
				for _, name := range []string{one, one + "a", "a" + one, "a" + one + "a", one + two, one + two + "\uf081", "a" + one + two} {
					try(name)
					// Whatever the server has is shown, and found only by that.
					if !utf8.ValidString(name) || c == sfm && strings.ContainsAny(name, "\n:") || strings.HasSuffix(name, " ") || strings.HasSuffix(name, ".") {
						continue
					}
					here := c.fromServer(name)
					if other, ok := shown[here]; c == sfm && ok && other != name {
						t.Errorf("%q and %q are both shown as %q", name, other, here)
					}
					shown[here] = name
					if found, err := c.toServer(here); c == sfm && found != name {
						t.Errorf("%q is shown as %q, which is %q there, %v", name, here, found, err)
					}
				}
			}
		}
	}
	for there, here := range map[string]string{"．": "．", ".．": ".．", "a／b": "a／b", "␀": "␀", "tab␉": "tab\t", "Icon␍": "Icon\r"} {
		if onServer, _ := rclone.toServer(here); rclone.fromServer(there) != here || onServer != there {
			t.Errorf("%q: %q", there, onServer)
		}
	}
}

func TestCaseOfANameIsChanged(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("folder"), 0o755))
	write(t, m.here("file"), "text")
	f := openFile(t, m.here("file"), os.O_RDWR)
	rig.Must(t, syscall.Rename(m.here("folder"), m.here("Folder")))
	rig.Must(t, syscall.Rename(m.here("file"), m.here("File")))
	add(t, f, "TEXT")
	entries, err := os.ReadDir(m.Export)
	rig.Must(t, err)
	if fmt.Sprint(entries) != "[- File d Folder/]" {
		t.Errorf("the server has %v", entries)
	}
	m.has(map[string]string{"File": "TEXT"})
}

func TestARepeatedRenameMovesNoOtherFile(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.Theirs("to"), "moved")
	write(t, m.Theirs("from"), "another one")
	try := client.Attempt{Conn: m.connected(client.Names), IsRetry: true}
	info, err := statAt(try, "to")
	rig.Must(t, err)
	moved := &node{share: m.share}
	moved.storeStat(info)
	rig.Must(t, moveOn(try, "from", "to", true, moved))
	m.has(map[string]string{"to": "moved", "from": "another one"})
	rig.Must(t, moveOn(try, "to", "back", true, moved))
	if err := moveOn(try, "from", "to", true, moved); !isAbsent(err) {
		t.Errorf("gone: %v", err)
	}
	m.has(map[string]string{"back": "moved", "from": "another one"})
}

func TestRenameWithFlags(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.here("one"), "1")
	write(t, m.here("two"), "2")
	rename := func(flags uintptr) error {
		const renameat2 = 316
		from, _ := syscall.BytePtrFromString(m.here("one"))
		to, _ := syscall.BytePtrFromString(m.here("two"))
		const here = ^uintptr(99)
		if _, _, errno := syscall.Syscall6(renameat2, here, uptr(from), here, uptr(to), flags, 0); errno != 0 {
			return errno
		}
		return nil
	}
	if err := rename(1); err != syscall.EEXIST {
		t.Errorf("no replace: %v", err)
	}
	if err := rename(2); err != syscall.EINVAL {
		t.Errorf("exchange: %v", err)
	}
	m.has(map[string]string{"one": "1", "two": "2"})
	rig.Must(t, rename(0))
	m.has(map[string]string{"two": "1"})
}
func uptr(text *byte) uintptr { return uintptr(unsafe.Pointer(text)) }
