package link

import (
	"time"

	"mountaineer/mount/fs/smb"
)

// lost begins to sign in again. Only the first to notice counts.
func (l *Link) lost(c *Conn, reason Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lostNow(c, reason, smb.Monotonic())
}

// lostNow: the caller holds mu. A connection that was ended costs only itself; any other loss is the route's.
func (l *Link) lostNow(c *Conn, reason Reason, since time.Duration) {
	if c.isAbandoned {
		return
	}
	l.abandon(c)
	p := l.pair
	if p == nil || p.files != c && p.names != c {
		return
	}
	if p.files == c {
		p.files = nil
	}
	if p.names == c {
		p.names = nil
	}
	if p.missing == nil {
		p.missing = &outage{since: since, reason: reason, from: p.route}
	}
	if reason != Ended || p.files == nil && p.names == nil {
		l.leave(reason, since)
	}
	l.announce()
	l.nudge()
}

// leave gives up the route in use. The caller holds mu.
func (l *Link) leave(reason Reason, since time.Duration) {
	if l.pair == nil || l.isClosed {
		return
	}
	l.pair.each(l.abandon)
	l.outage = &outage{since: since, reason: reason, from: l.pair.route, of: l.pair}
	l.pair = nil
	l.note(Event{Is: "lost", Route: l.outage.from.Name, Reason: reason})
	l.logf("%s is lost: %s", l.outage.from.Name, reason)
	l.announce()
}
