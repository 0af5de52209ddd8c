package mount

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/link"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// To the server, all programs here are one: among themselves they exclude each other here, and what any of them has locked is locked there by
// one handle, the holder. Its locks bind everybody, also other handles of this mount. So the holder does all that is read and written while
// there are locks; the last unlock closes it.

const (
	// fcntl locks bytes before it; flock has that byte, so that nobody is kept from reading and writing.
	flockAt   = 1 << 62
	wholeFile = flockAt - 1

	locksOfFile  = 1000
	filesLocked  = 1000
	refusedFor   = time.Second
	refusedEvery = 20 * time.Millisecond
	// A lock for which others have to be given up first is asked for so often.
	upgradeEvery    = 100 * time.Millisecond
	cancelledWithin = 3 * time.Second
	// A server may forget who waits: it is asked again.
	awaitedFor = 10 * time.Second
	// So long after one of its descriptors was closed a file may be closed for good.
	releasedWithin = 200 * time.Millisecond
)

// The kernel says that a file was closed for good after the program that closes it goes on.
var errReleasing = errors.New("a program has just closed the file")

var errLocksLost = errors.New("another client may have had the lock meanwhile")

type locks struct {
	// They are changed one after the other.
	order  order
	holder atomic.Pointer[handle]

	mu    sync.Mutex
	table lockTable
	// What the holder has locked at the server.
	there []smb2.Range
	// The file after our last request.
	at witness
	// Requests that change it and have no answer; whether there was one at a loss.
	changing int
	isUnsure bool
	// What was written last, answered or not; nil: nobody knows.
	last   []byte
	lastAt int64
	// Closed and replaced when a program may get what it waits for.
	changed chan struct{}
}

// witness tells whether another client has written.
type witness struct {
	size    int64
	changed time.Time
}

func witnessOf(seen *smb2.FileStat) witness { return witness{seen.EndOfFile, seen.ChangeTime} }

// saw notes the file as it is after a request of ours.
func (l *locks) saw(seen *smb2.FileStat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !seen.ChangeTime.Before(l.at.changed) {
		l.at = witnessOf(seen)
	}
}

// changes counts requests that change the file.
func (l *locks) changes(by int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changing += by
	l.isUnsure = l.isUnsure || smb.IsLoss(err)
}

// writing notes what is sent next; nil: a change that nobody can tell from another client's.
func (l *locks) writing(data []byte, at int64) {
	if l.holder.Load() == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = nil; data != nil {
		l.last, l.lastAt = slices.Clone(data), at
	}
}

// wrote: the server has answered.
func (l *locks) wrote(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.size = max(l.at.size, end)
}

// announce: the caller holds mu.
func (l *locks) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// inUse is the handle that does what this one is asked; it stays open until what is returned with it is called.
func (h *handle) inUse() (by *handle, leave func()) { return h.inUseTo(h.access) }

// inUseTo is the holder, if that may do what is wanted.
func (h *handle) inUseTo(access smb2.Access) (by *handle, leave func()) {
	for {
		by := h
		if holder := h.node.locks.holder.Load(); holder != nil && holder.access&access == access {
			by = holder
		}
		by.users.Add(1)
		by.used.Store(time.Now().UnixNano())
		if by == h || h.node.locks.holder.Load() == by {
			return by, func() { by.users.Add(-1) }
		}
		by.users.Add(-1)
	}
}

// onWriter is onFile for what changes the file. The holder writes only what it has locked itself: the server gives a file its time when a
// handle that has written is closed, and closes the holder's at a loss, when it would look as if another client had written.
func onWriter[T any](ctx context.Context, h *handle, op func(t link.Try, file *smb2.Handle) (T, error)) (T, error) {
	use := link.Use{Session: link.Files, Changes: true}
	return whenUnlocked(func() (T, error) {
		return link.Do(ctx, h.node.share.link, use, func(t link.Try) (T, error) {
			by, leave := h.inUse()
			defer leave()
			file, err := by.openedOn(t.Conn)
			if err != nil {
				return *new(T), err
			}
			if by == h {
				h.isDirty.Store(true)
				got, err := op(t, file)
				// The time of the write before it may have been set meanwhile.
				h.isDirty.Store(true)
				return got, err
			}
			l := &h.node.locks
			l.changes(1, nil)
			got, err := beside(ctx, h, t, op)
			if smb.StatusOf(err) == lockConflict || isElsewhere(err) {
				by.isDirty.Store(true)
				got, err = op(t, file)
			}
			l.changes(-1, err)
			return got, err
		}, nil)
	})
}

