package mount

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// handle is a file that a program has open: at the server by one handle after another, each on the same file.
type handle struct {
	node    *node
	access  smb2.Access
	appends bool
	life    context.Context
	end     context.CancelFunc
	closed  chan struct{} // once the server has closed it
	ahead   readAhead
	// It is to be opened by its new name.
	isReplaced atomic.Bool
	// Written to since the server has the time of that.
	isDirty atomic.Bool
	// When the server last got a time by it, Unix ns: it keeps that while the handle writes.
	timed atomic.Int64
	// Written to, and perhaps not on the disk of the server that was started then.
	unsynced atomic.Pointer[time.Time]

	// Held while it is opened or closed at the server, which ends with the connection at the latest.
	mu       sync.Mutex
	file     *smb2.Handle
	on       *client.Conn
	before   *smb2.Handle // of a file that was replaced: Samba looks for some of its attributes under the old name
	isKnown  bool         // it was open once: only the same file may be opened again
	gone     syscall.Errno
	released bool

	// It is the lock handle of its file (locks.go).
	isLockHandle bool
	// Requests that use it now, and when one last did, Unix ns.
	users atomic.Int64
	used  atomic.Int64
	// When a program last closed a descriptor of it, Unix ns.
	flushed atomic.Int64
}

// newHandle counts as open from now on.
func newHandle(n *node, flags uint32) *handle {
	h := &handle{node: n, access: accessOf(flags), appends: flags&syscall.O_APPEND != 0, closed: make(chan struct{})}
	h.life, h.end = context.WithCancel(context.Background())
	h.ahead.size = chunkAtMost
	n.share.opened.Add(1)
	n.share.handles.Store(h, nil)
	places := n.Places()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.open) == 0 {
		n.open = map[*handle]struct{}{}
		if len(places) > 0 {
			n.opened = places[0]
		}
	}
	n.open[h] = struct{}{}
	return h
}

func accessOf(flags uint32) smb2.Access {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		return smb2.AccessRead
	case syscall.O_WRONLY:
		return smb2.AccessWrite
	}
	return smb2.AccessRead | smb2.AccessWrite
}

func (h *handle) mayWrite() bool { return h.access&smb2.AccessWrite == smb2.AccessWrite }

func (h *handle) isOpened() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file != nil && h.gone == 0
}

// openedOn returns the server's handle. On another connection, or after the server has closed it, the file is opened again: without a
// truncation, and only if it is still the same file. So is one that was replaced, by its new name; requests in flight keep the old
// handle.
func (h *handle) openedOn(c *client.Conn) (*smb2.Handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isReplaced.Swap(false) && h.file != nil && h.before == nil {
		h.before, h.file = h.file, nil
	}
	switch {
	case h.released:
		return nil, syscall.EBADF
	case h.gone != 0:
		return nil, h.gone
	case h.file != nil && h.on == c:
		return h.file, nil
	}
	isAlone := false
	if h.isLockHandle && h.mayHaveChanged() {
		var err error
		if isAlone, err = h.isAlone(c); err != nil {
			return nil, err
		}
	}
	opened, err := h.node.reopen(h.life, c, h.access)
	if h.isKnown && isAbsent(err) {
		err = syscall.ESTALE
	}
	if err == nil && h.isLockHandle {
		if err = h.regain(opened, isAlone); err != nil {
			_, _ = opened.Close()
		}
		if errors.Is(err, errLocksLost) {
			h.gone = syscall.EIO
			safely.Go(h.node.noteLost)
			return nil, h.gone
		}
	}
	if err != nil {
		if h.isKnown && errors.Is(err, syscall.ESTALE) {
			h.lose(syscall.ESTALE, "replaced")
		}
		return nil, err
	}
	h.took(c, opened)
	return h.file, nil
}

// lose: the file is not what it was, for all that this handle is asked. The caller holds mu.
func (h *handle) lose(errno syscall.Errno, why string) {
	h.gone = errno
	h.node.share.client.Journal(client.Event{Is: "file_lost", Path: h.node.shownPath(), Why: why})
}

