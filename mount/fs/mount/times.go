package mount

import (
	"context"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// Servers answer the times of a file that is being written as they please: Samba those of the first write and 2 s later, until it is closed.
// So a file's time is that of our last write, by the server's clock, until the server has closed the file, or another client has written.
type times struct {
	wrote time.Time // our last write that was answered, since the last answer of the server that counts; zero: none
	set   time.Time // when a time was last set from here
}

// Two clocks, and the way between them.
const timesSlack = 2 * time.Second

// shown is when the file was last written.
func (t times) shown(seen *smb2.FileStat) time.Time {
	if t.wrote.IsZero() || seen.ChangeTime.After(t.wrote.Add(timesSlack)) {
		return seen.LastWriteTime
	}
	return t.wrote
}

// isFrozen: the server has closed the file, and kept a time that somebody set before our last write.
func (t times) isFrozen(closed *smb2.FileStat) bool {
	return !t.wrote.IsZero() && t.wrote.After(t.set) && closed.LastWriteTime.Before(t.wrote.Add(-timesSlack))
}

// closedBy takes over the times that the server has given a file when it closed it; nil: it did so when the connection ended.
func (n *node) closedBy(ctx context.Context, closed *smb2.FileStat) {
	n.mu.Lock()
	was := n.times
	if n.times.wrote = (time.Time{}); closed == nil || closed.LastWriteTime.IsZero() {
		n.mu.Unlock()
		return
	}
	seen := *n.seen
	seen.LastAccessTime, seen.LastWriteTime, seen.ChangeTime = closed.LastAccessTime, closed.LastWriteTime, closed.ChangeTime
	seen.EndOfFile, seen.AllocationSize = closed.EndOfFile, closed.AllocationSize
	n.seen = &seen
	n.mu.Unlock()
	if was.isFrozen(closed) {
		_ = n.setTimes(ctx, time.Time{}, was.wrote)
	}
}
