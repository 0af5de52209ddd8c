package mount

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mountaineer/mount/fs/rig"
)

const snapshot = ".snaps/@GMT-2026.01.02-03.04.05/"

func newVersions(t *testing.T) *mounted {
	if _, err := os.Stat("/usr/lib/x86_64-linux-gnu/samba/vfs/shadow_copy2.so"); err != nil {
		t.Skip("Samba has no shadow_copy2 here")
	}
	m := newMount(t, patient, rig.PerShare("vfs objects = shadow_copy2\nshadow:snapdir = .snaps\nshadow:snapdirseverywhere = yes"))
	for _, each := range []string{".snaps/@GMT-2025.12.31-23.59.59/", snapshot} {
		m.put(each+"docs/note", 100)
		m.put(each+"big", 3*mib)
	}
	rig.Must(t, os.WriteFile(m.Theirs(snapshot+"docs/note"), []byte("yesterday"), 0o644))
	rig.Must(t, os.MkdirAll(m.Theirs("docs"), 0o755))
	rig.Must(t, os.WriteFile(m.Theirs("docs/note"), []byte("today"), 0o644))
	return m
}

func TestVersionsAreReadBelowAHiddenFolder(t *testing.T) {
	m := newVersions(t)
	at := ".versions/2026-01-02T03:04:05Z/"
	names := func(folder string) (all string) {
		entries, err := os.ReadDir(m.here(folder))
		rig.Must(t, err)
		for _, each := range entries {
			all += each.Name() + " "
		}
		return all
	}
	if all := names(""); strings.Contains(all, "versions") {
		t.Errorf("the root shows %s", all)
	}
	if all := names(".versions"); all != "2025-12-31T23:59:59Z 2026-01-02T03:04:05Z " {
		t.Errorf("versions: %s", all)
	}
	if all := names(at); all != "big docs " {
		t.Errorf("a version: %s", all)
	}
	for range 2 {
		for file, want := range map[string]string{at + "docs/note": "yesterday", "docs/note": "today"} {
			if text, err := os.ReadFile(m.here(file)); string(text) != want {
				t.Errorf("%s: %q, %v", file, text, err)
			}
		}
	}
	// It is the same file on the server, or looks like it, and is another one here.
	out, err := exec.Command("cp", m.here(at+"docs/note"), m.here("docs/note")).CombinedOutput()
	if text, _ := os.ReadFile(m.here("docs/note")); err != nil || string(text) != "yesterday" {
		t.Errorf("cp: %s %v: %q", out, err, text)
	}
	before := m.crossed()
	if out, err := exec.Command("cp", m.here(at+"big"), m.here("restored")).CombinedOutput(); err != nil {
		t.Errorf("cp: %s", out)
	}
	if crossed := m.crossed() - before; crossed > mib {
		t.Errorf("%d bytes crossed the cable", crossed)
	}
	// Also after a loss.
	f := m.open(at + "big")
	m.Cable.Set(true)
	m.Cable.Set(false)
	rig.Must(t, isAt(f, m.put("same", 3*mib), 0))
	if _, err := os.Lstat(m.here(".versions/2026-01-02T03:04:06Z")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such version: %v", err)
	}
}

func TestAVersionCannotBeChanged(t *testing.T) {
	m := newVersions(t)
	at := m.here(".versions/2026-01-02T03:04:05Z/")
	now := time.Now()
	if _, err := os.ReadFile(at + "/docs/note"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"write": os.WriteFile(at+"/docs/note", []byte("x"), 0o644), "make": os.WriteFile(at+"/new", nil, 0o644),
		"remove": os.Remove(at + "/docs/note"), "mkdir": os.Mkdir(at+"/d", 0o755), "rmdir": os.Remove(at + "/docs"),
		"rename": os.Rename(at+"/docs/note", at+"/x"), "out": os.Rename(at+"/docs/note", m.here("x")), "in": os.Rename(m.here("docs/note"), at+"/x"),
		"truncate": os.Truncate(at+"/docs/note", 1), "times": os.Chtimes(at+"/docs/note", now, now), "link": os.Link(m.here("docs/note"), at+"/l"),
		"symlink": os.Symlink("x", at+"/s"), "version": os.Mkdir(m.here(".versions/x"), 0o755), "into": os.Rename(m.here("docs/note"), m.here(".versions/x")),
		"all": os.Remove(m.here(".versions")), "moved": os.Rename(m.here(".versions"), m.here("v")),
	} {
		if err == nil {
			t.Errorf("%s: it was", what)
		}
	}
	for file, want := range map[string]string{snapshot + "docs/note": "yesterday", "docs/note": "today"} {
		if text, err := os.ReadFile(m.Theirs(file)); string(text) != want {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

func TestAServerWithoutSnapshotsHasNoVersions(t *testing.T) {
	m := newMount(t, patient)
	if _, err := os.Lstat(m.here(".versions")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	rig.Must(t, os.Mkdir(m.here(".versions"), 0o755))
	write(t, m.here(".versions/own"), "text")
	m.has(map[string]string{".versions/own": "text"})
}