// beside plays op on a handle for it alone.
func beside[T any](ctx context.Context, h *handle, t link.Try, op func(t link.Try, file *smb2.Handle) (T, error)) (T, error) {
	opened, err := h.node.reopen(h.life, t.Conn, h.access)
	if err != nil {
		return *new(T), err
	}
	got, err := op(t, opened.Handle)
	closed, e := opened.Close()
	if e == nil && closed != nil && err == nil {
		h.node.locks.saw(closed)
		if was := h.node.timed(closed); was.isFrozen(closed) {
			_ = h.node.setTimes(ctx, time.Time{}, was.wrote)
		}
	}
	if err == nil && smb.IsLoss(e) {
		err = e
	}
	return got, err
}

// whenUnlocked plays op again for a second while another client has locked what it needs.
func whenUnlocked[T any](op func() (T, error)) (T, error) {
	for until := time.Now().Add(refusedFor); ; time.Sleep(refusedEvery) {
		got, err := op()
		if smb.StatusOf(err) != lockConflict || time.Now().After(until) {
			return got, err
		}
	}
}

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
		// As on a disk, it gives up the one that it has before it waits for another one.
		if _, err := n.tryLock(ctx, want); err == nil {
			return n.locked(ctx)
		}
		_ = n.unlock(func(t lockTable) lockTable { return t.without(want.owner, want.start, want.end) })
	}
	for {
		changed, err := n.tryLock(ctx, want)
		switch {
		case err == nil:
			return n.locked(ctx)
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
				return n.locked(ctx)
			}
		}
	}
}

// SQLite has, beside a database, files that are there only while it is changed; what it locks is the database.
var companions = []string{"-journal", "-wal"}

// locked: what was read before is not what another client has written under its lock, whatever the server vouched for.
func (n *node) locked(ctx context.Context) syscall.Errno {
	if n.isSharedMemory() {
		return 0
	}
	n.dropRead()
	_, _ = link.Await(ctx, Killed, safely.Done(func() { n.dropPages(0) }), time.Time{})
	parent, name := n.folder()
	if parent == nil {
		return 0
	}
	for _, each := range companions {
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

// tryLock locks at once. EAGAIN: another program has it, one of this machine if there is something to wait for; errReleasing: perhaps one
// that has just closed the file.
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
	case isTaken && time.Now().UnixNano()-taken.by.flushed.Load() < int64(releasedWithin):
		return changed, errReleasing
	case isTaken:
		return changed, syscall.EAGAIN
	case len(next) > locksOfFile:
		return nil, syscall.ENOLCK
	}
	if err = n.holds(ctx, turn, want.by); err == nil {
		err = n.relock(ctx, turn, next)
	}
	n.dropUnused()
	return nil, err
}

// holds sees to it that there is a holder. The caller has the turn.
func (n *node) holds(ctx context.Context, turn *turn, h *handle) (err error) {
	l := &n.locks
	if l.holder.Load() != nil || n.isSharedMemory() {
		return nil
	}
	if !n.share.holders.add(n) {
		return syscall.ENOLCK
	}
	n.released(ctx)
	for _, each := range n.handles() {
		if each.isDirty.Load() || each.timed.Load() != 0 {
			_ = each.close(ctx, false)
		}
	}
	// A server locks no less for who may write, too; and then all here may write by it.
	for _, access := range []smb2.Access{smb2.AccessRead | smb2.AccessWrite, h.access} {
		holder := &handle{node: n, access: access, closed: make(chan struct{}), isHolder: true}
		holder.life, holder.end = context.WithCancel(context.Background())
		_, err = link.Do(ctx, n.share.link, looking, func(t link.Try) (struct{}, error) {
			defer turn.begin()()
			_, err := holder.openedOn(t.Conn)
			return struct{}{}, err
		}, nil)
		if err == nil {
			l.holder.Store(holder)
			return nil
		}
		holder.end()
		n.share.behind.Go(safely.Of(func() { _ = holder.close(context.Background(), true) }))
		if !isDenied(err) {
			break
		}
	}
	n.share.holders.remove(n)
	return err
}

