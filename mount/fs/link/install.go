package link

import (
	"time"

	"mountaineer/mount/fs/smb"
)

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
