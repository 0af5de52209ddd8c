package mount

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

// kernel intercepts the kernel's requests before the library, for what nodes do not get from it: whether a write comes from the page cache, who
// owns locks, and when the library has applied a rename.
type kernel struct {
	fuse.RawFileSystem
	share *Share
}

// fromPages stands for the thread of a write from the page cache (a mapping).
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

// Flush passes on the lock owner, which the library drops, in the fields of user and group, which Flush does not use.
func (k kernel) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	in.Uid, in.Gid = uint32(in.LockOwner), uint32(in.LockOwner>>32)
	return k.RawFileSystem.Flush(cancel, in)
}

func lockOwnerOf(flushing context.Context) uint64 {
	request, ok := flushing.(*fuse.Context)
	if !ok {
		return 0
	}
	return uint64(request.Caller.Uid) | uint64(request.Caller.Gid)<<32
}

func (k kernel) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	k.markRepeater(&in.InHeader)
	defer k.share.renames.begin()()
	return k.RawFileSystem.Rename(cancel, in, from, to)
}

func (k kernel) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	k.markRepeater(in)
	defer k.share.renames.begin()()
	return k.RawFileSystem.Unlink(cancel, in, name)
}

// renames counts renames and removals: between the server's answer and the library's update of the tree, a node's path is wrong.
type renames struct {
	mu      sync.Mutex
	ended   int
	pending map[chan struct{}]struct{}
}

// begin counts a rename, until the function that it returns is called.
func (m *renames) begin() func() {
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

func (m *renames) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// awaitSince waits for the renames in flight, not for later ones. It returns whether there were any since count returned before.
func (m *renames) awaitSince(ctx context.Context, before int) bool {
	m.mu.Lock()
	isAny := m.ended != before || len(m.pending) > 0
	pending := slices.Collect(maps.Keys(m.pending))
	m.mu.Unlock()
	for _, end := range pending {
		if _, err := client.Await(ctx, Killed, end, time.Time{}); err != nil {
			return false
		}
	}
	return isAny
}

// atPath runs op with the path of n, and again with the new path if n was renamed at that moment.
func atPath[T any](ctx context.Context, n *node, use client.Needs, op func(t client.Attempt, path string) (T, error)) (T, error) {
	return onAnyPath(ctx, n.share, use, n.serverPaths, op)
}

// atName is atPath for a name in the folder n.
func atName[T any](ctx context.Context, n *node, name string, use client.Needs, op func(t client.Attempt, path string) (T, error)) (T, error) {
	return onAnyPath(ctx, n.share, use, func() ([]string, error) {
		path, err := n.pathOfName(name)
		return []string{path}, err
	}, op)
}

var (
	reading  = client.Needs{Session: client.Files}
	changing = client.Needs{Session: client.Files, Changes: true}
)

func onAnyPath[T any](ctx context.Context, s *Share, use client.Needs, where func() ([]string, error), op func(t client.Attempt, path string) (T, error)) (T, error) {
	for {
		var got T
		before := s.renames.count()
		paths, err := where()
		if err != nil {
			return got, err
		}
		for i, path := range paths {
			if i > 0 && !isStaleName(err) {
				break
			}
			got, err = client.Do(ctx, s.client, use, func(t client.Attempt) (T, error) { return op(t, path) }, nil)
		}
		if !isAbsent(err) || !s.renames.awaitSince(ctx, before) {
			return got, err
		}
		if now, gone := where(); gone != nil || slices.Equal(now, paths) {
			return got, err
		}
	}
}

// isStaleName: the file is not at that name; another name of it may still lead there.
func isStaleName(err error) bool { return errors.Is(err, syscall.ESTALE) || isAbsent(err) }
