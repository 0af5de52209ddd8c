package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func (r *rig) here(name string) string   { return filepath.Join(r.mounted, name) }
func (r *rig) theirs(name string) string { return filepath.Join(r.export, name) }

func write(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file, []byte(text), 0o644))
}

func openFile(t *testing.T, file string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(file, flags, 0o644)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func add(t *testing.T, f *os.File, text string) {
	t.Helper()
	_, err := f.WriteString(text)
	must(t, err)
}

// tree is all files below a folder, without those that were set aside.
func tree(folder string) map[string]string {
	all := map[string]string{}
	_ = filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(folder, file)
		if err != nil {
			all[name] = err.Error()
			return nil
		}
		if !entry.IsDir() && !strings.HasPrefix(name, removedFolder) {
			text, err := os.ReadFile(file)
			if all[name] = string(text); err != nil {
				all[name] = err.Error()
			}
		}
		return nil
	})
	return all
}

func (r *rig) has(want map[string]string) {
	r.t.Helper()
	for side, folder := range map[string]string{"server": r.export, "mount": r.mounted} {
		if got := tree(folder); !reflect.DeepEqual(got, want) {
			r.t.Errorf("%s has %v", side, got)
		}
	}
}

func TestWhatIsWrittenIsOnTheServerWhenWriteReturns(t *testing.T) {
	r := newRig(t, patient)
	f := openFile(t, r.here("new"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	data := make([]byte, 5*mib+77)
	_, _ = rand.New(rand.NewSource(1)).Read(data)
	_, err := f.Write(data)
	must(t, err)
	_, err = f.WriteAt([]byte("changed"), 3*mib-3)
	must(t, err)
	copy(data[3*mib-3:], "changed")
	for side, file := range map[string]string{"server": r.theirs("new"), "mount": r.here("new")} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", side, len(got), err)
		}
	}
	must(t, f.Sync())
	must(t, r.open("new").Sync())
	must(t, f.Truncate(100))
	must(t, os.Truncate(r.here("new"), 50))
	if got, err := os.ReadFile(r.theirs("new")); err != nil || !bytes.Equal(got, data[:50]) {
		t.Errorf("after truncation: %d bytes, %v", len(got), err)
	}
	write(t, r.here("new"), "short")
	r.has(map[string]string{"new": "short"})
}

func TestFoldersAreMadeRenamedAndRemoved(t *testing.T) {
	r := newRig(t, patient)
	must(t, os.MkdirAll(r.here("a/b/c"), 0o755))
	write(t, r.here("a/b/c/file"), "text")
	must(t, os.Rename(r.here("a"), r.here("d")))
	r.has(map[string]string{"d/b/c/file": "text"})
	if err := os.Mkdir(r.here("d"), 0o755); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("mkdir: %v", err)
	}
	if err := syscall.Rmdir(r.here("d/b")); err != syscall.ENOTEMPTY {
		t.Errorf("rmdir: %v", err)
	}
	must(t, os.Mkdir(r.here("empty"), 0o755))
	must(t, syscall.Rename(r.here("d/b"), r.here("empty")))
	r.has(map[string]string{"empty/c/file": "text"})
	if err := syscall.Rename(r.here("d"), r.here("empty")); err != syscall.ENOTEMPTY {
		t.Errorf("over a filled folder: %v", err)
	}
	must(t, os.RemoveAll(r.here("empty")))
	must(t, os.RemoveAll(r.here("d")))
	r.has(map[string]string{})
}

func TestAnOpenFileIsWrittenWhereverItIsRenamed(t *testing.T) {
	r := newRig(t, patient)
	for _, folder := range []string{"d0", "d1"} {
		must(t, os.Mkdir(r.theirs(folder), 0o755))
	}
	write(t, r.theirs("d0/c"), "old")
	write(t, r.theirs("d1/log"), "one\n")
	write(t, r.theirs("log"), "old\n")
	c := openFile(t, r.here("d0/c"), os.O_RDWR)
	must(t, os.Rename(r.here("d0"), r.here("dx")))
	add(t, c, "new")
	log := openFile(t, r.here("d1/log"), os.O_WRONLY|os.O_APPEND)
	must(t, os.Rename(r.here("d1"), r.here("dy")))
	add(t, log, "two\n")
	rotated := openFile(t, r.here("log"), os.O_WRONLY|os.O_APPEND)
	must(t, os.Rename(r.here("log"), r.here("log.1")))
	write(t, r.here("log"), "a new log\n")
	add(t, rotated, "last words\n")
	// Also over a lost connection.
	r.cable.set(false)
	add(t, rotated, "and more\n")
	add(t, c, "er")
	r.has(map[string]string{"dx/c": "newer", "dy/log": "one\ntwo\n", "log": "a new log\n", "log.1": "old\nlast words\nand more\n"})
}

