package mount

import (
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// Servers answer the times of a file that is being written as they please: Samba those of the first write and 2 s later, until it is closed.
// So a file's time is that of our last write, by the server's clock, until the server has got it or has closed the file, or another client has
// written.
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

// isFrozen: the server has closed the file, and kept a time that was set before our last write.
func (t times) isFrozen(now *smb2.FileStat) bool {
	return !t.wrote.IsZero() && t.wrote.After(t.set) && now.LastWriteTime.Before(t.wrote.Add(-timesSlack))
}

// lastWritten is the time that the file has because of what was written here.
func (n *node) lastWritten() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.times.shown(n.seen)
}

// timed takes over the times that the server has given a file, as it was closed or they were set; nil: it did so when the connection ended. It
// returns what was there before.
func (n *node) timed(now *smb2.FileStat) (was times) {
	if now != nil && time.Until(now.ChangeTime) < n.share.client.ClockAhead()+timesSlack {
		n.share.changedThere.Store(now.ChangeTime.UnixNano())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was = n.times
	if n.times.wrote = (time.Time{}); now == nil || now.LastWriteTime.IsZero() {
		return was
	}
	seen := *n.seen
	seen.LastAccessTime, seen.LastWriteTime, seen.ChangeTime = now.LastAccessTime, now.LastWriteTime, now.ChangeTime
	seen.EndOfFile, seen.AllocationSize = now.EndOfFile, now.AllocationSize
	n.seen, n.known = &seen, time.Now()
	return was
}
