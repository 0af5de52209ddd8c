package mount

import (
	"context"
	"slices"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Waiting for a lock that another client has (F_SETLKW, or flock without LOCK_NB): the LOCK request has no SMB2_LOCKFLAG_FAIL_IMMEDIATELY, so the
// server answers STATUS_PENDING at once, and the result when it has granted the lock or got a CANCEL.
//
// setLock calls awaitLock until the lock is granted. Each call has three stages: requestLock and endAwait change the table, in a turn of
// locks.order; answer waits between them without a turn, so that programs can unlock and lock other ranges of the file. During the wait the table has
// the lock as awaited: no other program of this machine gets a conflicting one.

// waitingLock is a LOCK request that the server has not answered yet.
type waitingLock struct {
	smb2.WaitingLock
	at   smb2.Range
	conn *client.Conn
}

// awaitLock requests the lock and waits for it, for 10 s at most. Without an error and not granted, the caller tries again.
func (n *node) awaitLock(ctx context.Context, want lock) (isGranted bool, err error) {
	request, isInTable, err := n.requestLock(ctx, want)
	switch {
	case isInTable && err == nil:
		err = request.answer(ctx)
	case !isInTable && err != nil:
		return false, err
	case !isInTable:
		select {
		case <-time.After(upgradeEvery):
			return false, nil
		case <-ctx.Done():
			return false, syscall.EINTR
		}
	}
	isInterrupted, isGranted := n.endAwait(ctx, want, request, err == nil)
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

// requestLock adds the lock to the table as awaited, and requests it from the server. !isInTable: it did neither, as a program of this machine has
// a conflicting lock, or another range has to be unlocked at the server first.
func (n *node) requestLock(ctx context.Context, want lock) (request waitingLock, isInTable bool, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return request, false, err
	}
	defer turn.leave()
	l.mu.Lock()
	_, isTaken := l.table.conflict(want)
	_, unlock, ranges := l.table.with(want).plan(l.atServer)
	l.mu.Unlock()
	if isTaken || len(unlock) > 0 || len(ranges) != 1 {
		return request, false, nil
	}
	if err := n.openLockHandle(ctx, turn, want.by); err != nil {
		return request, false, err
	}
	l.mu.Lock()
	l.table = append(l.table, want.awaited())
	l.mu.Unlock()
	lockHandle := l.lockHandle.Load()
	request, err = client.Do(ctx, n.share.client, changing, func(t client.Attempt) (waitingLock, error) {
		file, err := lockHandle.openedOn(t.Conn)
		if err != nil {
			return waitingLock{}, err
		}
		sent, err := file.AwaitLock(ranges[0])
		return waitingLock{sent, ranges[0], t.Conn}, err
	}, func(late waitingLock) { late.Cancel() })
	return request, true, err
}

// answer waits for the server's result. After 10 s, or when the program is interrupted, it sends a CANCEL and waits for the answer to that.
func (w waitingLock) answer(ctx context.Context) error {
	answered := safely.Ask(func() (struct{}, error) { return struct{}{}, w.Answer() })
	select {
	case got := <-answered:
		return got.Err
	case <-time.After(awaitedFor):
		w.Cancel()
	case <-ctx.Done():
		w.Cancel()
		// A server that ignores CANCEL must not keep a program from being killed.
		defer time.AfterFunc(cancelledWithin, w.conn.Reset).Stop()
	}
	return (<-answered).Err
}

// endAwait removes the awaited lock from the table. If the server has granted it, the program gets it; a program that was interrupted does not, and
// the server's lock is released. isAnswered: the server has granted the lock, on a connection that may have ended since.
func (n *node) endAwait(ctx context.Context, want lock, request waitingLock, isAnswered bool) (isInterrupted, isGranted bool) {
	l := &n.locks
	turn, _ := l.order.enter(context.Background(), true)
	defer turn.leave()
	defer n.closeUnusedLockHandle()
	isHeld := isAnswered && n.isConnected(request)
	l.mu.Lock()
	i := slices.Index(l.table, want.awaited())
	l.table = slices.Delete(slices.Clone(l.table), i, i+1)
	if isHeld {
		l.atServer = append(l.atServer, request.at)
	}
	next := l.table
	l.announce()
	l.mu.Unlock()
	if isInterrupted = ctx.Err() != nil; !isHeld {
		return isInterrupted, false
	}
	if !isInterrupted {
		next = next.with(want)
	}
	// Without want in the table, this unlocks its range at the server.
	err := n.relock(context.Background(), turn, next)
	return isInterrupted, err == nil && !isInterrupted
}

// isConnected: the lock handle is still open on the connection on which the lock was requested.
func (n *node) isConnected(request waitingLock) bool {
	lockHandle := n.locks.lockHandle.Load()
	lockHandle.mu.Lock()
	defer lockHandle.mu.Unlock()
	return lockHandle.conn == request.conn && lockHandle.lost == 0
}
