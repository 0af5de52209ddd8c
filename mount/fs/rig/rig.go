// Package rig is a real Samba server for tests, and cables to it that can be cut.
//
// A Rig is an smbd of this user with its own folders and port; Options, StartServer, KillServer and Reconfigure change it. A Cable is a proxy on a loopback port that leads
// to it: tests cut it, hold messages back, drop long ones or end connections at a chosen message. A test ends its rig by t.Cleanup.
package rig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mountaineer/mount/fs/smb"
)

// AtMost is how long a test waits for what should come at once, on a busy machine.
const AtMost = 15 * time.Second

const password = "secret word"

// Rig is a server that shares a folder.
type Rig struct {
	T                    *testing.T
	Folder, Export       string
	Account              smb.Account
	Cable                *Cable
	port                 int
	samba                string
	name, more, perShare string
	smbd                 *exec.Cmd
	environment          []string
}

// Option changes the server's configuration.
type Option func(*Rig)

// Global adds lines to the section [global].
func Global(lines string) Option { return func(r *Rig) { r.more += lines + "\n" } }

// Named is the server's name, from which its GUID follows.
func Named(name string) Option { return func(r *Rig) { r.name = name } }

// Ahead sets the server's clock ahead. Without libfaketime the test is skipped.
func Ahead(by string) Option {
	return func(r *Rig) {
		found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
		if len(found) == 0 {
			r.T.Skip("faketime is not installed")
		}
		r.environment = []string{"LD_PRELOAD=" + found[0], "FAKETIME=+" + by, "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1", "FAKETIME_DISABLE_SHM=1"}
	}
}

// New starts a server. Without Samba or FUSE the test is skipped.
func New(t *testing.T, options ...Option) *Rig {
	t.Helper()
	for _, name := range []string{"smbd", "pdbedit", "smbstatus", "fusermount3"} {
		if Program(name) == "" {
			t.Skipf("%s is not installed", name)
		}
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip("/dev/fuse cannot be opened")
	} else {
		_ = f.Close()
	}
	// The server's sockets lie below, and a path of one has at most 107 bytes.
	folder, err := os.MkdirTemp("", "fs-")
	Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	Must(t, os.Chmod(folder, 0o755))
	me, err := user.Current()
	Must(t, err)
	r := &Rig{T: t, Folder: folder, Export: filepath.Join(folder, "export"), samba: filepath.Join(folder, "smb.conf"), name: "RIG"}
	for _, each := range options {
		each(r)
	}
	for _, name := range []string{"export", "private", "state", "run"} {
		Must(t, os.Mkdir(filepath.Join(folder, name), 0o755))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	r.port = free.Addr().(*net.TCPAddr).Port
	Must(t, free.Close())
	r.configure()
	r.Account = smb.Account{Share: "share", User: me.Username, Password: password, Sign: true}
	r.SetPassword(password)
	r.StartServer()
	t.Cleanup(r.KillServer)
	r.Cable = r.LayCable()
	return r
}

// Rename gives the server another name, and so another GUID, from its next start on.
func (r *Rig) Rename(name string) {
	r.name = name
	r.configure()
}

// RenameShare gives the share another name on the server, from its next start on.
func (r *Rig) RenameShare(name string) {
	r.T.Helper()
	text, err := os.ReadFile(r.samba)
	Must(r.T, err)
	Must(r.T, os.WriteFile(r.samba, []byte(strings.Replace(string(text), "[share]", "["+name+"]", 1)), 0o644))
}

// Reconfigure replaces the lines of Global, from the next start on.
func (r *Rig) Reconfigure(lines string) {
	r.more = lines
	r.configure()
}

func (r *Rig) configure() {
	r.T.Helper()
	me, err := user.Current()
	Must(r.T, err)
	text := strings.NewReplacer("FOLDER", r.Folder, "NAME", r.name, "PORT", fmt.Sprint(r.port), "USER", me.Username, "MORE", r.more, "PERSHARE", r.perShare).Replace(configuration)
	Must(r.T, os.WriteFile(r.samba, []byte(text), 0o644))
}

const configuration = `[global]
server role = standalone server
netbios name = NAME
disable netbios = yes
smb ports = PORT
interfaces = 127.0.0.1
bind interfaces only = yes
server signing = required
map to guest = Bad User
load printers = no
printcap name = /dev/null
disable spoolss = yes
usershare max shares = 0
logging = file
log file = FOLDER/smbd.log
passdb backend = tdbsam:FOLDER/private/passdb.tdb
private dir = FOLDER/private
lock directory = FOLDER/state
state directory = FOLDER/state
cache directory = FOLDER/state
pid directory = FOLDER/run
ncalrpc dir = FOLDER/run/rpc
MORE
[share]
path = FOLDER/export
read only = no
force user = USER
PERSHARE
[again]
path = FOLDER/export
read only = no
force user = USER
[readonly]
path = FOLDER/export
read only = yes
[closed]
path = FOLDER/export
valid users = nobody
`

// Program finds one also where only root looks.
func Program(name string) string {
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if file := filepath.Join(folder, name); exec.Command("test", "-x", file).Run() == nil {
			return file
		}
	}
	return ""
}