func (h *handle) took(c *client.Conn, opened smb2.Opened) {
	if h.isKnown && h.on != c {
		// No lease covered the time in between: what the kernel has of it may be old.
		safely.Go(func() { h.node.dropPages(0) })
	}
	h.file, h.on, h.isKnown = opened.Handle, c, true
	h.timed.Store(0)
	h.ahead.mu.Lock()
	h.ahead.size = int64(min(c.Share.MaxReadSize(), chunkAtMost))
	h.ahead.mu.Unlock()
	h.node.setLease(c, opened.Lease)
}

// reopen opens the file where it is now.
func (n *node) reopen(ctx context.Context, c *client.Conn, access smb2.Access) (smb2.Opened, error) {
	for {
		before := n.share.renames.count()
		paths, err := n.everywhere()
		if err != nil {
			return smb2.Opened{}, err
		}
		var opened smb2.Opened
		for i, path := range paths {
			if i > 0 && !isElsewhere(err) {
				break
			}
			opened, err = n.openAt(c, path, access)
		}
		if isElsewhere(err) && n.share.renames.since(ctx, before) {
			if now, gone := n.everywhere(); gone == nil && !slices.Equal(now, paths) {
				continue
			}
		}
		return opened, err
	}
}

func (n *node) openAt(c *client.Conn, path string, access smb2.Access) (smb2.Opened, error) {
	opened, err := c.Share.OpenAt(path, access, smb2.MustExist, n.leaseKey(path))
	if smb.StatusOf(err) == invalidParameter {
		// The server knows the key by the name that another client has changed.
		n.useLease("", smb2.LeaseKey{})
		opened, err = c.Share.OpenAt(path, access, smb2.MustExist, n.leaseKey(path))
	}
	if err != nil {
		return smb2.Opened{}, err
	}
	at := foundOn(c, opened.Seen)
	if !n.isSame(at) {
		_, _ = opened.Close()
		return smb2.Opened{}, syscall.ESTALE
	}
	n.saw(at)
	return opened, nil
}

// Release does not wait for the server's answer; requests that remove or rename the file, or set its times, do. Its flock locks are free then.
func (h *handle) Release(context.Context) syscall.Errno {
	h.end()
	h.ahead.drop()
	n := h.node
	n.mu.Lock()
	delete(n.open, h)
	n.closing++
	n.mu.Unlock()
	n.share.opened.Add(-1)
	n.share.behind.Go(safely.Of(func() {
		defer close(h.closed)
		_, _ = safely.Do(func() (struct{}, error) {
			_ = n.unlock(func(t lockTable) lockTable { return t.releasedBy(h) })
			return struct{}{}, h.close(context.Background(), true)
		})
		n.mu.Lock()
		n.closing--
		n.mu.Unlock()
		n.share.handles.Delete(h)
		n.closedOne()
	}))
	return 0
}

func (h *handle) isReleased() bool { return h.life.Err() != nil }

// released waits for the server to close what programs have closed of n, or below it.
func (n *node) released(ctx context.Context) (isSo bool) {
	until := time.Now().Add(closedWithin)
	isSo = true
	n.share.handles.Range(func(each, _ any) bool {
		if h := each.(*handle); h.isReleased() && isBelow(h.node, n) {
			_, err := client.Await(ctx, Killed, h.closed, until)
			isSo = err == nil
		}
		return isSo
	})
	return isSo
}

// close closes the server's handle. isLast: for good. A connection that has ended took its handles with it: there is nothing to wait for.
func (h *handle) close(ctx context.Context, isLast bool) error {
	h.mu.Lock()
	if isLast {
		h.released = true
	}
	file, before, on := h.file, h.before, h.on
	h.mu.Unlock()
	if file == nil && before == nil {
		return nil
	}
	use := client.Needs{Session: client.Files, NoWait: true, Changes: h.isDirty.Load()}
	closed, err := client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (*smb2.FileStat, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.before == before {
			h.before = nil
		}
		if h.file == file {
			h.file = nil
		}
		if t.Conn != on {
			return nil, nil
		}
		if before != nil {
			_, _ = before.Close()
		}
		if file == nil {
			return nil, nil
		}
		if h.isDirty.Load() {
			_, _ = file.SetTimes(time.Time{}, h.node.lastWritten())
		}
		seen, err := file.Close()
		if err != nil && !smb.IsLoss(err) {
			err = nil
		}
		return seen, err
	}, nil)
	h.node.endLease()
	// When a connection ends, its server closes what it had open, with unknown times.
	if (err == nil || isLast) && h.isDirty.Swap(false) {
		h.node.timed(closed)
	}
	return err
}

