// Package mount shows a share as a file system.
//
// A Share is one FUSE mount, a node a file or folder that the kernel knows, a handle a file that a program has open. go-fuse calls their methods
// (Lookup, Open, Read, Rename, …) for many requests at the same time. A method sends its request by client.Do, as a function that runs on
// whatever connection the client has: query, atPath and atName by name, onFile and onWriter by the server's handle.
//
// Open files: openedOn opens the server's handle on the connection in use, and again on the next one if the file is still the same (isSame);
// otherwise it sets lost, and the program gets ESTALE. After the kernel's release the server's handle is closed in the background. A file that is
// removed or replaced while it is open gets a hidden name until its last close (hidden.go).
//
// Caches: the kernel keeps attributes for a second, and a folder's listing is used for a minute while the server reports changes of the
// folder (folder.go, subscription.go). The kernel keeps read bytes while the file's lease lasts (lease.go); dropRead and dropPages drop them.
//
// Changes: node.order runs those that grow or cut a file one at a time. A change without an answer is sent again (Attempt.IsRetry): the retry
// first checks whether the server has executed it already. Locks of files: locks.go.
//
// Reports of changes by other clients: the reporter subscribes to folders that programs on this machine watch by inotify (watchers.go finds
// them), compares their entries (reported_folder.go), and has the repeater (repeat.go) make the kernel report each change.
//
// Mutexes: a turn of node.order and repeats.turn are held during requests, handle.mu only while the file is opened or closed, room.mu while other
// files are closed, watchers.scanning while /proc is read; all others for an instant. A turn comes before handle.mu, handle.mu before node.mu.
package mount

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// How long the kernel may use attributes and names without asking again: changes by other clients appear within that.
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
	// Locks only exclude programs on this machine.
	LocalLocks bool
	// The share's folder in the home; empty: none.
	State string
	// Folders below which all changes by other clients are reported, whether a program watches them or not.
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
	// While this is false no request may wait for the server: the library itself opens the mount, and a kill could not end this program.
	isMounted atomic.Bool
	// When a program on this machine last changed a file or name, Unix ns.
	lastChange atomic.Int64
	opened     atomic.Int64
	handles    sync.Map // whose last close the server has not answered
	room       room

	kernelReadAhead kernelReadAhead
	// When the server closed the last file that this mount has written, by the server's clock, Unix ns.
	lastCloseTime atomic.Int64
	// Listings of this server only have names.
	listsNoIds atomic.Bool
	// Reports changes of other clients to programs here.
	watchers watchers
	reporter reporter
	repeats  repeats
	// Work that no request waits for.
	background sync.WaitGroup

	mapping nameMapping
}

// Mount makes the mount; cl has signed in.
func Mount(cl *client.Client, options Options) (*Share, error) {
	s := &Share{Options: options, client: cl, mapping: nameMapping(cl.NameMapping())}
	s.folders.listedAt, s.folders.subscriptions = map[*node]time.Time{}, map[*node]*subscription{}
	safely.Guard(&s.known.mu, &s.folders.mu, &s.lockedFiles.mu)
	s.hidden.open(options.State)
	s.root = &node{share: s}
	info, err := s.root.statPath(context.Background(), "")
	if err != nil {
		return nil, err
	}
	s.root.storeStat(info)
	cl.SetHooks(s.closeLockHandles, s.onConnected, s.makeRoom)
	device, err := s.serve()
	if err != nil {
		return nil, smb.Fail(smb.Fuse, err)
	}
	s.kernelReadAhead.begin(device)
	s.beginReporting(device)
	if !s.ReadOnly {
		s.background.Go(safely.Of(s.removeLeftovers))
	}
	return s, nil
}

// serve mounts the share and answers the kernel from then on. It returns the mount's device.
func (s *Share) serve() (device uint64, err error) {
	options := s.mountOptions()
	raw := fs.NewNodeFS(s.root, &fs.Options{MountOptions: options, AttrTimeout: &attributesFor, EntryTimeout: &attributesFor, NullPermissions: true})
	if _, err := os.Stat(s.Folder); err != nil {
		return 0, err
	}
	if s.server, err = fuse.NewServer(kernel{raw, s}, s.Folder, &options); err != nil {
		return 0, err
	}
	go s.server.Serve()
	if err := s.server.WaitMount(); err != nil {
		return 0, err
	}
	var root unix.Stat_t
	err = unix.Stat(s.Folder, &root)
	s.isMounted.Store(true)
	return root.Dev, err
}

func (s *Share) mountOptions() fuse.MountOptions {
	// The kernel checks the modes.
	options := []string{"nosuid", "nodev", "default_permissions"}
	if s.ReadOnly {
		options = append(options, "ro")
	}
	return fuse.MountOptions{
		FsName: s.Source, Name: programName, Options: options, AllowOther: s.AllowOther, MaxBackground: 64, MaxWrite: chunkAtMost, DisableXAttrs: true,
		EnableLocks: !s.LocalLocks, ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC,
		PanicHandler: func(value any) fuse.Status {
			safely.Panicked(value)
			return fuse.EIO
		},
	}
}

// Wait returns once the share is unmounted and background work has ended, or takes too long.
func (s *Share) Wait() {
	s.server.Wait()
	s.endReporting()
	_, _ = client.Await(context.Background(), nil, safely.Done(s.background.Wait), time.Now().Add(closedWithin))
}

// Unmount fails while something is open.
func (s *Share) Unmount() error {
	s.repeats.turn.Lock()
	defer s.repeats.turn.Unlock()
	return s.server.Unmount()
}

// Detach unmounts although files are open; they are lost when this program ends.
func (s *Share) Detach() error {
	return exec.Command("fusermount3", "-u", "-z", s.Folder).Run()
}

// Counts are the handles that programs have open, and the removed files among them.
func (s *Share) Counts() (open, hidden int) { return int(s.opened.Load()), s.hidden.count() }

// Known returns files by which the server is recognized: the open ones, then others that the kernel knows.
func (s *Share) Known() []identity.Entry { return s.known.entries() }

// query runs op on the session for files. op changes nothing, or the same if it runs twice.
func query[T any](ctx context.Context, s *Share, op func(client.Attempt) (T, error)) (T, error) {
	return client.Do(ctx, s.client, client.Needs{Session: client.Files}, op, nil)
}

// change runs an op that changes something.
func change[T any](ctx context.Context, s *Share, session client.Session, op func(client.Attempt) (T, error), unwanted func(T)) (T, error) {
	return client.Do(ctx, s.client, client.Needs{Session: session, Changes: true}, op, unwanted)
}
