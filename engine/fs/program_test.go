package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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
	t   *testing.T
	out *bufio.Reader
}

// start runs the program with these arguments after the rig's own, which they overrule.
func (r *rig) start(password string, arguments ...string) program {
	r.t.Helper()
	all := append([]string{"-address", r.account.address, "-share", "share", "-user", r.account.user, "-sign"}, arguments...)
	p := program{Cmd: exec.Command(os.Args[0], all...), t: r.t}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdin = strings.NewReader(password + "\n")
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	must(r.t, err)
	p.out = bufio.NewReader(out)
	must(r.t, p.Start())
	return p
}

func (p program) line() string {
	line, _ := p.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

// mount starts the program, and unmounts when the test ends.
func (r *rig) mount(name string, arguments ...string) (program, string) {
	r.t.Helper()
	folder := filepath.Join(r.folder, name)
	must(r.t, os.Mkdir(folder, 0o755))
	p := r.start(r.account.password, append(arguments, folder)...)
	r.t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		_ = exec.Command("fusermount3", "-uzq", folder).Run()
	})
	if said := p.line(); said != "mounted" {
		r.t.Fatalf("it said %q", said)
	}
	return p, folder
}

func mountedAt(folder string) string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.Contains(line, " "+folder+" ") {
			return line
		}
	}
	return ""
}

func TestTheProgramMountsUntilItIsTerminated(t *testing.T) {
	r := newRig(t, patient)
	r.put("file", 5)
	p, folder := r.mount("other", "-uid", "1234", "-gid", "5678", "-file-mode", "0640", "-dir-mode", "0751", "-fsname", "//nas/a, b", "-read-only")
	if line := mountedAt(folder); !strings.Contains(line, ` - fuse.mountaineer-fs //nas/a,\040b ro`) {
		t.Errorf("mounted: %s", line)
	}
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o751, "file": 0o640} {
		seen, err := os.Stat(filepath.Join(folder, name))
		must(t, err)
		owner := seen.Sys().(*syscall.Stat_t)
		if seen.Mode() != mode || owner.Uid != 1234 || owner.Gid != 5678 {
			t.Errorf("%s: %v of %d:%d", name, seen.Mode(), owner.Uid, owner.Gid)
		}
	}
	must(t, p.Process.Signal(syscall.SIGTERM))
	must(t, p.Wait())
	if line := mountedAt(folder); line != "" {
		t.Errorf("still mounted: %s", line)
	}
}

func TestAFailureIsOneLineWithACode(t *testing.T) {
	r := newRig(t, patient)
	silent := layCable(t, "127.0.0.1:1")
	for name, one := range map[string]struct {
		code, password string
		arguments      []string
	}{
		"a wrong password":  {"logon_failure", "a wrong word", []string{r.folder}},
		"no such share":     {"no_share", r.account.password, []string{"-share", "none", r.folder}},
		"let in as a guest": {"logon_failure", r.account.password, []string{"-user", "nobody-knows", r.folder}},
		"a closed share":    {"access_denied", r.account.password, []string{"-share", "closed", r.folder}},
		"no server":         {"no_answer", r.account.password, []string{"-address", "127.0.0.1:1", r.folder}},
		"an empty answer":   {"no_answer", r.account.password, []string{"-address", silent.listener.Addr().String(), r.folder}},
		"no folder":         {"fuse", r.account.password, []string{filepath.Join(r.folder, "none")}},
		"an unknown flag":   {"usage", r.account.password, []string{"-unknown", r.folder}},
		"not a mode":        {"usage", r.account.password, []string{"-file-mode", "rwx", r.folder}},
	} {
		p := r.start(one.password, one.arguments...)
		line := p.line()
		var said struct {
			Error struct{ Code, Message string }
		}
		err := json.Unmarshal([]byte(line), &said)
		if err != nil || said.Error.Code != one.code || said.Error.Message == "" || strings.Contains(line, one.password) {
			t.Errorf("%s: %v, %s", name, err, line)
		}
		if _ = p.Wait(); p.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: %v", name, fmt.Sprint(p.ProcessState))
		}
	}
}
