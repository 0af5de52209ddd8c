// Package mount shows a share as a file system.
package mount

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/link"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// What the kernel may believe without asking, so that the changes of others are seen.
var attributesFor = time.Second

const closedWithin = 2 * time.Second

// Options say how a mount appears.
type Options struct {
	Folder, Source    string
	Uid, Gid          uint32
	FileMode, DirMode uint32
	ReadOnly          bool
	Links             Links
	AllowOther        bool
	// What programs lock is locked on this machine only.
	LocalLocks bool
	// The share's folder in the home; empty: none.
	State string
	// Folders in which all changes of other clients are heard, whoever watches them.
	Watch []string
}

// Share is a share that is mounted.
type Share struct {
	Options
	link    *link.Link
	server  *fuse.Server
	root    *node
	renames renames
	known   known
	folders folders
	aside   asideList
	copies  copies
	holders holders
	// The library opens a file of the mount before it is ready: nothing may wait for the server then, or a kill would never end this program.
	isMounted atomic.Bool
	// When a name or a file was last changed from here, ns.
	written atomic.Int64
	opened  atomic.Int64
	handles sync.Map // that the server has not closed for good
	room    room
	// By the server's clock: when it closed the last file that was written from here, ns.
	changedThere atomic.Int64
	// Listings of this server say nothing of files but their names.
	listsNoIds atomic.Bool
	// What other clients change is told to programs here.
	watchers watchers
	hearing  hearing
	repeats  repeats
	// What no program waits for.
	behind sync.WaitGroup

	characters characters
}

// Mount makes the mount. l has signed in.
func Mount(l *link.Link, options Options) (*Share, error) {
	s := &Share{Options: options, link: l, characters: characters(l.Characters())}
	safely.Guard(&s.known.mu, &s.folders.mu, &s.holders.mu)
	s.aside.open(options.State)
	s.root = &node{share: s}
	at, err := s.root.look(context.Background(), "")
	if err != nil {
		return nil, err
	}
	s.root.learn(at)
	l.OnMove(s.leaveLocks, s.regainLocks)
	l.OnFull(s.makeRoom)
	// The kernel checks the modes.
	how := []string{"nosuid", "nodev", "default_permissions"}
	if s.ReadOnly {
		how = append(how, "ro")
	}
	mountOptions := fuse.MountOptions{
		FsName:            s.Source,
		Name:              "mountaineer-fs",
		Options:           how,
		AllowOther:        s.AllowOther,
		MaxBackground:     64,
		MaxWrite:          chunkAtMost,
		DisableXAttrs:     true,
		EnableLocks:       !s.LocalLocks,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC,
		PanicHandler: func(mistake any) fuse.Status {
			safely.Mistake(mistake)
			return fuse.EIO
		},
	}
	raw := fs.NewNodeFS(s.root, &fs.Options{
		MountOptions:    mountOptions,
		AttrTimeout:     &attributesFor,
		EntryTimeout:    &attributesFor,
		NullPermissions: true,
	})
	if _, err := os.Stat(s.Folder); err != nil {
		return nil, smb.Fail(smb.Fuse, err)
	}
	if s.server, err = fuse.NewServer(kernel{raw, s}, s.Folder, &mountOptions); err != nil {
		return nil, smb.Fail(smb.Fuse, err)
	}
	go s.server.Serve()
	if err := s.server.WaitMount(); err != nil {
		return nil, smb.Fail(smb.Fuse, err)
	}
	var is unix.Stat_t
	err = unix.Stat(s.Folder, &is)
	s.isMounted.Store(true)
	if err != nil {
		return nil, smb.Fail(smb.Fuse, err)
	}
	s.beginHearing(is.Dev)
	if !s.ReadOnly {
		s.behind.Go(safely.Of(func() { _, _ = s.removeLeftovers() }))
	}
	return s, nil
}

// Wait returns once the share is unmounted, and what no program waits for is done, or takes too long.
func (s *Share) Wait() {
	s.server.Wait()
	s.endHearing()
	_, _ = link.Await(context.Background(), nil, safely.Done(s.behind.Wait), time.Now().Add(closedWithin))
}

// Unmount fails while something is open.
func (s *Share) Unmount() error {
	s.repeats.turn.Lock()
	defer s.repeats.turn.Unlock()
	return s.server.Unmount()
}

// Detach takes the mount away; what is open ends with this program.
func (s *Share) Detach() error {
	return exec.Command("fusermount3", "-u", "-z", s.Folder).Run()
}

// Counts are the handles that programs have open, and the removed files among them.
func (s *Share) Counts() (open, aside int) { return int(s.opened.Load()), s.aside.count() }

// Known are files that tell the server from another one: those that are open, then others that the kernel knows.
func (s *Share) Known() []identity.Entry { return s.known.entries() }

// Killed: the thread that asked is going to end, and waits only for its answer.
func Killed(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return ctx.Err() != nil
	}
	// 0: of a namespace that is not seen from here.
	pid := int(int32(request.Caller.Pid))
	if pid <= 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		// /proc may hide it.
		return syscall.Kill(pid, 0) == syscall.ESRCH
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if mask, ok := strings.CutPrefix(line, "SigPnd:\t"); ok {
			pending, err := strconv.ParseUint(mask, 16, 64)
			return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
		}
	}
	return false
}

// The daemon's process that asks mounts runs this program.
const checker = "prober-child"

// To read what a process runs takes that long only while the process waits for a page of this mount.
const readWithin = 50 * time.Millisecond

// Check: the daemon asks, to learn how the mount is.
func Check(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return false
	}
	read := safely.Ask(func() ([]string, error) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(int(request.Caller.Pid)) + "/cmdline")
		return strings.Split(string(text), "\x00"), err
	})
	got, _ := link.Await(context.Background(), nil, read, time.Now().Add(readWithin))
	return slices.ContainsFunc(got.Value, func(each string) bool {
		return strings.TrimSuffix(filepath.Base(each), filepath.Ext(each)) == checker
	})
}

// ask plays op on the session for files; it changes nothing, or the same if it is played twice.
func ask[T any](ctx context.Context, s *Share, op func(link.Try) (T, error)) (T, error) {
	return link.Do(ctx, s.link, link.Use{Session: link.Files}, op, nil)
}

// change is ask for an op that changes something.
func change[T any](ctx context.Context, s *Share, session link.Session, op func(link.Try) (T, error), unwanted func(T)) (T, error) {
	return link.Do(ctx, s.link, link.Use{Session: session, Changes: true}, op, unwanted)
}
