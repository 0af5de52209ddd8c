package link

import (
	"time"

	"mountaineer/mount/fs/smb"
)

// How the sessions in use begin and end: install and complete, lost and leave.

// install ends an outage: the link uses that connection and its route. The caller holds mu.
func (l *Link) install(c *Conn, reason Reason) {
	now := smb.Monotonic()
	l.trust(c)
	l.current = &sessions{route: c.Route, files: c, missing: &outage{since: now, from: c.Route}}
	before, o := l.last, l.outage
	l.last, l.outage, l.refused, l.limit, l.askedAt = c.Route, nil, nil, 0, 0
	l.noteSessions()
	if o != nil {
		took := now - o.since
		if o.waited && took >= pauseFrom {
			l.pauses.Add(took.Milliseconds())
			l.note(Event{Is: "waited", Ms: took.Milliseconds(), Why: o.why})
		}
		if before.Name != c.Route.Name {
			l.moved(Move{From: before.Name, To: c.Route.Name, Reason: reason, TookMs: took.Milliseconds()})
		}
	}
	l.hasFiles()
	// It never goes back unless it is asked to.
	l.wanted = c.Route.Name
	l.announce()
	l.wakeRecover()
}

// moved notes a change of the route. The caller holds mu.
func (l *Link) moved(m Move) {
	m.At = time.Now().UnixMilli()
	l.moves++
	l.lastMove = &m
	l.note(Event{Is: "moved", From: m.From, To: m.To, Reason: m.Reason, Asked: m.Asked, Quiet: m.Quiet, TookMs: m.TookMs})
	l.logf("moved from %s to %s (%s, %d ms)", m.From, m.To, m.Reason, m.TookMs)
	l.announce()
}

// complete adds the session that is missing. The caller holds mu.
func (l *Link) complete(p *sessions, c *Conn) {
	if p.files == nil {
		p.files = c
		l.hasFiles()
	} else {
		p.names = c
	}
	p.missing, l.refused = nil, nil
	l.noteSessions()
	l.announce()
}

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
	l.stopRestoring()
	l.outage = &outage{since: since, reason: reason, from: l.current.route, of: l.current}
	l.current = nil
	l.note(Event{Is: "lost", Route: l.outage.from.Name, Reason: reason})
	l.logf("%s is lost: %s", l.outage.from.Name, reason)
	l.announce()
}