// Must ends the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(AtMost); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within %v: %s", AtMost, what)
		}
	}
}

// SetPassword gives the user another one on the server.
func (r *Rig) SetPassword(password string) {
	r.T.Helper()
	c := exec.Command(Program("pdbedit"), "-s", r.samba, "-a", "-u", r.Account.User, "-t")
	c.Stdin = strings.NewReader(password + "\n" + password + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		r.T.Fatalf("pdbedit: %v: %s", err, out)
	}
}

func (r *Rig) StartServer() {
	r.T.Helper()
	r.smbd = exec.Command(Program("smbd"), "-F", "--no-process-group", "-s", r.samba)
	r.smbd.Env = append(os.Environ(), r.environment...)
	r.smbd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// It ends with its standard input, and so with this process.
	_, err := r.smbd.StdinPipe()
	Must(r.T, err)
	Must(r.T, r.smbd.Start())
	Eventually(r.T, "smbd listens", func() bool {
		c, err := net.Dial("tcp", r.Address())
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Address is the server's own.
func (r *Rig) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// KillServer ends smbd and what it started, without a last word to anyone.
func (r *Rig) KillServer() {
	_ = syscall.Kill(-r.smbd.Process.Pid, syscall.SIGKILL)
	_ = r.smbd.Wait()
	// The processes that serve its RPC, as for a list of shares, are a separate group.
	text, _ := os.ReadFile(filepath.Join(r.Folder, "run/samba-dcerpcd.pid"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return
	}
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if strings.Contains(string(command), r.Folder) {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// Signal is sent to smbd and all that it started.
func (r *Rig) Signal(signal syscall.Signal) { Must(r.T, syscall.Kill(-r.smbd.Process.Pid, signal)) }

// Sessions counts them on the server.
func (r *Rig) Sessions() int {
	out, err := exec.Command(Program("smbstatus"), "-s", r.samba, "-b").Output()
	Must(r.T, err)
	return strings.Count(string(out), " (ipv4:")
}

// Theirs is the path of a file on the server.
func (r *Rig) Theirs(name string) string { return filepath.Join(r.Export, name) }

// PerShare adds lines to the section of the share.
func PerShare(lines string) Option { return func(r *Rig) { r.perShare += lines + "\n" } }

// Stopped are processes of the server that were stopped.
type Stopped []int

// StopProcesses stops those that serve clients: what they have got they do later.
func (r *Rig) StopProcesses() Stopped {
	r.T.Helper()
	out, err := exec.Command(Program("smbstatus"), "-s", r.samba, "-b").Output()
	Must(r.T, err)
	var pids Stopped
	for line := range strings.Lines(string(out)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && strings.Contains(line, " (ipv4:") {
			Must(r.T, syscall.Kill(pid, syscall.SIGSTOP))
			pids = append(pids, pid)
		}
	}
	r.T.Cleanup(pids.Continue)
	return pids
}

func (s Stopped) Continue() {
	for _, pid := range s {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}
