package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"mountaineer/mount/fs/rig"
)

const asProgram = "MOUNTAINEER_FS_TEST_PROGRAM"

// TestMain is the program itself for tests that start it.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type program struct {
	*exec.Cmd
	out *bufio.Reader
}

// start runs a command of the program against a rig.
func start(r *rig.Rig, password string, arguments ...string) program {
	r.T.Helper()
	return startTo(r, os.Stderr, password, arguments...)
}

// startTo has it log there.
func startTo(r *rig.Rig, log *os.File, password string, arguments ...string) program {
	r.T.Helper()
	p := program{Cmd: exec.Command(os.Args[0], arguments...)}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdin = strings.NewReader(password + "\n")
	p.Stderr = log
	out, err := p.StdoutPipe()
	rig.Must(r.T, err)
	p.out = bufio.NewReader(out)
	rig.Must(r.T, p.Start())
	r.T.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

func (p program) line() string {
	line, _ := p.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

// usual are the arguments for a share of the rig, over its cable.
func usual(r *rig.Rig) []string {
	route := r.Cable.Route("only")
	return []string{"-route", fmt.Sprintf("name=only,address=%s,port=%d", route.Address, route.Port), "-share", "share", "-user", r.Account.User, "-sign"}
}

// mountAt starts the program, and unmounts when the test ends.
func mountAt(r *rig.Rig, name string, arguments ...string) (program, string) {
	r.T.Helper()
	folder := filepath.Join(r.Folder, name)
	rig.Must(r.T, os.MkdirAll(folder, 0o755))
	r.T.Cleanup(func() { _ = exec.Command("fusermount3", "-uzq", folder).Run() })
	p := start(r, r.Account.Password, append(append(append([]string{"mount"}, usual(r)...), arguments...), folder)...)
	if said := p.line(); said != fmt.Sprintf(`{"mounted":%q}`, folder) {
		r.T.Fatalf("it said %q", said)
	}
	return p, folder
}

func unmountLazily(folder string) error { return exec.Command("fusermount3", "-uz", folder).Run() }

func mountedAt(folder string) string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.Contains(line, " "+folder+" ") {
			return line
		}
	}
	return ""
}

func put(r *rig.Rig, name string, size int) {
	data := make([]byte, size)
	_, _ = rand.New(rand.NewSource(int64(size))).Read(data)
	rig.Must(r.T, os.WriteFile(r.Theirs(name), data, 0o644))
}

func openFile(t *testing.T, file string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(file, flags, 0o644)
	rig.Must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestTheProgramMountsUntilItIsTerminated(t *testing.T) {
	r := rig.New(t)
	put(r, "file", 5)
	p, folder := mountAt(r, "other", "-uid", "1234", "-gid", "5678", "-file-mode", "0640", "-dir-mode", "0751", "-fsname", "//nas/a, b", "-read-only")
	if line := mountedAt(folder); !strings.Contains(line, ` - fuse.mountaineer-fs //nas/a,\040b ro`) {
		t.Errorf("mounted: %s", line)
	}
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o751, "file": 0o640} {
		seen, err := os.Stat(filepath.Join(folder, name))
		rig.Must(t, err)
		owner := seen.Sys().(*syscall.Stat_t)
		if seen.Mode() != mode || owner.Uid != 1234 || owner.Gid != 5678 {
			t.Errorf("%s: %v of %d:%d", name, seen.Mode(), owner.Uid, owner.Gid)
		}
	}
	rig.Must(t, p.Process.Signal(syscall.SIGTERM))
	rig.Must(t, p.Wait())
	if line := mountedAt(folder); line != "" {
		t.Errorf("still mounted: %s", line)
	}
}

