package mount

import (
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

// What a change by a program on this machine does to what is stored: attributes, listings, bytes that were read ahead, pages of the kernel.

// changed: a program on this machine has changed the file or folder.
func (n *node) changed() {
	now := time.Now()
	n.share.lastChange.Store(now.UnixNano())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changedAt = now
}

// contentChanged: it has changed the content. Bytes that were read ahead by any name of the file are dropped.
func (n *node) contentChanged() {
	n.changed()
	n.dropRead()
	for _, each := range n.share.known.othersOf(n) {
		each.dropRead()
		safely.Go(func() { each.dropPages(0) })
	}
}

// nameChanged: it has changed that name in the folder.
func (n *node) nameChanged(name string) {
	n.changed()
	n.names.forget(name)
	if reported := n.reported.Load(); reported != nil {
		reported.localChange(name)
	}
	if n.IsRoot() {
		n.share.client.RootChanged()
	}
}

// writeAnswered: the server has answered a write that ends there, or a resize to that length. at is when it answered, or when the request was sent
// that got no answer: the server may have closed the file any time after that.
func (n *node) writeAnswered(c *client.Conn, at time.Time, end int64, isResize bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// As precise as the server keeps it.
	n.times.wrote = at.Add(c.ClockAhead).Truncate(100)
	if isResize || end > n.stat.EndOfFile {
		stat := *n.stat
		stat.EndOfFile = end
		n.stat = &stat
	}
}

// isUnchangedSince: no program on this machine has changed or opened the node since then, so that a listing of that time is true.
func (n *node) isUnchangedSince(asked time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open) == 0 && n.closing == 0 && n.changedAt.Before(asked)
}

// isBusy: it is open or has just been changed, so that a listing would soon be outdated.
func (n *node) isBusy() bool { return !n.isUnchangedSince(time.Now().Add(-attributesFor)) }

// dropRead drops bytes that were read ahead.
func (n *node) dropRead() {
	for _, h := range n.handles() {
		h.ahead.drop()
	}
}

// forgetSoon drops the bytes that are read now after a second: the file has no lease.
func (n *node) forgetSoon() {
	if n.isForgetting.Swap(true) {
		return
	}
	time.AfterFunc(attributesFor, safely.Of(func() {
		n.isForgetting.Store(false)
		n.dropRead()
		n.dropPages(0)
	}))
}
