package mount

import (
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// times has what is known of a file's times beyond the server's answers, which are wrong while it is written: Samba answers the time of the first
// write, updated after 2 s, until the close. So the shown time is that of the last write by this mount, by the server's clock, until that was
// sent to the server, the server has closed the file, or another client has written.
type times struct {
	wrote time.Time // the last write whose time the server does not have, when it was answered, else sent; zero: none
	set   time.Time // when this mount last set a time
}

// The error of comparing the two clocks.
const timesSlack = 2 * time.Second

// shown is the time of the last write that programs see.
func (t times) shown(stat *smb2.FileStat) time.Time {
	if t.wrote.IsZero() || stat.ChangeTime.After(t.wrote.Add(timesSlack)) {
		return stat.LastWriteTime
	}
	return t.wrote
}

// isFrozen: the server has closed the file with a time that was set before the last write.
func (t times) isFrozen(now *smb2.FileStat) bool {
	return !t.wrote.IsZero() && t.wrote.After(t.set) && now.LastWriteTime.Before(t.wrote.Add(-timesSlack))
}

// lastWritten is the time of the last write.
func (n *node) lastWritten() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.times.shown(n.stat)
}

// storeTimes stores the times of a file that the server has closed, or whose times it has set; nil: they are unknown, as the connection ended. It
// returns the times before.
func (n *node) storeTimes(now *smb2.FileStat) (was times) {
	if now != nil && time.Until(now.ChangeTime) < n.share.client.ClockAhead()+timesSlack {
		n.share.lastCloseTime.Store(now.ChangeTime.UnixNano())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was = n.times
	if n.times.wrote = (time.Time{}); now == nil || now.LastWriteTime.IsZero() {
		return was
	}
	stat := *n.stat
	stat.LastAccessTime, stat.LastWriteTime, stat.ChangeTime = now.LastAccessTime, now.LastWriteTime, now.ChangeTime
	stat.EndOfFile, stat.AllocationSize = now.EndOfFile, now.AllocationSize
	n.stat, n.statAt = &stat, time.Now()
	return was
}