func TestAFailureIsOneLineWithACode(t *testing.T) {
	r := rig.New(t)
	away := r.LayCable()
	away.Set(true)
	at := away.Route("away")
	for name, one := range map[string]struct {
		code, password string
		exit           int
		arguments      []string
	}{
		"a wrong password":           {"logon_failure", "a wrong word", 1, []string{r.Folder}},
		"no such share":              {"no_share", r.Account.Password, 1, []string{"-share", "none", r.Folder}},
		"let in as a guest":          {"logon_failure", r.Account.Password, 1, []string{"-user", "nobody-knows", r.Folder}},
		"a closed share":             {"access_denied", r.Account.Password, 1, []string{"-share", "closed", r.Folder}},
		"no server":                  {"no_answer", r.Account.Password, 1, []string{"-address", "127.0.0.1:1", r.Folder}},
		"an empty answer":            {"no_answer", r.Account.Password, 1, []string{"-address", at.String(), r.Folder}},
		"no folder":                  {"fuse", r.Account.Password, 1, []string{filepath.Join(r.Folder, "none")}},
		"an unknown flag":            {"usage", r.Account.Password, 2, []string{"-unknown", r.Folder}},
		"not a mode":                 {"usage", r.Account.Password, 2, []string{"-file-mode", "rwx", r.Folder}},
		"a route without an address": {"usage", r.Account.Password, 2, []string{"-route", "name=tb", r.Folder}},
	} {
		p := start(r, one.password, append(append([]string{"mount"}, usual(r)...), one.arguments...)...)
		line := p.line()
		var said struct {
			Error struct{ Code, Message string }
		}
		err := json.Unmarshal([]byte(line), &said)
		if err != nil || said.Error.Code != one.code || said.Error.Message == "" || strings.Contains(line, one.password) {
			t.Errorf("%s: %v, %s", name, err, line)
		}
		if _ = p.Wait(); p.ProcessState.ExitCode() != one.exit {
			t.Errorf("%s: %v", name, fmt.Sprint(p.ProcessState))
		}
	}
}

