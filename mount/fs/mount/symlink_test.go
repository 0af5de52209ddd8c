package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mountaineer/mount/fs/rig"
)

// As a Mac has written it.
const macLink = "XSym\n0015\n1c7a5c54a4b3e7a92e3b2e3a6b5cf0d0\n"

func TestALinkIsAFileOf1067Bytes(t *testing.T) {
	for _, target := range []string{"a", "../lib/node_modules/x/cli.js", strings.Repeat("x", targetAtMost-1), strings.Repeat("y", targetAtMost), "ä/ö"} {
		data := encodeLink(target)
		if len(data) != linkLength || decodeLink(data) != target {
			t.Errorf("%q: %d bytes, %q", target, len(data), decodeLink(data))
		}
	}
	whole := string(encodeLink("target"))
	if !strings.HasPrefix(whole, "XSym\n0006\n42aefbae01d2dfd981f7da7d823d689e\ntarget\n  ") {
		t.Errorf("%q", whole[:60])
	}
	for _, broken := range []string{whole[:1066], whole + " ", strings.Replace(whole, "0006", "0005", 1), strings.Replace(whole, "target", "targat", 1), strings.Repeat(" ", linkLength), macLink + strings.Repeat("z", linkLength-len(macLink))} {
		if target := decodeLink([]byte(broken)); target != "" {
			t.Errorf("%q", target)
		}
	}
}

func TestSymbolicLinksAreMadeReadAndRemoved(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.MkdirAll(m.here("lib/pkg"), 0o755))
	rig.Must(t, os.Mkdir(m.here("bin"), 0o755))
	write(t, m.here("lib/pkg/cli.js"), "text")
	rig.Must(t, os.Symlink("../lib/pkg/cli.js", m.here("bin/tool")))
	if err := os.Symlink("x", m.here("bin/tool")); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
	data, err := os.ReadFile(m.Theirs("bin/tool"))
	rig.Must(t, err)
	if decodeLink(data) != "../lib/pkg/cli.js" {
		t.Errorf("the server has %q", data)
	}
	info, err := os.Lstat(m.here("bin/tool"))
	rig.Must(t, err)
	if info.Mode() != os.ModeSymlink|0o777 || info.Size() != 17 {
		t.Errorf("%v, %d bytes", info.Mode(), info.Size())
	}
	if text, err := os.ReadFile(m.here("bin/tool")); string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	// One of another machine, in a folder that is listed.
	rig.Must(t, os.WriteFile(m.Theirs("bin/other"), encodeLink("tool"), 0o644))
	rig.Eventually(t, "the other's is a link", func() bool { target, _ := os.Readlink(m.here("bin/other")); return target == "tool" })
	entries, err := os.ReadDir(m.here("bin"))
	rig.Must(t, err)
	for _, each := range entries {
		if each.Type() != os.ModeSymlink {
			t.Errorf("%s is %v", each.Name(), each.Type())
		}
	}
	// A broken one of any text, as Emacs makes as a lock.
	rig.Must(t, os.Symlink("me@host.1234:1700000000", m.here(".#note")))
	rig.Must(t, os.Rename(m.here("bin"), m.here("bin2")))
	rig.Must(t, os.Rename(m.here("bin2/tool"), m.here("bin2/renamed")))
	if target, err := os.Readlink(m.here("bin2/renamed")); target != "../lib/pkg/cli.js" {
		t.Errorf("%q, %v", target, err)
	}
	rig.Must(t, os.RemoveAll(m.here("bin2")))
	rig.Must(t, os.Remove(m.here(".#note")))
	m.has(map[string]string{"lib/pkg/cli.js": "text"})
}

