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

// handle is a file that a program has open. At the server it has one handle (smb2.Handle) per connection, each of the same file: openedOn opens
// it, Release or closeUnused close it.
type handle struct {
	node    *node
	access  smb2.Access
	appends bool            // O_APPEND
	life    context.Context // until Release
	end     context.CancelFunc
	closed  chan struct{} // once the server has closed it
	ahead   readAhead
	// Its name was taken by a rename of another file: it has to be opened again, by its hidden name.
	isReplaced atomic.Bool
	// A program has written by it, and the server does not have the time of that yet.
	isDirty atomic.Bool
	// When a time was last set by it, Unix ns: the server keeps that time while the handle writes.
	timeSetAt atomic.Int64
	// When the server was started that has writes of this handle, perhaps not on its disk; nil: all are synced.
	unsynced atomic.Pointer[time.Time]

	// Held while it is opened or closed at the server: until the connection ends at the latest.
	mu           sync.Mutex
	file         *smb2.Handle  // nil: it is not open at the server
	conn         *client.Conn  // of file
	replacedFile *smb2.Handle  // after isReplaced: pending requests keep this one
	wasOpened    bool          // it was open before: only the same file may be opened again
	lost         syscall.Errno // with which all requests fail, since setLost; 0: none
	isClosed     bool          // for good

	// It is the lock handle of its file (locks.go).
	isLockHandle bool
	// Requests that use it now, and when one last did, Unix ns.
	users    atomic.Int64
	lastUsed atomic.Int64
	// When a program last closed a descriptor of it, Unix ns.
	lastFlush atomic.Int64
}

// newHandle returns a handle, which counts as open from now on.
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
			n.openedAs = places[0]
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
	return h.file != nil && h.lost == 0
}

// openedOn returns the server's handle on that connection. It opens the file again on a new connection, after closeUnused, or if isReplaced is
// set (Samba looks up some attributes by the old name): without a truncation, and only if it is still the same file.
func (h *handle) openedOn(c *client.Conn) (*smb2.Handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isReplaced.Swap(false) && h.file != nil && h.replacedFile == nil {
		h.replacedFile, h.file = h.file, nil
	}
	switch {
	case h.isClosed:
		return nil, syscall.EBADF
	case h.lost != 0:
		return nil, h.lost
	case h.file != nil && h.conn == c:
		return h.file, nil
	}
	isOnlyClient := false
	if h.isLockHandle && h.mayHaveChangedTime() {
		var err error
		if isOnlyClient, err = h.isOnlyClient(c); err != nil {
			return nil, err
		}
	}
	opened, err := h.node.reopen(h.life, c, h.access)
	if h.wasOpened && isAbsent(err) {
		err = syscall.ESTALE
	}
	if err == nil && h.isLockHandle {
		if err = h.relockSame(opened, isOnlyClient); err != nil {
			_, _ = opened.Close()
		}
		if errors.Is(err, errLocksLost) {
			h.lost = syscall.EIO
			safely.Go(h.node.reportLostLocks)
			return nil, h.lost
		}
	}
	if err != nil {
		if h.wasOpened && errors.Is(err, syscall.ESTALE) {
			h.setLost(syscall.ESTALE, "replaced")
		}
		return nil, err
	}
	h.setOpened(c, opened)
	return h.file, nil
}

// setLost lets all requests by this handle fail: its file was replaced or changed. The caller holds mu.
func (h *handle) setLost(errno syscall.Errno, why string) {
	h.lost = errno
	h.node.share.client.Journal(client.Event{Is: "file_lost", Path: h.node.shownPath(), Why: why})
}

func (h *handle) setOpened(c *client.Conn, opened smb2.Opened) {
	if h.wasOpened && h.conn != c {
		// No lease covered the time without a connection: the kernel's pages may be outdated.
		safely.Go(func() { h.node.dropPages(0) })
	}
	h.file, h.conn, h.wasOpened = opened.Handle, c, true
	h.timeSetAt.Store(0)
	h.ahead.mu.Lock()
	h.ahead.size = int64(min(c.Share.MaxReadSize(), chunkAtMost))
	h.ahead.mu.Unlock()
	h.node.setLease(c, opened.Lease)
}

// reopen opens the file by one of its present names.
func (n *node) reopen(ctx context.Context, c *client.Conn, access smb2.Access) (smb2.Opened, error) {
	for {
		before := n.share.renames.count()
		paths, err := n.serverPaths()
		if err != nil {
			return smb2.Opened{}, err
		}
		var opened smb2.Opened
		for i, path := range paths {
			if i > 0 && !isStaleName(err) {
				break
			}
			opened, err = n.openAt(c, path, access)
		}
		if isStaleName(err) && n.share.renames.awaitSince(ctx, before) {
			if now, gone := n.serverPaths(); gone == nil && !slices.Equal(now, paths) {
				continue
			}
		}
		return opened, err
	}
}

func (n *node) openAt(c *client.Conn, path string, access smb2.Access) (smb2.Opened, error) {
	opened, err := c.Share.OpenAt(path, access, smb2.MustExist, n.leaseKey(path))
	if smb.StatusOf(err) == invalidParameter {
		// Another client has renamed the file: the server has the lease key under the old name.
		n.useLease("", smb2.LeaseKey{})
		opened, err = c.Share.OpenAt(path, access, smb2.MustExist, n.leaseKey(path))
	}
	if err != nil {
		return smb2.Opened{}, err
	}
	info := infoOn(c, opened.FileStat)
	if !n.isSame(info) {
		_, _ = opened.Close()
		return smb2.Opened{}, syscall.ESTALE
	}
	n.refresh(info)
	return opened, nil
}