// relock makes the server's locks those of the table. The caller has the turn.
func (n *node) relock(ctx context.Context, turn *turn, next lockTable) error {
	l := &n.locks
	take := func(there []smb2.Range) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.table, l.there = next, there
		l.announce()
	}
	if n.isSharedMemory() {
		take(nil)
		return nil
	}
	holder := l.holder.Load()
	_, err := link.Do(ctx, n.share.link, changing, func(t link.Try) (struct{}, error) {
		defer turn.begin()()
		file, err := holder.openedOn(t.Conn)
		if err != nil {
			return struct{}{}, err
		}
		l.mu.Lock()
		stay, unlock, lock := next.plan(l.there)
		l.mu.Unlock()
		if err = n.change(file, unlock, lock); n.share.isLockless(err) {
			lock, err = nil, nil
		}
		if err == nil && len(lock) > 0 {
			var at found
			if at, err = lookBy(t, file); err == nil {
				n.saw(at)
				l.saw(at.seen)
			}
		}
		if err == nil {
			take(append(stay, lock...))
		}
		return struct{}{}, err
	}, nil)
	if isRefused(err) {
		err = syscall.EAGAIN
	}
	return err
}

// change unlocks and locks at the server: both, or nothing.
func (n *node) change(file *smb2.Handle, unlock, lock []smb2.Range) error {
	isLocking := func(each smb2.Range) bool { return each.IsExclusive }
	if len(unlock) == 0 || !slices.ContainsFunc(lock, isLocking) && !slices.ContainsFunc(unlock, func(each smb2.Range) bool { return !each.IsExclusive }) {
		// What is only to be shared from now on is never free in between.
		if err := file.Lock(lock...); err != nil {
			return err
		}
		return file.Unlock(unlock...)
	}
	isUnlocked, err := file.Relock(unlock, lock)
	if err == nil || !isUnlocked || smb.IsLoss(err) {
		return err
	}
	if e := file.Lock(unlock...); isRefused(e) {
		n.lostLocks()
		return syscall.EIO
	} else if e != nil {
		return e
	}
	return err
}

// unlock makes the table what next says. Without a route nothing is waited for: the server's locks have ended with their connection, or do.
func (n *node) unlock(next func(lockTable) lockTable) error {
	l := &n.locks
	l.mu.Lock()
	isNone := slices.Equal(next(l.table), l.table)
	l.mu.Unlock()
	if isNone {
		return nil
	}
	turn, err := l.order.enter(context.Background(), true)
	if err != nil {
		return err
	}
	defer turn.leave()
	l.mu.Lock()
	table := next(l.table)
	stay, unlock, lock := table.plan(l.there)
	l.table = table
	l.announce()
	l.mu.Unlock()
	holder := l.holder.Load()
	if holder == nil {
		return nil
	}
	holder.mu.Lock()
	gone := holder.gone
	holder.mu.Unlock()
	if len(unlock) > 0 {
		// Also before it is closed: Samba may not tell others that wait of what a close unlocks.
		_, err = link.Do(context.Background(), n.share.link, link.Use{Session: link.Files, NoWait: true}, func(t link.Try) (struct{}, error) {
			defer turn.begin()()
			file, err := holder.openedOn(t.Conn)
			if err == nil {
				err = n.change(file, unlock, lock)
			}
			return struct{}{}, err
		}, nil)
		if isRefused(err) {
			n.lostLocks()
			err = syscall.EIO
		}
		l.mu.Lock()
		l.there = append(stay, lock...)
		l.mu.Unlock()
	}
	n.dropUnused()
	if gone != 0 {
		return gone
	}
	if errors.Is(err, link.ErrAway) {
		err = nil
	}
	return err
}

// dropUnused closes the holder if no program has locked the file or waits for it. The caller has the turn.
func (n *node) dropUnused() {
	l := &n.locks
	l.mu.Lock()
	isUsed := len(l.table) > 0
	if !isUsed {
		l.there, l.at, l.isUnsure, l.last = nil, witness{}, false, nil
	}
	l.mu.Unlock()
	holder := l.holder.Load()
	if isUsed || holder == nil {
		return
	}
	l.holder.Store(nil)
	for holder.users.Load() > 0 {
		time.Sleep(time.Millisecond / 4)
	}
	_ = holder.close(context.Background(), true)
	holder.end()
	n.share.holders.remove(n)
}

