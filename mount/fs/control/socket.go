// Package control is how a daemon reads and steers a mount: a unix socket, a journal, and a file that says where both are.
//
// Open begins the journal, Listen answers on the socket, Serves says that the mount is there. Each connection of a daemon has a goroutine that reads
// one command a line and starts a goroutine for it (control.go); one that watches gets the status whenever it changes. Commands go to the
// client.Client and the Mounted; no lock is held while one runs, so a move that takes long delays no other command. journal.go keeps what happened, across
// restarts. The lines and files are in README.md.
package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The longest path of a socket that every system takes, with a margin.
const socketPathAtMost = 100

const shortFolder = "mountaineer-"

// listen makes a socket to which only this user can connect: in the share's folder, or, if the path is too long for a socket or its file system
// has no sockets, in a private folder elsewhere.
func listen(folder string) (*net.UnixListener, error) {
	usual := filepath.Join(folder, "control.sock")
	listener, err := listenIn(folder, usual)
	for _, base := range shortBases() {
		if err == nil {
			return listener, nil
		}
		listener, err = listenBelow(base)
	}
	return listener, err
}

func listenIn(folder, path string) (*net.UnixListener, error) {
	if len(path) > socketPathAtMost {
		return nil, errors.New("the path is too long for a socket")
	}
	// A socket gets its mode after it is bound, so it is bound in a folder that no other user can enter.
	workshop := filepath.Join(folder, ".sock")
	if err := os.RemoveAll(workshop); err != nil {
		return nil, err
	}
	if err := os.Mkdir(workshop, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(workshop)
	listener, err := bind(filepath.Join(workshop, "s"))
	if err == nil {
		err = os.Rename(filepath.Join(workshop, "s"), path)
	}
	return listener, err
}

func listenBelow(base string) (*net.UnixListener, error) {
	folder, err := os.MkdirTemp(base, shortFolder)
	if err != nil {
		return nil, err
	}
	listener, err := bind(filepath.Join(folder, "sock"))
	if err != nil {
		_ = os.Remove(folder)
	}
	return listener, err
}

func bind(path string) (*net.UnixListener, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	return listener, os.Chmod(path, 0o600)
}

func shortBases() []string {
	bases := []string{os.TempDir(), "/tmp"}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		bases = append([]string{runtime}, bases...)
	}
	return bases
}

// isOwn: the other process is of this user or root.
func isOwn(client *net.UnixConn) bool {
	raw, err := client.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil || err != nil {
		return false
	}
	return peer.Uid == 0 || int(peer.Uid) == os.Geteuid()
}

// programFile is program.json, by which a daemon finds the running program.
type programFile struct {
	V         int    `json:"v"`
	Pid       int    `json:"pid"`
	StartTime string `json:"startTime"`
	Version   string `json:"version"`
	Socket    string `json:"socket"`
	Mounted   string `json:"mounted"`
	Folder    string `json:"folder"`
}

func programFilePath(folder string) string { return filepath.Join(folder, "program.json") }

func (n programFile) write() error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	path := programFilePath(n.Folder)
	if err = os.WriteFile(path+".new", append(text, '\n'), 0o600); err == nil {
		return os.Rename(path+".new", path)
	}
	_ = os.Remove(path + ".new")
	if errors.Is(err, syscall.ENOSPC) && overwrite(path, text) == nil {
		return nil
	}
	return err
}

// overwrite writes into the file of an earlier program: on a full disk there is no space for a new one.
func overwrite(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if left := int(info.Size()) - len(text); left > 0 {
		text = append(text, bytes.Repeat([]byte{' '}, left)...)
	}
	_, err = file.WriteAt(text, 0)
	return err
}

func readProgramFile(folder string) (n programFile, err error) {
	text, err := os.ReadFile(programFilePath(folder))
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	return n, err
}

// removeStale removes the socket of an earlier program outside of the home, and its folder, if they are this user's.
func removeStale(folder string) {
	if before, err := readProgramFile(folder); err == nil && before.Folder == folder {
		removeShort(before.Socket)
	}
}

func removeShort(socket string) {
	below := filepath.Dir(socket)
	info, err := os.Lstat(below)
	if err != nil || filepath.Base(socket) != "sock" || !strings.HasPrefix(filepath.Base(below), shortFolder) || !info.IsDir() {
		return
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == os.Geteuid() {
		_ = os.Remove(socket)
		_ = os.Remove(below)
	}
}
