package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const atMost = 10 * time.Second

// rig is a Samba server, a cable that can be cut, and a mount over it.
type rig struct {
	t                              *testing.T
	folder, export, mounted, samba string
	port                           int
	account                        account
	smbd                           *exec.Cmd
	cable                          *cable
	share                          *fileSystem
}

func newRig(t *testing.T, patience time.Duration) *rig {
	t.Helper()
	for _, name := range []string{"smbd", "pdbedit", "smbstatus", "fusermount3"} {
		if programOf(name) == "" {
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
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755))
	me, err := user.Current()
	must(t, err)
	r := &rig{t: t, folder: folder, export: filepath.Join(folder, "export"), mounted: filepath.Join(folder, "mounted")}
	r.samba = filepath.Join(folder, "smb.conf")
	for _, name := range []string{"export", "mounted", "private", "state", "run"} {
		must(t, os.Mkdir(filepath.Join(folder, name), 0o755))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.port = free.Addr().(*net.TCPAddr).Port
	must(t, free.Close())
	text := `[global]
server role = standalone server
netbios name = RIG
disable netbios = yes
smb ports = %d
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
[share]
path = FOLDER/export
read only = no
force user = %s
[readonly]
path = FOLDER/export
read only = yes
[closed]
path = FOLDER/export
valid users = nobody
`
	text = strings.ReplaceAll(fmt.Sprintf(text, r.port, me.Username), "FOLDER", folder)
	must(t, os.WriteFile(r.samba, []byte(text), 0o644))
	r.account = account{share: "share", user: me.Username, sign: true}
	r.setPassword("secret word")
	r.startServer()
	t.Cleanup(r.killServer)
	r.cable = layCable(t, fmt.Sprintf("127.0.0.1:%d", r.port))
	r.account.address = r.cable.listener.Addr().String()
	r.account.password = "secret word"
	r.share, err = openShare(r.account, options{
		folder: r.mounted, source: "//rig/share", patience: patience,
		uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), fileMode: 0o644, dirMode: 0o755,
	})
	must(t, err)
	t.Cleanup(r.share.close)
	mount, err := r.share.mount()
	must(t, err)
	t.Cleanup(func() {
		if err := mount.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			_ = exec.Command("fusermount3", "-uz", r.mounted).Run()
		}
	})
	return r
}

func programOf(name string) string {
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if file := filepath.Join(folder, name); exec.Command("test", "-x", file).Run() == nil {
			return file
		}
	}
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(atMost); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within %v: %s", atMost, what)
		}
	}
}

func (r *rig) setPassword(password string) {
	r.t.Helper()
	c := exec.Command(programOf("pdbedit"), "-s", r.samba, "-a", "-u", r.account.user, "-t")
	c.Stdin = strings.NewReader(password + "\n" + password + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("pdbedit: %v: %s", err, out)
	}
}

func (r *rig) startServer() {
	r.t.Helper()
	r.smbd = exec.Command(programOf("smbd"), "-F", "--no-process-group", "-s", r.samba)
	r.smbd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// It ends with its standard input, and so with this process.
	_, err := r.smbd.StdinPipe()
	must(r.t, err)
	must(r.t, r.smbd.Start())
	eventually(r.t, "smbd listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// killServer ends smbd and what it started, without a last word to anyone.
func (r *rig) killServer() {
	_ = syscall.Kill(-r.smbd.Process.Pid, syscall.SIGKILL)
	_ = r.smbd.Wait()
}

func (r *rig) sessions() int {
	out, err := exec.Command(programOf("smbstatus"), "-s", r.samba, "-b").Output()
	must(r.t, err)
	return strings.Count(string(out), " (ipv4:")
}

// cable forwards connections.
type cable struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	near     []net.Conn
	far      []net.Conn
	isCut    bool
	dialled  int
}

func layCable(t *testing.T, target string) *cable {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cable{listener: listener, target: target}
	t.Cleanup(func() { _ = listener.Close(); c.set(true); c.closeFar() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c.join(near)
		}
	}()
	return c
}

func (c *cable) join(near net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled++
	far, err := net.Dial("tcp", c.target)
	if c.isCut || err != nil {
		_ = near.Close()
		if err == nil {
			_ = far.Close()
		}
		return
	}
	c.near, c.far = append(c.near, near), append(c.far, far)
	forward := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = near.Close()
	}
	go forward(near, far)
	go forward(far, near)
}

// set ends the program's side of all connections; the server notices nothing, and what it sends stays with it. Cut: new ones end, too.
func (c *cable) set(isCut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = isCut
	for _, near := range c.near {
		_ = near.Close()
	}
	c.near = nil
}

func (c *cable) closeFar() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, far := range c.far {
		_ = far.Close()
	}
}

func (c *cable) tries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialled
}
