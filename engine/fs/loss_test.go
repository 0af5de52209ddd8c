package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cutOften cuts every connection a while after it stands, until what it returns is called.
func (r *rig) cutOften() (stop func() int) {
	ended := make(chan struct{})
	var cutting sync.WaitGroup
	cuts := 0
	cutting.Go(func() {
		for ; ; cuts++ {
			_, err := r.share.files.connected(r.t.Context())
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			must(r.t, err)
			r.cable.set(false)
		}
	})
	return func() int { close(ended); cutting.Wait(); return cuts }
}

func TestProgramsWriteOnWhileConnectionsAreLost(t *testing.T) {
	r := newRig(t, patient)
	must(t, os.Mkdir(r.here("d"), 0o755))
	write(t, r.here("whole"), "")
	write(t, r.here("log"), "")
	f, log := openFile(t, r.here("whole"), os.O_RDWR), openFile(t, r.here("log"), os.O_WRONLY|os.O_APPEND)
	stop := r.cutOften()
	want := map[string]string{}
	var lines, whole bytes.Buffer
	for i := range 60 {
		line := fmt.Sprintf("line %d\n", i)
		block := bytes.Repeat([]byte(line), 5000)
		_, err := f.WriteAt(block, int64(whole.Len()))
		must(t, err)
		whole.Write(block)
		add(t, log, line)
		lines.WriteString(line)
		saved := fmt.Sprintf("d/%d", i%7)
		write(t, r.here("d/new"), line)
		must(t, os.Rename(r.here("d/new"), r.here(saved)))
		want[saved] = line
		if i%5 == 4 {
			must(t, os.Remove(r.here(saved)))
			delete(want, saved)
		}
	}
	must(t, f.Sync())
	if cuts := stop(); cuts < 3 {
		t.Errorf("only %d cuts", cuts)
	}
	want["log"], want["whole"] = lines.String(), whole.String()
	got := tree(r.export)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %d bytes, written were %d", name, len(got[name]), len(text))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, not %d", len(got), len(want))
	}
}

func TestASilentServerIsGivenUpAfterThePatience(t *testing.T) {
	r := newRig(t, 300*time.Millisecond)
	write(t, r.here("file"), "old")
	f := openFile(t, r.here("file"), os.O_RDWR)
	must(t, syscall.Kill(-r.smbd.Process.Pid, syscall.SIGSTOP))
	if _, err := f.WriteAt([]byte("new"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("write: %v", err)
	}
	must(t, syscall.Kill(-r.smbd.Process.Pid, syscall.SIGCONT))
	eventually(t, "written", func() bool { _, err := f.WriteAt([]byte("NEW"), 0); return err == nil })
	r.has(map[string]string{"file": "NEW"})
}

func TestWhatWasAcknowledgedIsThereAfterKill9(t *testing.T) {
	r := newRig(t, patient)
	p, folder := r.mount("other")
	log := openFile(t, filepath.Join(folder, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	removed := openFile(t, filepath.Join(folder, "removed"), os.O_RDWR|os.O_CREATE)
	must(t, os.Remove(filepath.Join(folder, "removed")))
	acknowledged := ""
	for i := 0; ; i++ {
		if i == 100 {
			must(t, p.Process.Kill())
		}
		line := fmt.Sprintf("line %d\n", i)
		if _, err := log.WriteString(line); err != nil {
			break
		}
		acknowledged += line
	}
	_ = p.Wait()
	if text, err := os.ReadFile(r.theirs("log")); err != nil || !strings.HasPrefix(string(text), acknowledged) {
		t.Errorf("the server has %d bytes, acknowledged were %d, %v", len(text), len(acknowledged), err)
	}
	_, _ = log.Close(), removed.Close()
	_ = exec.Command("fusermount3", "-uz", folder).Run()
	if _, err := os.Stat(r.theirs(removedFolder)); err != nil {
		t.Errorf("the removed file: %v", err)
	}
	// The cable keeps the server's ends.
	r.cable.closeFar()
	eventually(t, "the next mount removes what was removed", func() bool {
		again := r.start(r.account.password, folder)
		said := again.line()
		_ = again.Process.Signal(syscall.SIGTERM)
		_ = again.Wait()
		_, err := os.Stat(r.theirs(removedFolder))
		return said == "mounted" && errors.Is(err, os.ErrNotExist)
	})
}

func TestWhatTheServerOrTheMountRefuses(t *testing.T) {
	r := newRig(t, patient)
	r.put("file", 5)
	_, served := r.mount("served", "-share", "readonly")
	_, mounted := r.mount("local", "-read-only")
	for folder, want := range map[string]syscall.Errno{served: syscall.EACCES, mounted: syscall.EROFS} {
		file := filepath.Join(folder, "file")
		_, create := os.Create(filepath.Join(folder, "new"))
		_, open := os.OpenFile(file, os.O_WRONLY, 0)
		for name, err := range map[string]error{
			"create": create, "open": open, "remove": os.Remove(file), "rename": os.Rename(file, file+"2"),
			"mkdir": os.Mkdir(filepath.Join(folder, "d"), 0o755), "truncate": os.Truncate(file, 0),
		} {
			if !errors.Is(err, want) && !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAnAppendChangesNothingElseOfAFile(t *testing.T) {
	r := newRig(t, patient)
	write(t, r.theirs("script"), "#!/bin/sh\n")
	must(t, os.Chmod(r.theirs("script"), 0o751))
	before, err := os.Stat(r.theirs("script"))
	must(t, err)
	add(t, openFile(t, r.here("script"), os.O_WRONLY|os.O_APPEND), "echo\n")
	write(t, r.here("script"), "#!/bin/bash\n")
	after, err := os.Stat(r.theirs("script"))
	must(t, err)
	if !os.SameFile(before, after) || before.Mode() != after.Mode() {
		t.Errorf("%v became %v", before, after)
	}
	r.has(map[string]string{"script": "#!/bin/bash\n"})
}

func TestAServerThatGrantsFewCredits(t *testing.T) {
	before := creditsWanted
	creditsWanted = 2
	defer func() { creditsWanted = before }()
	r := newRig(t, patient)
	must(t, os.MkdirAll(r.here("a/b"), 0o755))
	write(t, r.here("a/b/file"), strings.Repeat("text", 100_000))
	must(t, os.Rename(r.here("a/b"), r.here("b")))
	if err := os.Remove(r.here("b")); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("remove: %v", err)
	}
	must(t, os.Remove(r.here("a")))
	must(t, os.Truncate(r.here("b/file"), 4))
	r.has(map[string]string{"b/file": "text"})
}