func TestAFileThatWasRemovedWhileOpenIsGoneAfterAKill(t *testing.T) {
	r := rig.New(t)
	put(r, "steady", 6)
	state := filepath.Join(r.Folder, "home")
	p, folder := mountAt(r, "other", "-state", state)
	removed := openFile(t, filepath.Join(folder, "removed"), os.O_RDWR|os.O_CREATE)
	rig.Must(t, os.Remove(removed.Name()))
	rig.Must(t, p.Process.Kill())
	_ = p.Wait()
	_ = removed.Close()
	rig.Must(t, unmountLazily(folder))
	hidden := r.Theirs(".mountaineer-removed")
	if _, err := os.Stat(hidden); err != nil {
		t.Errorf("the removed file: %v", err)
	}
	rig.Eventually(t, "the next mount removes what was removed", func() bool {
		again, _ := mountAt(r, "other", "-state", state)
		_ = again.Process.Signal(syscall.SIGTERM)
		_ = again.Wait()
		_, err := os.Stat(hidden)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestWhatTheServerOrTheMountRefuses(t *testing.T) {
	r := rig.New(t)
	put(r, "file", 5)
	_, served := mountAt(r, "served", "-share", "readonly")
	_, mounted := mountAt(r, "local", "-read-only")
	for folder, want := range map[string]syscall.Errno{served: syscall.EACCES, mounted: syscall.EROFS} {
		file := filepath.Join(folder, "file")
		_, create := os.Create(filepath.Join(folder, "new"))
		_, open := os.OpenFile(file, os.O_WRONLY, 0)
		for name, err := range map[string]error{
			"create": create, "open": open, "mkdir": os.Mkdir(filepath.Join(folder, "d"), 0o755),
			"remove": os.Remove(file), "rename": os.Rename(file, file+"2"), "truncate": os.Truncate(file, 1),
		} {
			if !errors.Is(err, want) && !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAMappedPageIsWrittenWhereItIs(t *testing.T) {
	r := rig.New(t)
	// Another process serves it: one that waits for a page of the mount that it serves may hang for ever.
	_, folder := mountAt(r, "mapped", "-patience", "5s")
	defer collectGarbage()()
	for name, flags := range map[string]int{"its own handle appends": os.O_RDWR | os.O_APPEND, "another handle appends": os.O_RDWR} {
		want := bytes.Repeat([]byte("a"), 8192)
		rig.Must(t, os.WriteFile(r.Theirs(name), want, 0o644))
		f := openFile(t, filepath.Join(folder, name), flags)
		page, err := syscall.Mmap(int(f.Fd()), 0, 8192, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		rig.Must(t, err)
		_ = openFile(t, filepath.Join(folder, name), os.O_WRONLY|os.O_APPEND)
		rig.Must(t, copyPages(page[100:], []byte("MMMM")))
		copy(want[100:], "MMMM")
		// An unmap would write the pages, and block this process, whose cable they need.
		rig.Must(t, f.Sync())
		rig.Must(t, syscall.Munmap(page))
		rig.Must(t, f.Close())
		if got, err := os.ReadFile(r.Theirs(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// collectGarbage lets Go's garbage collector stop this process again and again, until the end.
func collectGarbage() (end func()) {
	var hasEnded atomic.Bool
	go func() {
		for !hasEnded.Load() {
			runtime.GC()
		}
	}()
	return func() { hasEnded.Store(true) }
}

func TestAKnownShareKeepsItsCharacters(t *testing.T) {
	r := rig.New(t)
	put(r, "steady", 6)
	state := filepath.Join(r.Folder, "home")
	record := filepath.Join(state, "server.json")
	session := func(file, onServer string, arguments ...string) {
		p, folder := mountAt(r, "mounted", append(arguments, "-state", state)...)
		rig.Must(t, os.WriteFile(filepath.Join(folder, file), nil, 0o644))
		if _, err := os.Stat(r.Theirs(onServer)); err != nil {
			entries, _ := os.ReadDir(r.Export)
			t.Errorf("%q: the server has %v", file, entries)
		}
		rig.Must(t, p.Process.Signal(syscall.SIGTERM))
		rig.Must(t, p.Wait())
	}
	session("1:", "1\uf022")
	session("2:", "2\uf022")
	text, err := os.ReadFile(record)
	rig.Must(t, err)
	before := strings.Replace(string(text), `"characters":"private",`, "", 1)
	if before == string(text) {
		t.Errorf("recorded: %s", text)
	}
	rig.Must(t, os.WriteFile(record, []byte(before), 0o600))
	session("3:", "3：")
	session("4:", "4：", "-new-server")
	rig.Must(t, os.Remove(record))
	var checked struct{ Verdict string }
	look(r, &checked, r.Account.Password, append(append([]string{"check"}, usual(r)...), "-state", state)...)
	session("5:", "5：")
	rig.Must(t, os.RemoveAll(state))
	look(r, &checked, r.Account.Password, append(append([]string{"check"}, usual(r)...), "-state", state)...)
	session("6:", "6\uf022")
}

// A cable is pulled, and then the program is killed: the server does not notice, and keeps the program's files open.
func TestAFileOfAKilledProgramCanBeRemoved(t *testing.T) {
	r := rig.New(t)
	put(r, "file", 5)
	put(r, "steady", 6)
	state := filepath.Join(r.Folder, "home")
	p, folder := mountAt(r, "mounted", "-state", state)
	_ = openFile(t, filepath.Join(folder, "file"), os.O_RDWR)
	r.Cable.Set(true)
	rig.Must(t, p.Process.Kill())
	_ = p.Wait()
	rig.Must(t, unmountLazily(folder))
	r.Cable.Set(false)
	_, folder = mountAt(r, "mounted", "-state", state)
	rig.Must(t, os.Remove(filepath.Join(folder, "file")))
	if _, err := os.Stat(r.Theirs("file")); !os.IsNotExist(err) {
		t.Errorf("the server has it still: %v", err)
	}
}

// The server tells a client that watches a folder of its removal, unless it is just telling of another change.
func TestAFolderThatAnotherClientWatchesCanBeRemoved(t *testing.T) {
	r := rig.New(t)
	put(r, "steady", 6)
	_, mine := mountAt(r, "mine")
	_, theirs := mountAt(r, "theirs")
	for i := range 12 {
		folder := fmt.Sprint(i)
		rig.Must(t, os.Mkdir(filepath.Join(mine, folder), 0o755))
		for range 2 {
			rig.Eventually(t, "they list it", func() bool { _, err := os.ReadDir(filepath.Join(theirs, folder)); return err == nil })
		}
		rig.Must(t, os.WriteFile(filepath.Join(mine, folder, "file"), nil, 0o644))
		rig.Must(t, os.RemoveAll(filepath.Join(mine, folder)))
		rig.Eventually(t, folder+" is gone", func() bool { _, err := os.Stat(r.Theirs(folder)); return os.IsNotExist(err) })
	}
}

func TestAReadOnlyMountRefusesChanges(t *testing.T) {
	r := rig.New(t)
	rig.Must(t, os.WriteFile(r.Theirs("f"), []byte("text"), 0o644))
	_, folder := mountAt(r, "read-only", "-read-only")
	if err := os.WriteFile(filepath.Join(folder, "f"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(folder, "f")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
}

func TestAMappingShowsWhatWasJustWritten(t *testing.T) {
	const pages, rounds = 32, 400
	r := rig.New(t)
	_, folder := mountAt(r, "shown")
	put(r, "file", pages<<12)
	file := filepath.Join(folder, "file")
	f, reader := openFile(t, file, os.O_RDONLY), openFile(t, file, os.O_RDONLY)
	mapped, err := syscall.Mmap(int(f.Fd()), 0, pages<<12, syscall.PROT_READ, syscall.MAP_SHARED)
	rig.Must(t, err)
	defer func() { _ = syscall.Munmap(mapped) }()
	// Others bring pages back while they are written.
	var hasEnded atomic.Bool
	defer hasEnded.Store(true)
	for seed := range int64(2) {
		go func() {
			random, page := rand.New(rand.NewSource(seed)), make([]byte, 8)
			for !hasEnded.Load() {
				_ = copyPages(page, mapped[random.Intn(pages)<<12:][:8])
			}
		}()
	}
	writer := openFile(t, file, os.O_WRONLY)
	random := rand.New(rand.NewSource(9))
	for round := range rounds {
		at := int64(random.Intn(pages-2) << 12)
		text := bytes.Repeat(fmt.Appendf(nil, "%8d", round), 1024)
		_, err := writer.WriteAt(text, at)
		rig.Must(t, err)
		shown, read := make([]byte, len(text)), make([]byte, len(text))
		rig.Must(t, copyPages(shown, mapped[at:][:len(text)]))
		_, err = reader.ReadAt(read, at)
		rig.Must(t, err)
		if !bytes.Equal(shown, text) || !bytes.Equal(read, text) {
			t.Fatalf("round %d: the mapping has %q, a read %q", round, shown[4088:4104], read[4088:4104])
		}
	}
}

func TestAMappingKeepsWhatADescriptorWrites(t *testing.T) {
	const pages, rounds = 4, 300
	r := rig.New(t)
	_, folder := mountAt(r, "beside")
	put(r, "file", pages<<12)
	file := filepath.Join(folder, "file")
	// Before the other, so that nothing tells its open that the file will be mapped.
	writer := openFile(t, file, os.O_WRONLY)
	f := openFile(t, file, os.O_RDWR)
	mapped, err := syscall.Mmap(int(f.Fd()), 0, pages<<12, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	rig.Must(t, err)
	defer func() { rig.Must(t, errors.Join(f.Sync(), syscall.Munmap(mapped))) }()
	var running sync.WaitGroup
	defer running.Wait()
	var hasEnded atomic.Bool
	defer hasEnded.Store(true)
	running.Go(func() {
		for at := 0; !hasEnded.Load(); at = (at + 1) % pages {
			_ = copyPages(mapped[at<<12:], []byte("M"))
		}
	})
	theirs := openFile(t, r.Theirs("file"), os.O_RDONLY)
	var want, got [pages][8]byte
	for round := range rounds {
		at := round * 7 % pages
		copy(want[at][:], fmt.Sprintf("%8d", round))
		_, err := writer.WriteAt(want[at][:], int64(at<<12+2048))
		rig.Must(t, err)
		for page := 0; page < pages && round >= pages; page++ {
			_, err := theirs.ReadAt(got[page][:], int64(page<<12+2048))
			rig.Must(t, err)
		}
		if round >= pages && got != want {
			t.Fatalf("round %d: the server has %q, not %q", round, got, want)
		}
	}
}
