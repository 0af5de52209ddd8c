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

// waitingLock is a lock that was requested from the server and not granted yet.
type waitingLock struct {
	smb2.WaitingLock
	at smb2.Range
	on *client.Conn
}

// awaitLock waits for the server's lock, for 10 s at most. Other programs of this machine get no conflicting one in this time. false: try again.
func (n *node) awaitLock(ctx context.Context, want lock) (isGranted bool, err error) {
	requested, isSent, err := n.requestLock(ctx, want)
	if !isSent {
		if err != nil {
			return false, err
		}
		select {
		case <-time.After(upgradeEvery):
			return false, nil
		case <-ctx.Done():
			return false, syscall.EINTR
		}
	}
	if err == nil {
		err = requested.answer(ctx)
	}
	isInterrupted, isGranted := n.endAwait(ctx, want, requested, err == nil)
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

// requestLock adds the awaited lock to the table and requests it from the server. !isSent: it has to be tried again, as a program of this machine
// has the lock, or another one has to be unlocked first.
func (n *node) requestLock(ctx context.Context, want lock) (requested waitingLock, isSent bool, err error) {
	l := &n.locks
	turn, err := l.order.enter(ctx, true)
	if err != nil {
		return requested, false, err
	}
	defer turn.leave()
	l.mu.Lock()
	_, isTaken := l.table.conflict(want)
	_, unlock, ranges := l.table.with(want).plan(l.atServer)
	l.mu.Unlock()
	if isTaken || len(unlock) > 0 || len(ranges) != 1 {
		return requested, false, nil
	}
	if err := n.openLockHandle(ctx, turn, want.by); err != nil {
		return requested, false, err
	}
	l.mu.Lock()
	l.table = append(l.table, want.awaited())
	l.mu.Unlock()
	lockHandle := l.lockHandle.Load()
	requested, err = client.Do(ctx, n.share.client, changing, func(t client.Attempt) (waitingLock, error) {
		file, err := lockHandle.openedOn(t.Conn)
		if err != nil {
			return waitingLock{}, err
		}
		waiting, err := file.AwaitLock(ranges[0])
		return waitingLock{waiting, ranges[0], t.Conn}, err
	}, func(late waitingLock) { late.Cancel() })
	return requested, true, err
}

// answer waits for the server's answer. After 10 s, or when the program is interrupted, it sends a CANCEL.
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
		defer time.AfterFunc(cancelledWithin, w.on.Reset).Stop()
	}
	return (<-answered).Err
}

// endAwait removes the awaited lock from the table. If the server has granted it, the granted one takes its place; if the program was interrupted
// before that, the server's lock is released again.
func (n *node) endAwait(ctx context.Context, want lock, requested waitingLock, isAnswered bool) (isInterrupted, isGranted bool) {
	l := &n.locks
	turn, _ := l.order.enter(context.Background(), true)
	defer turn.leave()
	defer n.closeUnusedLockHandle()
	isHeld := isAnswered && n.isConnected(requested)
	l.mu.Lock()
	i := slices.Index(l.table, want.awaited())
	l.table = slices.Delete(slices.Clone(l.table), i, i+1)
	if isHeld {
		l.atServer = append(l.atServer, requested.at)
	}
	next := l.table
	l.announce()
	l.mu.Unlock()
	isInterrupted = ctx.Err() != nil
	if isHeld && !isInterrupted {
		next = next.with(want)
	}
	isGranted = isHeld && n.relock(context.Background(), turn, next) == nil && !isInterrupted
	return isInterrupted, isGranted
}

// isConnected: the connection is still in use on which the lock was requested.
func (n *node) isConnected(requested waitingLock) bool {
	lockHandle := n.locks.lockHandle.Load()
	lockHandle.mu.Lock()
	defer lockHandle.mu.Unlock()
	return lockHandle.conn == requested.on && lockHandle.lost == 0
}
