package mount

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"io/fs"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

const (
	mib     = 1 << 20
	patient = time.Minute
)

// mounted is a share of a rig, mounted in this process.
type mounted struct {
	*rig.Rig
	folder string
	client *client.Client
	share  *Share
}

func newMount(t *testing.T, patience time.Duration, options ...rig.Option) *mounted {
	t.Helper()
	return mountOf(t, rig.New(t, options...), patience)
}

func mountOf(t *testing.T, r *rig.Rig, patience time.Duration, links ...Links) *mounted {
	t.Helper()
	folder, err := os.MkdirTemp(r.Folder, "mounted")
	rig.Must(t, err)
	m := &mounted{Rig: r, folder: folder}
	var known atomic.Pointer[Share]
	m.client = client.New(client.Options{
		Account: r.Account, Routes: []smb.Route{r.Cable.Route("only")}, Patience: patience, Killed: Killed, IsCheck: IsCheck,
		Logins: logins.New("", r.Account.User, "", r.Account.Password),
		Known: func() []identity.Entry {
			if share := known.Load(); share != nil {
				return share.Known()
			}
			return nil
		},
	})
	rig.Must(t, m.client.Start(context.Background()))
	t.Cleanup(m.client.Close)
	options := Options{
		Folder: m.folder, Source: "//rig/share", Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), FileMode: 0o644, DirMode: 0o755,
	}
	if len(links) > 0 {
		options.Links = links[0]
	}
	share, err := Mount(m.client, options)
	rig.Must(t, err)
	m.share = share
	known.Store(share)
	rig.Must(t, refusePolls(folder))
	t.Cleanup(func() {
		if err := share.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			_ = exec.Command("fusermount3", "-uz", m.folder).Run()
		}
		share.Wait()
	})
	return m
}

// refusePolls has the kernel ask once whether a file is ready, which go-fuse does not know: it never asks again. Go's runtime asks for each file
// that this process opens, while no goroutine may answer.
func refusePolls(folder string) error {
	fd, err := unix.Open(filepath.Join(folder, ".go-fuse-epoll-hack"), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return unix.Close(fd)
}

func (m *mounted) here(name string) string { return filepath.Join(m.folder, name) }

// connected waits until both sessions stand.
func (m *mounted) connected(session client.Session) *client.Conn {
	m.T.Helper()
	try, err := client.Do(context.Background(), m.client, client.Needs{Session: session}, func(t client.Attempt) (client.Attempt, error) { return t, nil }, nil)
	rig.Must(m.T, err)
	return try.Conn
}

func (m *mounted) put(name string, size int) []byte {
	m.T.Helper()
	data := make([]byte, size)
	_, _ = rand.New(rand.NewSource(int64(size))).Read(data)
	rig.Must(m.T, os.MkdirAll(filepath.Dir(m.Theirs(name)), 0o755))
	rig.Must(m.T, os.WriteFile(m.Theirs(name), data, 0o644))
	return data
}

func (m *mounted) open(name string) *os.File { return openFile(m.T, m.here(name), os.O_RDONLY) }

func isAt(f *os.File, data []byte, off int64) error {
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, off); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("other bytes")
	}
	return nil
}

func dropPages(f *os.File) error {
	const dontNeed = 4
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func write(t *testing.T, file, text string) {
	t.Helper()
	rig.Must(t, os.WriteFile(file, []byte(text), 0o644))
}

func openFile(t *testing.T, file string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(file, flags, 0o644)
	rig.Must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func add(t *testing.T, f *os.File, text string) {
	t.Helper()
	_, err := f.WriteString(text)
	rig.Must(t, err)
}

// tree is all files below a folder, without hidden ones.
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

func (m *mounted) has(want map[string]string) {
	m.T.Helper()
	for side, folder := range map[string]string{"server": m.Export, "mount": m.folder} {
		if got := tree(folder); !reflect.DeepEqual(got, want) {
			m.T.Errorf("%s has %v", side, got)
		}
	}
}

// cutOften cuts every connection a while after it stands, until what it returns is called.
func (m *mounted) cutOften(after time.Duration) (stop func() int) {
	ended, all := make(chan struct{}), make(chan int)
	go func() {
		for cuts := 0; ; cuts++ {
			m.connected(client.Files)
			select {
			case <-ended:
				all <- cuts
				return
			case <-time.After(after):
			}
			m.Cable.Set(false)
		}
	}()
	return func() int { close(ended); return <-all }
}
