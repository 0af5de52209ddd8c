package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

func TestProgramsWriteOnWhileConnectionsAreLost(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.here("d"), 0o755))
	write(t, m.here("whole"), "")
	write(t, m.here("log"), "")
	f, log := openFile(t, m.here("whole"), os.O_RDWR), openFile(t, m.here("log"), os.O_WRONLY|os.O_APPEND)
	stop := m.cutOften(50 * time.Millisecond)
	want := map[string]string{}
	var lines, whole bytes.Buffer
	for i := range 60 {
		line := fmt.Sprintf("line %d\n", i)
		block := bytes.Repeat([]byte(line), 5000)
		_, err := f.WriteAt(block, int64(whole.Len()))
		rig.Must(t, err)
		whole.Write(block)
		add(t, log, line)
		lines.WriteString(line)
		saved := fmt.Sprintf("d/%d", i%7)
		write(t, m.here("d/new"), line)
		rig.Must(t, os.Rename(m.here("d/new"), m.here(saved)))
		want[saved] = line
		if i%5 == 4 {
			rig.Must(t, os.Remove(m.here(saved)))
			delete(want, saved)
		}
	}
	rig.Must(t, f.Sync())
	if cuts := stop(); cuts < 3 {
		t.Errorf("only %d cuts", cuts)
	}
	want["log"], want["whole"] = lines.String(), whole.String()
	got := tree(m.Export)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %d bytes, written were %d", name, len(got[name]), len(text))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, not %d", len(got), len(want))
	}
}

func TestAnAppendChangesNothingElseOfAFile(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.Theirs("script"), "#!/bin/sh\n")
	rig.Must(t, os.Chmod(m.Theirs("script"), 0o751))
	before, err := os.Stat(m.Theirs("script"))
	rig.Must(t, err)
	add(t, openFile(t, m.here("script"), os.O_WRONLY|os.O_APPEND), "echo\n")
	write(t, m.here("script"), "#!/bin/bash\n")
	after, err := os.Stat(m.Theirs("script"))
	rig.Must(t, err)
	if !os.SameFile(before, after) || before.Mode() != after.Mode() {
		t.Errorf("%v became %v", before, after)
	}
	m.has(map[string]string{"script": "#!/bin/bash\n"})
}

func TestAServerThatGrantsFewCredits(t *testing.T) {
	before := smb.Credits
	smb.Credits = 2
	defer func() { smb.Credits = before }()
	m := newMount(t, patient)
	rig.Must(t, os.MkdirAll(m.here("a/b"), 0o755))
	write(t, m.here("a/b/file"), strings.Repeat("text", 100_000))
	rig.Must(t, os.Rename(m.here("a/b"), m.here("b")))
	if err := os.Remove(m.here("b")); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("remove: %v", err)
	}
	rig.Must(t, os.Remove(m.here("a")))
	rig.Must(t, os.Truncate(m.here("b/file"), 4))
	long := strings.Repeat("0123456", 500_000)
	write(t, m.here("long"), long)
	if got, err := os.ReadFile(m.here("long")); err != nil || string(got) != long {
		t.Errorf("read: %d bytes, %v", len(got), err)
	}
	rig.Must(t, os.Remove(m.here("long")))
	m.has(map[string]string{"b/file": "text"})
}
