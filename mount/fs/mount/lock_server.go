package mount

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// openLockHandle opens the lock handle unless it is open. The caller has the turn.
func (n *node) openLockHandle(ctx context.Context, turn *turn, h *handle) (err error) {
	l := &n.locks
	if l.lockHandle.Load() != nil || n.isSharedMemory() {
		return nil
	}
	if !n.share.lockedFiles.add(n) {
		return syscall.ENOLCK
	}
	n.awaitCloses(ctx)
	for _, each := range n.handles() {
		if each.isDirty.Load() || each.timeSetAt.Load() != 0 {
			_ = each.close(ctx, false)
		}
	}
	// A handle that may also write locks the same, and can write for all programs.
	for _, access := range []smb2.Access{smb2.AccessRead | smb2.AccessWrite, h.access} {
		lockHandle := &handle{node: n, access: access, closed: make(chan struct{}), isLockHandle: true}
		lockHandle.life, lockHandle.end = context.WithCancel(context.Background())
		_, err = client.Do(ctx, n.share.client, reading, func(t client.Attempt) (struct{}, error) {
			defer turn.begin()()
			_, err := lockHandle.openedOn(t.Conn)
			return struct{}{}, err
		}, nil)
		if err == nil {
			l.lockHandle.Store(lockHandle)
			return nil
		}
		lockHandle.end()
		n.share.background.Go(safely.Of(func() { _ = lockHandle.close(context.Background(), true) }))
		if !isDenied(err) {
			break
		}
	}
	n.share.lockedFiles.remove(n)
	return err
}

// relock locks and unlocks at the server what the next table needs, and then uses that table. The caller has the turn.
func (n *node) relock(ctx context.Context, turn *turn, next lockTable) error {
	l := &n.locks
	take := func(there []smb2.Range) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.table, l.atServer = next, there
		l.announce()
	}
	if n.isSharedMemory() {
		take(nil)
		return nil
	}
	lockHandle := l.lockHandle.Load()
	_, err := client.Do(ctx, n.share.client, changing, func(t client.Attempt) (struct{}, error) {
		defer turn.begin()()
		file, err := lockHandle.openedOn(t.Conn)
		if err != nil {
			return struct{}{}, err
		}
		l.mu.Lock()
		stay, unlock, lock := next.plan(l.atServer)
		l.mu.Unlock()
		if err = n.changeLocks(file, unlock, lock); n.share.logLockless(err) {
			lock, err = nil, nil
		}
		if err == nil && len(lock) > 0 {
			var info fileInfo
			if info, err = statBy(t, file); err == nil {
				n.refresh(info)
				l.setKnown(info.stat)
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

// changeLocks unlocks and locks at the server: both, or nothing.
func (n *node) changeLocks(file *smb2.Handle, unlock, lock []smb2.Range) error {
	isLocking := func(each smb2.Range) bool { return each.IsExclusive }
	if len(unlock) == 0 || !slices.ContainsFunc(lock, isLocking) && !slices.ContainsFunc(unlock, func(each smb2.Range) bool { return !each.IsExclusive }) {
		// A range that becomes a shared lock is never free in between.
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
		n.failLockers()
		return syscall.EIO
	} else if e != nil {
		return e
	}
	return err
}

// unlock replaces the table by next of it, and unlocks at the server. Without a route it does not wait: the server's locks end with their connection.
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
	stay, unlock, lock := table.plan(l.atServer)
	l.table = table
	l.announce()
	l.mu.Unlock()
	lockHandle := l.lockHandle.Load()
	if lockHandle == nil {
		return nil
	}
	lockHandle.mu.Lock()
	gone := lockHandle.lost
	lockHandle.mu.Unlock()
	if len(unlock) > 0 {
		// Not only by a close: Samba may not notify waiting clients of that.
		_, err = client.Do(context.Background(), n.share.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
			defer turn.begin()()
			file, err := lockHandle.openedOn(t.Conn)
			if err == nil {
				err = n.changeLocks(file, unlock, lock)
			}
			return struct{}{}, err
		}, nil)
		if isRefused(err) {
			n.failLockers()
			err = syscall.EIO
		}
		l.mu.Lock()
		l.atServer = append(stay, lock...)
		l.mu.Unlock()
	}
	n.closeUnusedLockHandle()
	if gone != 0 {
		return gone
	}
	if errors.Is(err, client.ErrNoRoute) {
		err = nil
	}
	return err
}

// closeUnusedLockHandle closes the lock handle if no program has or awaits a lock. The caller has the turn.
func (n *node) closeUnusedLockHandle() {
	l := &n.locks
	l.mu.Lock()
	isUsed := len(l.table) > 0
	if !isUsed {
		l.atServer, l.known, l.lostAnswer, l.lastBytes = nil, fingerprint{}, false, nil
	}
	l.mu.Unlock()
	lockHandle := l.lockHandle.Load()
	if isUsed || lockHandle == nil {
		return
	}
	l.lockHandle.Store(nil)
	for lockHandle.users.Load() > 0 {
		time.Sleep(time.Millisecond / 4)
	}
	_ = lockHandle.close(context.Background(), true)
	lockHandle.end()
	n.share.lockedFiles.remove(n)
}
