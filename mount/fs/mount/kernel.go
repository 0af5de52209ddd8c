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

// kernel passes on what the library does not tell nodes: which writes are those of a mapping, and when the library has applied a rename.
type kernel struct {
	fuse.RawFileSystem
	share *Share
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

// Flush passes on the owner of the locks that end, which the library drops: in place of the user and the group, which Flush does not use.
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
	k.from(&in.InHeader)
	defer k.share.renames.begin()()
	return k.RawFileSystem.Rename(cancel, in, from, to)
}

func (k kernel) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	k.from(in)
	defer k.share.renames.begin()()
	return k.RawFileSystem.Unlink(cancel, in, name)
}

// renames counts renames: between the server's answer and the kernel's, a file is not where its node says.
type renames struct {
	mu      sync.Mutex
	ended   int
	pending map[chan struct{}]struct{}
}

// begin returns what ends it.
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

// since waits for the renames in flight, not for later ones, and returns whether there was any since the count was before.
func (m *renames) since(ctx context.Context, before int) bool {
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

// atPath plays op with the path of n, and again if it was not there because it was just renamed.
func atPath[T any](ctx context.Context, n *node, use client.Needs, op func(t client.Attempt, path string) (T, error)) (T, error) {
	return wherever(ctx, n.share, use, n.everywhere, op)
}

// inFolder is atPath for a name in the folder n.
func inFolder[T any](ctx context.Context, n *node, name string, use client.Needs, op func(t client.Attempt, path string) (T, error)) (T, error) {
	return wherever(ctx, n.share, use, func() ([]string, error) {
		path, err := n.at(name)
		return []string{path}, err
	}, op)
}

var (
	looking  = client.Needs{Session: client.Files}
	changing = client.Needs{Session: client.Files, Changes: true}
)

func wherever[T any](ctx context.Context, s *Share, use client.Needs, where func() ([]string, error), op func(t client.Attempt, path string) (T, error)) (T, error) {
	for {
		var got T
		before := s.renames.count()
		paths, err := where()
		if err != nil {
			return got, err
		}
		for i, path := range paths {
			if i > 0 && !isElsewhere(err) {
				break
			}
			got, err = client.Do(ctx, s.client, use, func(t client.Attempt) (T, error) { return op(t, path) }, nil)
		}
		if !isAbsent(err) || !s.renames.since(ctx, before) {
			return got, err
		}
		if now, gone := where(); gone != nil || slices.Equal(now, paths) {
			return got, err
		}
	}
}

// isElsewhere: that name does not lead to the file, and another one may.
func isElsewhere(err error) bool { return errors.Is(err, syscall.ESTALE) || isAbsent(err) }
