package mount

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

func lockOf(f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) (lock, error) {
	h, ok := f.(*handle)
	if !ok {
		return lock{}, syscall.EBADF
	}
	want := lock{owner: owner, by: h, pid: lk.Pid, start: lk.Start, end: min(lk.End, wholeFile), isExclusive: lk.Typ == syscall.F_WRLCK}
	if flags&fuse.FUSE_LK_FLOCK != 0 {
		want.start, want.end = flockAt, flockAt
	} else if want.start > want.end {
		return lock{}, syscall.EOVERFLOW
	}
	return want, nil
}

func (n *node) Setlk(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	return n.setLock(ctx, f, owner, lk, flags, false)
}

// Setlkw waits until a signal ends it.
func (n *node) Setlkw(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	return n.setLock(ctx, f, owner, lk, flags, true)
}

func (n *node) setLock(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32, isPatient bool) syscall.Errno {
	want, err := lockOf(f, owner, lk, flags)
	if err != nil {
		return errnoOf(err)
	}
	if lk.Typ == syscall.F_UNLCK {
		return errnoOf(n.unlock(func(t lockTable) lockTable { return t.without(want.owner, want.start, want.end) }))
	}
	if flags&fuse.FUSE_LK_FLOCK != 0 && isPatient {
		// As on a local disk, an flock is unlocked before it waits to be converted.
		if _, err := n.tryLock(ctx, want); err == nil {
			return n.afterLock(ctx)
		}
		_ = n.unlock(func(t lockTable) lockTable { return t.without(want.owner, want.start, want.end) })
	}
	for {
		changed, err := n.tryLock(ctx, want)
		switch {
		case err == nil:
			return n.afterLock(ctx)
		case errors.Is(err, errReleasing) && !isPatient:
			select {
			case <-changed:
			case <-time.After(refusedEvery):
			}
		case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, errReleasing) || !isPatient:
			return errnoOf(err)
		case changed != nil:
			select {
			case <-changed:
			case <-ctx.Done():
				return syscall.EINTR
			}
		default:
			if isGranted, err := n.awaitLock(ctx, want); err != nil {
				return errnoOf(err)
			} else if isGranted {
				return n.afterLock(ctx)
			}
		}
	}
}

// tryLock locks without waiting. It fails with EAGAIN if another client, or (changed is not nil) a program of this machine has the lock, and with
// errReleasing if that program may have closed the file.
func (n *node) tryLock(ctx context.Context, want lock) (changed <-chan struct{}, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	l.mu.Lock()
	taken, isTaken := l.table.conflict(want)
	next := l.table.with(want)
	if isTaken && l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed = l.changed
	l.mu.Unlock()
	switch {
	case isTaken && time.Now().UnixNano()-taken.by.lastFlush.Load() < int64(releasedWithin):
		return changed, errReleasing
	case isTaken:
		return changed, syscall.EAGAIN
	case len(next) > locksOfFile:
		return nil, syscall.ENOLCK
	}
	if err = n.openLockHandle(ctx, turn, want.by); err == nil {
		err = n.relock(ctx, turn, next)
	}
	n.closeUnusedLockHandle()
	return nil, err
}

// Getlk finds a lock that excludes this one. Of another client's lock neither owner nor range are known.
func (n *node) Getlk(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32, out *fuse.FileLock) syscall.Errno {
	want, err := lockOf(f, owner, lk, flags)
	if err != nil {
		return errnoOf(err)
	}
	*out = *lk
	taken, err := n.probe(ctx, want)
	if out.Typ = syscall.F_UNLCK; err == nil {
		return 0
	}
	if out.Typ = syscall.F_WRLCK; !isRefused(err) {
		return errnoOf(err)
	}
	if taken.by != nil {
		if !taken.isExclusive {
			out.Typ = syscall.F_RDLCK
		}
		out.Start, out.End, out.Pid = taken.start, taken.end, taken.pid
	}
	return 0
}

// probe locks for an instant, and returns the lock that prevents it.
func (n *node) probe(ctx context.Context, want lock) (taken lock, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return lock{}, err
	}
	defer turn.leave()
	l.mu.Lock()
	taken, isTaken := l.table.conflict(want)
	_, unlock, ranges := l.table.with(want).plan(l.atServer)
	l.mu.Unlock()
	if isTaken {
		return taken, syscall.EAGAIN
	}
	if n.isSharedMemory() || len(unlock) > 0 || len(ranges) == 0 {
		return lock{}, nil
	}
	defer n.closeUnusedLockHandle()
	if err := n.openLockHandle(ctx, turn, want.by); err != nil {
		return lock{}, err
	}
	lockHandle := l.lockHandle.Load()
	_, err = client.Do(ctx, n.share.client, changing, func(t client.Attempt) (struct{}, error) {
		defer turn.begin()()
		file, err := lockHandle.openedOn(t.Conn)
		if err == nil {
			err = file.Lock(ranges...)
		}
		if err == nil {
			err = file.Unlock(ranges...)
		}
		if n.share.logLockless(err) {
			err = nil
		}
		return struct{}{}, err
	}, nil)
	return lock{}, err
}

// SQLite creates these files next to a database while it changes that, and only locks the database.
var databaseFiles = []string{"-journal", "-wal"}

// afterLock drops what was read before the lock: another client may have written under its lock, whatever lease there was.
func (n *node) afterLock(ctx context.Context) syscall.Errno {
	if n.isSharedMemory() {
		return 0
	}
	n.dropRead()
	_, _ = client.Await(ctx, Killed, safely.Done(func() { n.dropPages(0) }), time.Time{})
	parent, name := n.folder()
	if parent == nil {
		return 0
	}
	for _, each := range databaseFiles {
		parent.names.forget(name + each)
		if parent.childOf(name+each) != nil {
			_ = parent.NotifyEntry(name + each)
		}
	}
	return 0
}

// isSharedMemory: SQLite's index of a write-ahead log is memory that processes of one machine share, and written while it is locked.
func (n *node) isSharedMemory() bool {
	_, name := n.folder()
	return strings.HasSuffix(name, "-shm")
}