func TestAnOpenFileThatIsReplacedOrRemovedKeepsItsBytes(t *testing.T) {
	r := newRig(t, patient)
	must(t, os.Mkdir(r.here("d"), 0o755))
	write(t, r.here("d/removed"), "old bytes")
	write(t, r.here("replaced"), "old bytes")
	write(t, r.here("other"), "other bytes")
	removed, replaced := openFile(t, r.here("d/removed"), os.O_RDWR), openFile(t, r.here("replaced"), os.O_RDWR)
	must(t, os.Remove(r.here("d/removed")))
	must(t, os.Rename(r.here("other"), r.here("replaced")))
	must(t, os.Remove(r.here("d")))
	if got := tree(r.mounted); !reflect.DeepEqual(got, map[string]string{"replaced": "other bytes"}) {
		t.Errorf("mount has %v", got)
	}
	for name, f := range map[string]*os.File{"removed": removed, "replaced": replaced} {
		_, err := f.WriteAt([]byte("NEW"), 0)
		must(t, err)
		must(t, f.Truncate(9))
		if err := isAt(f, []byte("NEW bytes"), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Rename(r.here("replaced"), r.here("moved")))
	r.cable.set(false)
	for _, f := range []*os.File{removed, replaced} {
		must(t, dropPages(f))
		must(t, isAt(f, []byte("NEW bytes"), 0))
		must(t, f.Truncate(4))
	}
	must(t, removed.Close())
	must(t, replaced.Close())
	eventually(t, "nothing is left of them", func() bool {
		entries, _ := os.ReadDir(r.export)
		return len(entries) == 1
	})
	r.has(map[string]string{"moved": "other bytes"})
}

func TestANameIsFreeOnceItsFileIsRemoved(t *testing.T) {
	r := newRig(t, patient)
	for i := range 50 {
		f := openFile(t, r.here("lock"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if i%2 == 0 {
			must(t, f.Close())
		}
		must(t, os.Remove(r.here("lock")))
	}
	r.has(map[string]string{})
}

func TestOneOfTwoClientsMakesAFile(t *testing.T) {
	r := newRig(t, patient)
	for i := range 10 {
		name := fmt.Sprint(i)
		// The kernel has just heard that there is none.
		_, _ = os.Stat(r.here(name))
		write(t, r.theirs(name), "theirs")
		if _, err := os.OpenFile(r.here(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("create: %v", err)
		}
	}
}

func TestTwoClientsAppendToOneFile(t *testing.T) {
	r := newRig(t, patient)
	write(t, r.theirs("list"), "one\n")
	ours, theirs := openFile(t, r.here("list"), os.O_RDWR|os.O_APPEND), openFile(t, r.theirs("list"), os.O_WRONLY|os.O_APPEND)
	want := "one\n"
	for i := range 10 {
		for who, f := range []*os.File{ours, theirs} {
			line := fmt.Sprintf("%d %d\n", who, i)
			add(t, f, line)
			want += line
			if i == 5 {
				r.cable.set(false)
			}
		}
		if got := make([]byte, len(want)); true {
			_, err := ours.ReadAt(got[:len(want)-4], 0)
			must(t, err)
			if string(got[:len(want)-4]) != want[:len(want)-4] {
				t.Fatalf("read back: %q", got)
			}
		}
	}
	eventually(t, "seen", func() bool { text, _ := os.ReadFile(r.here("list")); return string(text) == want })
	r.has(map[string]string{"list": want})
}

func TestAMappedPageIsWrittenWhereItIs(t *testing.T) {
	r := newRig(t, patient)
	// Another process serves it: one that waits for a page of its own mount may hang for ever.
	_, folder := r.mount("mapped")
	for name, flags := range map[string]int{"its own handle appends": os.O_RDWR | os.O_APPEND, "another handle appends": os.O_RDWR} {
		want := bytes.Repeat([]byte("a"), 8192)
		must(t, os.WriteFile(r.theirs(name), want, 0o644))
		f := openFile(t, filepath.Join(folder, name), flags)
		page, err := syscall.Mmap(int(f.Fd()), 0, 8192, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		must(t, err)
		_ = openFile(t, filepath.Join(folder, name), os.O_WRONLY|os.O_APPEND)
		copy(page[100:], "MMMM")
		copy(want[100:], "MMMM")
		must(t, syscall.Munmap(page))
		must(t, f.Sync())
		must(t, f.Close())
		if got, err := os.ReadFile(r.theirs(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestTimesAreTheServers(t *testing.T) {
	r := newRig(t, patient)
	must(t, os.Mkdir(r.here("d"), 0o755))
	write(t, r.here("d/f"), "1")
	at := time.Unix(1_000_000_000, 123_456_700)
	must(t, os.Chtimes(r.here("d/f"), at, at))
	must(t, os.Chtimes(r.here("d"), at, at))
	for _, name := range []string{"d", "d/f"} {
		for _, file := range []string{r.here(name), r.theirs(name)} {
			seen, err := os.Stat(file)
			must(t, err)
			if !seen.ModTime().Equal(at) {
				t.Errorf("%s: %v", file, seen.ModTime())
			}
		}
	}
	must(t, os.Chmod(r.here("d/f"), 0o600))
	must(t, os.Chown(r.here("d/f"), 12, 34))
	for name, err := range map[string]error{
		"symlink": os.Symlink("f", r.here("d/link")), "mkfifo": syscall.Mkfifo(r.here("d/pipe"), 0o600),
		"link": os.Link(r.here("d/f"), r.here("d/hard")), "xattr": syscall.Setxattr(r.here("d/f"), "user.x", []byte("1"), 0),
	} {
		if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTSUP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesAreThoseOfTheRcloneDriver(t *testing.T) {
	r := newRig(t, patient)
	onServer := map[string]string{
		`a:b*c?"<>|\d`: "a：b＊c？＂＜＞｜＼d",
		"dot.":         "dot．",
		"space ":       "space␠",
		"tab\there":    "tab␉here",
		"é":            "é",
		"e\u0301":      "e\u0301",
		"a：b":          "a‛：b",
	}
	for name, want := range onServer {
		write(t, r.here(name), name)
		if text, err := os.ReadFile(r.theirs(want)); err != nil || string(text) != name {
			entries, _ := os.ReadDir(r.export)
			t.Errorf("%q: %v, the server has %v", name, err, entries)
		}
	}
	entries, err := os.ReadDir(r.mounted)
	must(t, err)
	for _, entry := range entries {
		if _, ok := onServer[entry.Name()]; !ok {
			t.Errorf("listed: %q", entry.Name())
		}
	}
	if len(entries) != len(onServer) {
		t.Errorf("%d are listed", len(entries))
	}
	if _, err := os.Create(r.here(strings.Repeat("x", 256))); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a long name: %v", err)
	}
}

func TestEachNameIsItsOwn(t *testing.T) {
	names := map[string]string{}
	for _, part := range []string{"\n", "␊", "‛␊", "\r", "␍", "\x7f", "␡", "␀", "‛␀", "／", "‛／", " ", "␠", ".", "．", "‛．", "..", ".．", "．．", ":", "：", "‛", "‛‛", "\xff", "‛FF", "�"} {
		for _, name := range []string{part, part + "a", "a" + part, "a" + part + "a", part + part} {
			if name == "." || name == ".." {
				continue
			}
			there := nameOnServer(name)
			if here := nameHere(there); here != name {
				t.Errorf("%q is %q on the server and %q here", name, there, here)
			}
			if other, ok := names[there]; ok && other != name {
				t.Errorf("%q and %q are both %q", name, other, there)
			}
			names[there] = name
		}
	}
	for there, here := range map[string]string{"．": "．", ".．": ".．", "a／b": "a／b", "␀": "␀", "tab␉": "tab\t", "Icon␍": "Icon\r"} {
		if got := nameHere(there); got != here || nameOnServer(here) != there {
			t.Errorf("%q: %q", there, got)
		}
	}
}

func TestCaseOfANameIsChanged(t *testing.T) {
	r := newRig(t, patient)
	must(t, os.Mkdir(r.here("folder"), 0o755))
	write(t, r.here("file"), "text")
	f := openFile(t, r.here("file"), os.O_RDWR)
	must(t, syscall.Rename(r.here("folder"), r.here("Folder")))
	must(t, syscall.Rename(r.here("file"), r.here("File")))
	add(t, f, "TEXT")
	entries, err := os.ReadDir(r.export)
	must(t, err)
	if fmt.Sprint(entries) != "[- File d Folder/]" {
		t.Errorf("the server has %v", entries)
	}
	r.has(map[string]string{"File": "TEXT"})
}

func TestARepeatedRenameMovesNoOtherFile(t *testing.T) {
	r := newRig(t, patient)
	write(t, r.theirs("to"), "moved")
	write(t, r.theirs("from"), "another one")
	c, err := r.share.names.connected(t.Context())
	must(t, err)
	at, err := lookAt(c, "to")
	must(t, err)
	moved := &node{is: at.is, seen: at.seen}
	must(t, c.move("from", "to", true, moved))
	r.has(map[string]string{"to": "moved", "from": "another one"})
	must(t, c.move("to", "back", true, moved))
	if err := c.move("from", "to", true, moved); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	r.has(map[string]string{"back": "moved", "from": "another one"})
}

func TestRenameWithFlags(t *testing.T) {
	r := newRig(t, patient)
	write(t, r.here("one"), "1")
	write(t, r.here("two"), "2")
	rename := func(flags uintptr) error {
		const renameat2 = 316
		from, _ := syscall.BytePtrFromString(r.here("one"))
		to, _ := syscall.BytePtrFromString(r.here("two"))
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
	r.has(map[string]string{"one": "1", "two": "2"})
	must(t, rename(0))
	r.has(map[string]string{"two": "1"})
}
func uptr(text *byte) uintptr { return uintptr(unsafe.Pointer(text)) }
