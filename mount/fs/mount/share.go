// Package mount shows a share as a file system.
//
// A Share is one FUSE mount, a node a file or folder that the kernel knows, a handle a file that a program has open. go-fuse calls their methods
// (Lookup, Open, Read, Rename, …) for many requests at the same time. A request goes to the server by client.Do, as a function of the connection
// that the link has just now: ask and atPath by name, onFile and onWriter by the server's handle.
//
// Open files. openedOn opens the server's handle on the connection in use, and opens it again on the next one, if it is still the same file
// (isSame); otherwise gone is set and the program gets ESTALE. The kernel's release closes it at the server later (closing counts these). A file
// that is removed or replaced while it is open gets a hidden name until its last close (hidden.go).
//
// What is known. Attributes are believed for a second, a listing for a minute while the server reports changes of the folder (folder.go, watch.go).
// Read bytes stay in the kernel while the server's lease lasts (lease.go); dropRead and dropPages forget them.
//
// Changes. node.order lets those that grow or cut a file run one at a time. One that had no answer is repeated (Try.Again): the repetition first
// checks whether the first try was done. Locks are in locks.go.
//
// Reports. The reporter watches folders that programs here watch by inotify (watchers.go finds them), compares their entries (reported_folder.go) and
// has the repeater (repeat.go) make the kernel report each change.
//
// Locks of this package: a turn of node.order and repeats.turn are held during requests, handle.mu only while the file is opened or closed, room.mu
// while other files are closed, watchers.sweeping while /proc is read; all other mutexes for an instant. A turn is entered before handle.mu, and handle.mu before node.mu.
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

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// How long the kernel may believe attributes and names without asking, so that changes of other clients are seen.
var attributesFor = time.Second

const closedWithin = 2 * time.Second

const programName = "mountaineer-fs"

// Options say how a mount appears.
type Options struct {
	Folder, Source    string
	Uid, Gid          uint32
	FileMode, DirMode uint32
	ReadOnly          bool
	Links             Links
	AllowOther        bool
	// Locks of programs exclude programs of this machine only.
	LocalLocks bool
	// The share's folder in the home; empty: none.
	State string
	// Folders in which all changes of other clients are reported, whether a program watches them or not.
	Watch []string
}

// Share is a share that is mounted.
type Share struct {
	Options
	client      *client.Client
	server      *fuse.Server
	root        *node
	renames     renames
	known       known
	folders     folders
	hidden      hiddenFiles
	copies      copies
	lockedFiles lockedFiles
	// The library opens a file of the mount before it is ready: nothing may wait for the server then, or a kill would never end this program.
	isMounted atomic.Bool
	// When a name or a file was last changed from here, ns.
	written atomic.Int64
	opened  atomic.Int64
	handles sync.Map // that the server has not closed for good
	room    room

	kernelAhead kernelAhead
	// By the server's clock: when it closed the last file that was written from here, ns.
	changedThere atomic.Int64
	// Listings of this server say nothing of files but their names.
	listsNoIds atomic.Bool
	// Reports changes of other clients to programs here.
	watchers watchers
	reporter reporter
	repeats  repeats
	// Work that no program waits for.
	behind sync.WaitGroup

	characters characters
}

// Mount makes the mount. l has signed in.
func Mount(cl *client.Client, options Options) (*Share, error) {
	s := &Share{Options: options, client: cl, characters: characters(cl.Characters())}
	safely.Guard(&s.known.mu, &s.folders.mu, &s.lockedFiles.mu)
	s.hidden.open(options.State)
	s.root = &node{share: s}
	at, err := s.root.look(context.Background(), "")
	if err != nil {
		return nil, err
	}
	s.root.learn(at)
	cl.OnMove(s.leaveLocks, s.arrived)
	cl.OnFull(s.makeRoom)
	// The kernel checks the modes.
	how := []string{"nosuid", "nodev", "default_permissions"}
	if s.ReadOnly {
		how = append(how, "ro")
	}
	mountOptions := fuse.MountOptions{
		FsName:            s.Source,
		Name:              programName,
		Options:           how,
		AllowOther:        s.AllowOther,
		MaxBackground:     64,
		MaxWrite:          chunkAtMost,
		DisableXAttrs:     true,
		EnableLocks:       !s.LocalLocks,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC,
		PanicHandler: func(value any) fuse.Status {
			safely.Panicked(value)
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
	s.kernelAhead.begin(is.Dev)
	s.beginReporting(is.Dev)
	if !s.ReadOnly {
		s.behind.Go(safely.Of(func() { _, _ = s.removeLeftovers() }))
	}
	return s, nil
}

// Wait returns once the share is unmounted, and what no program waits for is done, or takes too long.
func (s *Share) Wait() {
	s.server.Wait()
	s.endReporting()
	_, _ = client.Await(context.Background(), nil, safely.Done(s.behind.Wait), time.Now().Add(closedWithin))
}

// Unmount fails while something is open.
func (s *Share) Unmount() error {
	s.repeats.turn.Lock()
	defer s.repeats.turn.Unlock()
	return s.server.Unmount()
}

// Detach takes the mount away; open files end with this program.
func (s *Share) Detach() error {
	return exec.Command("fusermount3", "-u", "-z", s.Folder).Run()
}

// Counts are the handles that programs have open, and the removed files among them.
func (s *Share) Counts() (open, hidden int) { return int(s.opened.Load()), s.hidden.count() }

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
func IsCheck(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return false
	}
	read := safely.Ask(func() ([]string, error) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(int(request.Caller.Pid)) + "/cmdline")
		return strings.Split(string(text), "\x00"), err
	})
	got, _ := client.Await(context.Background(), nil, read, time.Now().Add(readWithin))
	return slices.ContainsFunc(got.Value, func(each string) bool {
		return strings.TrimSuffix(filepath.Base(each), filepath.Ext(each)) == checker
	})
}

// ask plays op on the session for files; it changes nothing, or the same if it is played twice.
func ask[T any](ctx context.Context, s *Share, op func(client.Attempt) (T, error)) (T, error) {
	return client.Do(ctx, s.client, client.Needs{Session: client.Files}, op, nil)
}

// change is ask for an op that changes something.
func change[T any](ctx context.Context, s *Share, session client.Session, op func(client.Attempt) (T, error), unwanted func(T)) (T, error) {
	return client.Do(ctx, s.client, client.Needs{Session: session, Changes: true}, op, unwanted)
}