// awaitLock waits for the server's lock. Other programs here get none meanwhile that excludes it.
func (n *node) awaitLock(ctx context.Context, want lock) (isGranted bool, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	_, isTaken := l.table.conflict(want)
	_, unlock, ranges := l.table.with(want).plan(l.there)
	l.mu.Unlock()
	if !isTaken && len(unlock) == 0 && len(ranges) == 1 {
		err = n.holds(ctx, turn, want.by)
	} else {
		turn.leave()
		select {
		case <-time.After(upgradeEvery):
			return false, nil
		case <-ctx.Done():
			return false, syscall.EINTR
		}
	}
	if err != nil {
		turn.leave()
		return false, err
	}
	awaited := want
	awaited.isAwaited = true
	l.mu.Lock()
	l.table = append(l.table, awaited)
	l.mu.Unlock()
	holder := l.holder.Load()
	type asked struct {
		smb2.WaitingLock
		on *link.Conn
	}
	waits, err := link.Do(ctx, n.share.link, changing, func(t link.Try) (asked, error) {
		file, err := holder.openedOn(t.Conn)
		if err != nil {
			return asked{}, err
		}
		waits, err := file.AwaitLock(ranges[0])
		return asked{waits, t.Conn}, err
	}, func(late asked) { late.Cancel() })
	turn.leave()
	if err == nil {
		answered := safely.Ask(func() (struct{}, error) { return struct{}{}, waits.Answer() })
		select {
		case got := <-answered:
			err = got.Err
		case <-time.After(awaitedFor):
			waits.Cancel()
			err = (<-answered).Err
		case <-ctx.Done():
			waits.Cancel()
			// A server that knows no CANCEL must not keep a program from being killed.
			late := time.AfterFunc(cancelledWithin, waits.on.Reset)
			err = (<-answered).Err
			late.Stop()
		}
	}
	turn, _ = l.order.enter(context.Background(), true)
	defer turn.leave()
	holder.mu.Lock()
	isGranted = err == nil && holder.on == waits.on && holder.gone == 0
	holder.mu.Unlock()
	l.mu.Lock()
	i := slices.Index(l.table, awaited)
	l.table = slices.Delete(slices.Clone(l.table), i, i+1)
	if isGranted {
		l.there = append(l.there, ranges[0])
	}
	next := l.table
	l.announce()
	l.mu.Unlock()
	isInterrupted := ctx.Err() != nil
	if isGranted {
		if !isInterrupted {
			next = next.with(want)
		}
		e := n.relock(context.Background(), turn, next)
		isGranted = e == nil && !isInterrupted
	}
	n.dropUnused()
	switch {
	case isGranted:
		return true, nil
	case isInterrupted:
		return false, syscall.EINTR
	case err == nil || smb.IsLoss(err) || isRefused(err) || smb.StatusOf(err) == cancelled:
		return false, nil
	}
	return false, err
}

// Getlk finds a lock that excludes this one. Of another machine's nobody knows whose it is.
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

// probe is a lock for an instant.
func (n *node) probe(ctx context.Context, want lock) (taken lock, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return lock{}, err
	}
	defer turn.leave()
	l.mu.Lock()
	taken, isTaken := l.table.conflict(want)
	_, unlock, ranges := l.table.with(want).plan(l.there)
	l.mu.Unlock()
	if isTaken {
		return taken, syscall.EAGAIN
	}
	if n.isSharedMemory() || len(unlock) > 0 || len(ranges) == 0 {
		return lock{}, nil
	}
	defer n.dropUnused()
	if err := n.holds(ctx, turn, want.by); err != nil {
		return lock{}, err
	}
	holder := l.holder.Load()
	_, err = link.Do(ctx, n.share.link, changing, func(t link.Try) (struct{}, error) {
		defer turn.begin()()
		file, err := holder.openedOn(t.Conn)
		if err == nil {
			err = file.Lock(ranges...)
		}
		if err == nil {
			err = file.Unlock(ranges...)
		}
		if n.share.isLockless(err) {
			err = nil
		}
		return struct{}{}, err
	}, nil)
	return lock{}, err
}
