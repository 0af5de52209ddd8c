package main

import (
	"context"
	"log"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// What the kernel may believe without asking, so that the changes of others are seen.
var attributesFor = time.Second

const closedWithin = 2 * time.Second

// fileSystem is a share that is mounted.
type fileSystem struct {
	options
	// files holds all open files.
	files *server
	// names renames and removes. Samba refuses to rename a folder in which the same client has files open, or over a file that it has open,
	// and allows both to another client; the library gives each connection a client's mark (ClientGuid) of its own.
	names *server
	moves moves
	// When a file was last changed from here, ns.
	written atomic.Int64
	// What no program waits for: removing what was removed while it was open.
	behind sync.WaitGroup
}

// openShare signs in.
func openShare(a account, o options) (*fileSystem, error) {
	l := &login{}
	f := &fileSystem{options: o, files: newServer(a, l, o.patience), names: newServer(a, l, o.patience)}
	if err := f.files.signIn(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *fileSystem) close() {
	done := make(chan struct{})
	go func() { f.behind.Wait(); close(done) }()
	_, _ = await(context.Background(), done, time.Now().Add(closedWithin))
	f.files.close()
	f.names.close()
}

func (f *fileSystem) mount() (*fuse.Server, error) {
	ctx := context.Background()
	root := &node{share: f}
	at, err := root.look(ctx, "")
	if err != nil {
		return nil, err
	}
	root.is, root.seen = at.is, at.seen
	// The kernel checks the modes.
	how := []string{"nosuid", "nodev", "default_permissions"}
	if f.readOnly {
		how = append(how, "ro")
	}
	mountOptions := fuse.MountOptions{
		FsName:            f.source,
		Name:              "mountaineer-fs",
		Options:           how,
		AllowOther:        f.allowOther,
		MaxBackground:     64,
		MaxWrite:          chunkAtMost,
		DisableXAttrs:     true,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC,
		PanicHandler: func(mistake any) fuse.Status {
			log.Printf("mountaineer-fs: %v\n%s", mistake, debug.Stack())
			return fuse.EIO
		},
	}
	raw := fs.NewNodeFS(root, &fs.Options{
		MountOptions:    mountOptions,
		AttrTimeout:     &attributesFor,
		EntryTimeout:    &attributesFor,
		NullPermissions: true,
	})
	if _, err := os.Stat(f.folder); err != nil {
		return nil, failure{"fuse", err}
	}
	mounted, err := fuse.NewServer(kernel{raw, f}, f.folder, &mountOptions)
	if err != nil {
		return nil, failure{"fuse", err}
	}
	go mounted.Serve()
	if err := mounted.WaitMount(); err != nil {
		return nil, failure{"fuse", err}
	}
	if !f.readOnly {
		f.behind.Go(func() { safely(f.removeLeftovers) })
	}
	return mounted, nil
}

// kernel adds to the library what it keeps from files and folders: which writes come from a mapping, and when it knows of a rename.
type kernel struct {
	fuse.RawFileSystem
	share *fileSystem
}

// fromPages is the thread that writes what the kernel has in its pages.
const fromPages = ^uint32(0)

func (k kernel) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		in.Pid = fromPages
	}
	return k.RawFileSystem.Write(cancel, in, data)
}

func isFromPages(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	return ok && request.Caller.Pid == fromPages
}

func (k kernel) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	defer k.share.moves.begin()()
	return k.RawFileSystem.Rename(cancel, in, from, to)
}

func (k kernel) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	defer k.share.moves.begin()()
	return k.RawFileSystem.Unlink(cancel, in, name)
}

// moves counts renames: between the server's answer and the kernel's, a file is not where its node says.
type moves struct {
	mu      sync.Mutex
	ended   int
	pending map[chan struct{}]struct{}
}

// begin returns what ends it.
func (m *moves) begin() func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending == nil {
		m.pending = map[chan struct{}]struct{}{}
	}
	end := make(chan struct{})
	m.pending[end] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ended++
		delete(m.pending, end)
		close(end)
	}
}

func (m *moves) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// since waits for the renames that are under way, not for later ones, and says whether there was any since the count was before.
func (m *moves) since(ctx context.Context, before int) bool {
	m.mu.Lock()
	isAny := m.ended != before || len(m.pending) > 0
	pending := slices.Collect(maps.Keys(m.pending))
	m.mu.Unlock()
	for _, end := range pending {
		if _, err := await(ctx, end, time.Time{}); err != nil {
			return false
		}
	}
	return isAny
}

// atPath plays op with the path of n, and again if it was not there because it was just renamed.
func atPath[T any](ctx context.Context, n *node, s *server, op func(c *connection, path string) (T, error)) (T, error) {
	return wherever(ctx, n.share, s, n.where, op)
}

// inFolder is atPath for a name in the folder n.
func inFolder[T any](ctx context.Context, n *node, name string, s *server, op func(c *connection, path string) (T, error)) (T, error) {
	return wherever(ctx, n.share, s, func() (string, error) { return n.at(name) }, op)
}

func wherever[T any](ctx context.Context, f *fileSystem, s *server, where func() (string, error), op func(c *connection, path string) (T, error)) (T, error) {
	for {
		before := f.moves.count()
		path, err := where()
		if err != nil {
			return *new(T), err
		}
		got, err := ask(ctx, s, func(c *connection) (T, error) { return op(c, path) })
		if !isAbsent(err) || !f.moves.since(ctx, before) {
			return got, err
		}
		if now, gone := where(); gone != nil || now == path {
			return got, err
		}
	}
}
