package mount

import (
	"context"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// Which of the server's handles a request uses. An unlocked file: that of the program's own handle. A locked one has a lock handle (locks.go):
//
//	reading    the lock handle, as the server's locks exclude every other handle (acquire)
//	changing   a separate handle, opened for this request and closed after it; the lock handle only where locks exclude that too (onWriter)
//
// Changes avoid the lock handle because the server sets the time of the last write when the handle that wrote is closed: a lost connection closes the
// lock handle, and that would look like a write by another client.

// acquire returns the handle for a request by h: the lock handle while the file is locked, otherwise h. It stays open until release is called.
func (h *handle) acquire() (by *handle, release func()) { return h.acquireFor(h.access) }

// acquireFor is acquire for a request that needs that access: a lock handle without it is not used.
func (h *handle) acquireFor(access smb2.Access) (by *handle, release func()) {
	for {
		by := h
		if lockHandle := h.node.locks.lockHandle.Load(); lockHandle != nil && lockHandle.access&access == access {
			by = lockHandle
		}
		by.users.Add(1)
		by.lastUsed.Store(time.Now().UnixNano())
		// closeUnusedLockHandle closes a lock handle without users: it may have done so just before.
		if by == h || h.node.locks.lockHandle.Load() == by {
			return by, func() { by.users.Add(-1) }
		}
		by.users.Add(-1)
	}
}

// onWriter runs op with a server's handle that may change the file. isDirty is set on the handle that has written, until it is closed.
func onWriter[T any](ctx context.Context, h *handle, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	use := client.Needs{Session: client.Files, Changes: true}
	return whenUnlocked(func() (T, error) {
		return client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (T, error) {
			by, release := h.acquire()
			defer release()
			file, err := by.openedOn(t.Conn)
			if err != nil {
				return *new(T), err
			}
			if by != h {
				return onLocked(ctx, h, by, file, t, op)
			}
			h.isDirty.Store(true)
			got, err := op(t, file)
			// Again: while op ran, the time of an earlier write may have been set and isDirty cleared.
			h.isDirty.Store(true)
			return got, err
		}, nil)
	})
}

// onLocked runs op on a separate handle for h, or if the server's locks exclude that, on the lock handle, whose server's handle is file.
func onLocked[T any](ctx context.Context, h, lockHandle *handle, file *smb2.Handle, t client.Attempt, op func(client.Attempt, *smb2.Handle) (T, error)) (T, error) {
	l := &h.node.locks
	l.countChange(1, nil)
	got, err := onSeparateHandle(ctx, h, t, op)
	if smb.StatusOf(err) == lockConflict || isStaleName(err) {
		lockHandle.isDirty.Store(true)
		got, err = op(t, file)
	}
	l.countChange(-1, err)
	return got, err
}

// onSeparateHandle opens a handle with the access of h, runs op on it, and closes it.
func onSeparateHandle[T any](ctx context.Context, h *handle, t client.Attempt, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	opened, err := h.node.reopen(h.life, t.Conn, h.access)
	if err != nil {
		return *new(T), err
	}
	got, err := op(t, opened.Handle)
	closed, closeErr := opened.Close()
	if closeErr == nil && closed != nil && err == nil {
		h.node.locks.setKnown(closed)
		if was := h.node.storeTimes(closed); was.isFrozen(closed) {
			_ = h.node.setTimes(ctx, time.Time{}, was.wrote)
		}
	}
	if err == nil && smb.IsLoss(closeErr) {
		err = closeErr
	}
	return got, err
}

// whenUnlocked runs op, and runs it again for a second while another client has locked what it needs.
func whenUnlocked[T any](op func() (T, error)) (T, error) {
	for until := time.Now().Add(refusedFor); ; time.Sleep(refusedEvery) {
		got, err := op()
		if smb.StatusOf(err) != lockConflict || time.Now().After(until) {
			return got, err
		}
	}
}