// Flush comes for each descriptor that is closed; other programs may still have the file open. A process that closes a file loses all that it
// has locked of it.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	h.setWriteTime(ctx)
	h.flushed.Store(time.Now().UnixNano())
	owner := lockOwnerOf(ctx)
	return errnoOf(h.node.unlock(func(t lockTable) lockTable { return t.without(owner, 0, wholeFile) }))
}

// setWriteTime sets the time of a file to that of the last write: the server would take that of the close. Without a route it does not wait:
// the written bytes are on the server, and a process that forks closes the descriptors that it inherited.
func (h *handle) setWriteTime(ctx context.Context) {
	if h.isDirty.Load() {
		_, _ = h.setTimes(ctx, client.Needs{Session: client.Files, NoWait: true, Changes: true}, time.Time{}, time.Time{})
	}
}

// setTimes sets times by this handle; a zero written is the time of its last write. It fails if the server has no handle on this connection.
func (h *handle) setTimes(ctx context.Context, use client.Needs, accessed, written time.Time) (found, error) {
	h.users.Add(1)
	defer h.users.Add(-1)
	wasDirty := h.isDirty.Swap(false)
	if wasDirty && written.IsZero() {
		written = h.node.lastWritten()
	}
	at, err := client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (found, error) {
		h.mu.Lock()
		file, on := h.file, h.on
		h.mu.Unlock()
		if file == nil || on != t.Conn {
			return found{}, errNotOpen
		}
		seen, err := file.SetTimes(accessed, written)
		if err != nil {
			return found{}, err
		}
		return foundOn(t.Conn, seen), nil
	}, nil)
	if err != nil {
		if wasDirty {
			h.isDirty.Store(true)
		}
		return at, err
	}
	h.timed.Store(time.Now().UnixNano())
	h.node.timed(at.seen)
	return at, nil
}

var errNotOpen = errors.New("the file is not open on this connection")

// onFile plays op on the file, whatever connection it is on.
func onFile[T any](ctx context.Context, h *handle, use client.Needs, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	return whenUnlocked(func() (T, error) { return client.Do(ctx, h.node.share.client, use, onHandle(h, op), nil) })
}

// onHandle: while a file is locked from here, it is the handle that has the locks.
func onHandle[T any](h *handle, op func(t client.Attempt, file *smb2.Handle) (T, error)) func(client.Attempt) (T, error) {
	return func(t client.Attempt) (T, error) {
		h, leave := h.inUse()
		defer leave()
		file, err := h.openedOn(t.Conn)
		if err != nil {
			return *new(T), err
		}
		return op(t, file)
	}
}

func (h *handle) look(ctx context.Context) (found, error) { return onFile(ctx, h, looking, lookBy) }

func lookBy(t client.Attempt, file *smb2.Handle) (found, error) {
	seen, err := file.Look()
	if err != nil {
		return found{}, err
	}
	return foundOn(t.Conn, seen), nil
}

// readBlock reads a part of the file as far as it goes. It keeps reading when a reader is interrupted, until the handle is released.
func (h *handle) readBlock(length, off int64) (smb2.Block, error) {
	block, err := whenUnlocked(func() (smb2.Block, error) {
		return client.Do(h.life, h.node.share.client, looking, onHandle(h, func(t client.Attempt, file *smb2.Handle) (smb2.Block, error) {
			block, err := file.Read(int(length), off)
			h.node.share.kernelAhead.suit(t.IsFast())
			return block, err
		}), smb2.Block.Release)
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return block, err
}