func TestALinkThatBecomesAnother(t *testing.T) {
	m := newMount(t, patient)
	readsAs := func(want string) {
		t.Helper()
		rig.Eventually(t, want, func() bool {
			target, err := os.Readlink(m.here("name"))
			if err != nil {
				text, _ := os.ReadFile(m.here("name"))
				target = string(text)
			}
			return target == want
		})
	}
	rig.Must(t, os.WriteFile(m.Theirs("name"), encodeLink("one"), 0o644))
	readsAs("one")
	// In place: it stays the same file on the server.
	rig.Must(t, os.WriteFile(m.Theirs("name"), encodeLink("two"), 0o644))
	readsAs("two")
	rig.Must(t, os.WriteFile(m.Theirs("name"), []byte("a file"), 0o644))
	readsAs("a file")
	rig.Must(t, os.WriteFile(m.Theirs("name"), encodeLink("three"), 0o644))
	readsAs("three")
	// What a program here has open stays a file.
	f := openFile(t, m.here("new"), os.O_RDWR|os.O_CREATE)
	add(t, f, string(encodeLink("name")))
	time.Sleep(attributesFor + 100*time.Millisecond)
	if info, err := os.Lstat(m.here("new")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
	rig.Must(t, isAt(f, encodeLink("name"), 0))
	rig.Must(t, f.Close())
	rig.Eventually(t, "closed, it is a link", func() bool { target, _ := os.Readlink(m.here("new")); return target == "name" })
}

func TestALinkOutOfTheShareIsAFile(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.MkdirAll(m.Theirs("a/b"), 0o755))
	outside := []string{"/etc/passwd", "../../../x", "x/../y", "..//../../x"}
	for i, target := range outside {
		name := fmt.Sprintf("a/b/out%d", i)
		rig.Must(t, os.WriteFile(m.Theirs(name), encodeLink(target), 0o644))
		rig.Eventually(t, target+" is a file", func() bool {
			text, err := os.ReadFile(m.here(name))
			return err == nil && string(text) == string(encodeLink(target))
		})
		if err := os.Symlink(target, m.here("a/b/made")); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, target := range []string{"../../x", "./x", "..", "../b/x"} {
		rig.Must(t, os.Symlink(target, m.here("a/b/in")))
		rig.Must(t, os.Remove(m.here("a/b/in")))
	}
	// It leads out after it was moved up.
	rig.Must(t, os.Symlink("../../x", m.here("a/b/in")))
	rig.Must(t, os.Rename(m.here("a/b/in"), m.here("in")))
	rig.Eventually(t, "it is a file", func() bool { info, err := os.Lstat(m.here("in")); return err == nil && info.Mode().IsRegular() })
	all := mountOf(t, m.Rig, patient, AllLinks)
	if target, err := os.Readlink(all.here("a/b/out0")); target != outside[0] {
		t.Errorf("%q, %v", target, err)
	}
	rig.Must(t, os.Symlink("/etc", all.here("etc")))
	if _, err := filepath.EvalSymlinks(all.here("etc/passwd")); err != nil {
		t.Error(err)
	}
	none := mountOf(t, m.Rig, patient, NoLinks)
	if info, err := os.Lstat(none.here("etc")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Symlink("x", none.here("y")); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v", err)
	}
}

func TestALinkIsMadeThroughLosses(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("links"), 0o755))
	write(t, m.here("kept"), "")
	m.open("kept")
	stop := m.cutOften(100 * time.Millisecond)
	for i := range 400 {
		name := fmt.Sprintf("links/%d", i)
		rig.Must(t, os.Symlink("target", m.here(name)))
		if data, err := os.ReadFile(m.Theirs(name)); err != nil || decodeLink(data) != "target" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if stop() == 0 {
		t.Error("it was not cut")
	}
}

// The request that makes it has no answer, and then the lookup has none.
func TestWhatWasMadeIsLookedUpThroughLosses(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.here("kept"), "")
	m.open("kept")
	for name, makes := range map[string]func(string) error{
		"link":   func(path string) error { return os.Symlink("target", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"file": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			return errors.Join(err, f.Close())
		},
	} {
		onWire := strings.Join(strings.Split(name, ""), "\x00")
		var passed atomic.Int64
		m.Cable.CutAt(func(message []byte) bool {
			if !strings.Contains(string(message), onWire) {
				return false
			}
			count := passed.Add(1)
			return count%2 == 1 && count < 8
		})
		if err := makes(m.here(name)); err != nil || passed.Load() < 5 {
			t.Errorf("%s: %v, %d messages", name, err, passed.Load())
		}
	}
}
