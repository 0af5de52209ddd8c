package link

import (
	"time"

	"mountaineer/mount/fs/smb"
)

// lost leaves a connection, so that recover signs in again. Only the first call for a connection has an effect.
func (l *Link) lost(c *Conn, reason Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lostNow(c, reason, smb.Monotonic())
}

// lostNow: a connection that was ended is lost without its route; after any other loss the route is left. The caller holds mu.
func (l *Link) lostNow(c *Conn, reason Reason, since time.Duration) {
	if c.isAbandoned {
		return
	}
	l.abandon(c)
	p := l.current
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
	l.wakeRecover()
}

// leave gives up the route in use. The caller holds mu.
func (l *Link) leave(reason Reason, since time.Duration) {
	if l.current == nil || l.isClosed {
		return
	}
	l.current.each(l.abandon)
	l.outage = &outage{since: since, reason: reason, from: l.current.route, of: l.current}
	l.current = nil
	l.note(Event{Is: "lost", Route: l.outage.from.Name, Reason: reason})
	l.logf("%s is lost: %s", l.outage.from.Name, reason)
	l.announce()
}