// Release closes the file in the background; requests that remove or rename it, or set its times, wait for that (awaitCloses). It also ends the
// flock locks.
func (h *handle) Release(context.Context) syscall.Errno {
	h.end()
	h.ahead.drop()
	n := h.node
	n.mu.Lock()
	delete(n.open, h)
	n.closing++
	n.mu.Unlock()
	n.share.opened.Add(-1)
	n.share.background.Go(safely.Of(func() {
		defer close(h.closed)
		_, _ = safely.Do(func() (struct{}, error) {
			_ = n.unlock(func(t lockTable) lockTable { return t.releasedBy(h) })
			return struct{}{}, h.close(context.Background(), true)
		})
		n.mu.Lock()
		n.closing--
		n.mu.Unlock()
		n.share.handles.Delete(h)
		n.afterClose()
	}))
	return 0
}

func (h *handle) isReleased() bool { return h.life.Err() != nil }

// awaitCloses waits until the server has closed all released handles of n, or of files below it.
func (n *node) awaitCloses(ctx context.Context) (isSo bool) {
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

// close closes the server's handle; isLast: it is never opened again. Handles of a connection that has ended are closed already.
func (h *handle) close(ctx context.Context, isLast bool) error {
	h.mu.Lock()
	if isLast {
		h.isClosed = true
	}
	file, before, on := h.file, h.replacedFile, h.conn
	h.mu.Unlock()
	if file == nil && before == nil {
		return nil
	}
	use := client.Needs{Session: client.Files, NoWait: true, Changes: h.isDirty.Load()}
	closed, err := client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (*smb2.FileStat, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.replacedFile == before {
			h.replacedFile = nil
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
		stat, err := file.Close()
		if err != nil && !smb.IsLoss(err) {
			err = nil
		}
		return stat, err
	}, nil)
	h.node.endLease()
	// If the connection has ended, the server has closed the file, and its times are unknown (nil).
	if (err == nil || isLast) && h.isDirty.Swap(false) {
		h.node.storeTimes(closed)
	}
	return err
}

// Flush is called for each descriptor that is closed; others may still be open. A process that closes any descriptor of a file loses its fcntl
// locks of that file.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	h.setWriteTime(ctx)
	h.lastFlush.Store(time.Now().UnixNano())
	owner := lockOwnerOf(ctx)
	return errnoOf(h.node.unlock(func(t lockTable) lockTable { return t.without(owner, 0, wholeFile) }))
}

// setWriteTime sets the file's time to that of the last write, as the server would use the time of the close. Without a route it does nothing:
// the bytes are on the server, and a child process that closes inherited descriptors must not wait.
func (h *handle) setWriteTime(ctx context.Context) {
	if h.isDirty.Load() {
		_, _ = h.setTimes(ctx, client.Needs{Session: client.Files, NoWait: true, Changes: true}, time.Time{}, time.Time{})
	}
}

// setTimes sets times by this handle; if written is zero, to the time of the last write. It fails with errNotOpen without a server's handle.
func (h *handle) setTimes(ctx context.Context, use client.Needs, accessed, written time.Time) (fileInfo, error) {
	h.users.Add(1)
	defer h.users.Add(-1)
	wasDirty := h.isDirty.Swap(false)
	if wasDirty && written.IsZero() {
		written = h.node.lastWritten()
	}
	info, err := client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (fileInfo, error) {
		h.mu.Lock()
		file, on := h.file, h.conn
		h.mu.Unlock()
		if file == nil || on != t.Conn {
			return fileInfo{}, errNotOpen
		}
		stat, err := file.SetTimes(accessed, written)
		return infoOrError(t.Conn, stat, err)
	}, nil)
	if err != nil {
		if wasDirty {
			h.isDirty.Store(true)
		}
		return info, err
	}
	h.timeSetAt.Store(time.Now().UnixNano())
	h.node.storeTimes(info.stat)
	return info, nil
}

var errNotOpen = errors.New("the file is not open on this connection")

// onFile runs op with the server's handle of the file.
func onFile[T any](ctx context.Context, h *handle, use client.Needs, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	return whenUnlocked(func() (T, error) { return client.Do(ctx, h.node.share.client, use, onHandle(h, op), nil) })
}

// onHandle is the op for client.Do that runs op with the server's handle: that of the lock handle while the file is locked.
func onHandle[T any](h *handle, op func(t client.Attempt, file *smb2.Handle) (T, error)) func(client.Attempt) (T, error) {
	return func(t client.Attempt) (T, error) {
		by, release := h.acquire()
		defer release()
		file, err := by.openedOn(t.Conn)
		if err != nil {
			return *new(T), err
		}
		return op(t, file)
	}
}

func (h *handle) stat(ctx context.Context) (fileInfo, error) { return onFile(ctx, h, reading, statBy) }

func statBy(t client.Attempt, file *smb2.Handle) (fileInfo, error) {
	stat, err := file.Stat()
	return infoOrError(t.Conn, stat, err)
}

// readBlock reads a part of the file, less at its end. It continues when a reader is interrupted, until the handle is released.
func (h *handle) readBlock(length, off int64) (smb2.Block, error) {
	block, err := whenUnlocked(func() (smb2.Block, error) {
		return client.Do(h.life, h.node.share.client, reading, onHandle(h, func(t client.Attempt, file *smb2.Handle) (smb2.Block, error) {
			block, err := file.Read(int(length), off)
			h.node.share.kernelReadAhead.setFor(t.IsFast())
			return block, err
		}), smb2.Block.Release)
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return block, err
}
