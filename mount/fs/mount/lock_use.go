package mount

import (
	"context"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// borrow returns the handle for requests of h: the lock handle while the file is locked, otherwise h. It stays open until leave is called.
func (h *handle) borrow() (by *handle, leave func()) { return h.borrowFor(h.access) }

// borrowFor is borrow for requests that need that access.
func (h *handle) borrowFor(access smb2.Access) (by *handle, leave func()) {
	for {
		by := h
		if lockHandle := h.node.locks.lockHandle.Load(); lockHandle != nil && lockHandle.access&access == access {
			by = lockHandle
		}
		by.users.Add(1)
		by.lastUsed.Store(time.Now().UnixNano())
		if by == h || h.node.locks.lockHandle.Load() == by {
			return by, func() { by.users.Add(-1) }
		}
		by.users.Add(-1)
	}
}

// onWriter is onFile for requests that change the file. While the file is locked, each change opens and closes a separate handle; the lock handle
// writes only where the server's locks refuse that. The reason: the server sets the time of the last write when the handle that wrote is
// closed, so a lost connection that closes a written lock handle would look like a write by another client.
func onWriter[T any](ctx context.Context, h *handle, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	use := client.Needs{Session: client.Files, Changes: true}
	return whenUnlocked(func() (T, error) {
		return client.Do(ctx, h.node.share.client, use, func(t client.Attempt) (T, error) {
			by, leave := h.borrow()
			defer leave()
			file, err := by.openedOn(t.Conn)
			if err != nil {
				return *new(T), err
			}
			if by == h {
				h.isDirty.Store(true)
				got, err := op(t, file)
				// The time of the write before it may have been set while this one was in flight.
				h.isDirty.Store(true)
				return got, err
			}
			l := &h.node.locks
			l.countChange(1, nil)
			got, err := onSeparateHandle(ctx, h, t, op)
			if smb.StatusOf(err) == lockConflict || isStaleName(err) {
				by.isDirty.Store(true)
				got, err = op(t, file)
			}
			l.countChange(-1, err)
			return got, err
		}, nil)
	})
}

// onSeparateHandle runs op on a handle that is opened for it only.
func onSeparateHandle[T any](ctx context.Context, h *handle, t client.Attempt, op func(t client.Attempt, file *smb2.Handle) (T, error)) (T, error) {
	opened, err := h.node.reopen(h.life, t.Conn, h.access)
	if err != nil {
		return *new(T), err
	}
	got, err := op(t, opened.Handle)
	closed, e := opened.Close()
	if e == nil && closed != nil && err == nil {
		h.node.locks.setKnown(closed)
		if was := h.node.learnTimes(closed); was.isFrozen(closed) {
			_ = h.node.setTimes(ctx, time.Time{}, was.wrote)
		}
	}
	if err == nil && smb.IsLoss(e) {
		err = e
	}
	return got, err
}

// whenUnlocked runs op, again for a second while another client has locked what it needs.
func whenUnlocked[T any](op func() (T, error)) (T, error) {
	for until := time.Now().Add(refusedFor); ; time.Sleep(refusedEvery) {
		got, err := op()
		if smb.StatusOf(err) != lockConflict || time.Now().After(until) {
			return got, err
		}
	}
}
