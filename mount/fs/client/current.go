package client

import (
	"time"

	"mountaineer/mount/fs/smb"
)

// How the current sessions begin (install, addSession) and end (lost, leaveRoute).

// install ends an outage: this connection becomes the session for files, its route the one in use. The caller holds mu.
func (cl *Client) install(c *Conn, reason Reason) {
	now := smb.Monotonic()
	cl.learnFrom(c)
	cl.current = &sessions{route: c.Route, files: c, missing: &outage{since: now, route: c.Route}}
	before, o := cl.lastRoute, cl.outage
	cl.lastRoute, cl.outage, cl.refused, cl.maxConnections, cl.askedAt = c.Route, nil, nil, 0, 0
	cl.recordSessions()
	if o != nil {
		took := now - o.since
		if o.hasWaiter && took >= pauseFrom {
			cl.pauses.Add(took.Milliseconds())
			cl.journal(Event{Is: "waited", Ms: took.Milliseconds(), Why: o.why})
		}
		if before.Name != c.Route.Name {
			cl.recordMove(Move{From: before.Name, To: c.Route.Name, Reason: reason, TookMs: took.Milliseconds()})
		}
	}
	cl.callOnConnected()
	// It does not move back unless a daemon asks for that.
	cl.wanted = c.Route.Name
	cl.wakeWaiters()
	cl.wakeRecover()
	cl.dropEnded()
}

// recordMove: the caller holds mu.
func (cl *Client) recordMove(m Move) {
	m.At = time.Now().UnixMilli()
	cl.moves++
	cl.lastMove = &m
	cl.journal(Event{Is: "moved", From: m.From, To: m.To, Reason: m.Reason, Asked: m.Asked, Quiet: m.Quiet, TookMs: m.TookMs})
	cl.logf("moved from %s to %s (%s, %d ms)", m.From, m.To, m.Reason, m.TookMs)
	cl.wakeWaiters()
}

// addSession adds the missing session. The caller holds mu.
func (cl *Client) addSession(s *sessions, c *Conn) {
	if s.files == nil {
		s.files = c
		cl.callOnConnected()
	} else {
		s.names = c
	}
	s.missing, cl.refused = nil, nil
	cl.recordSessions()
	cl.wakeWaiters()
	cl.dropEnded()
}

// dropEnded drops current sessions that ended before they came into use: nothing else gives them up, and requests would be tried on them again
// and again. The caller holds mu.
func (cl *Client) dropEnded() {
	if cl.current == nil {
		return
	}
	cl.current.each(func(c *Conn) {
		if c.isAbandoned {
			cl.drop(c, Ended, smb.Monotonic())
		}
	})
}

// lost gives up a connection, so that recover signs in again. Only the first call for a connection has an effect.
func (cl *Client) lost(c *Conn, reason Reason) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.lostNow(c, reason, smb.Monotonic())
}

// lostNow gives up only the connection if that has ended; for any other reason it leaves the route. The caller holds mu.
func (cl *Client) lostNow(c *Conn, reason Reason, since time.Duration) {
	if c.isAbandoned {
		return
	}
	cl.abandon(c)
	cl.drop(c, reason, since)
}

// drop takes a connection that was given up out of the current sessions. The caller holds mu.
func (cl *Client) drop(c *Conn, reason Reason, since time.Duration) {
	s := cl.current
	if s == nil || s.files != c && s.names != c {
		return
	}
	if s.files == c {
		s.files = nil
	}
	if s.names == c {
		s.names = nil
	}
	if s.missing == nil {
		s.missing = &outage{since: since, reason: reason, route: s.route}
	}
	if reason != Ended || s.files == nil && s.names == nil {
		cl.leaveRoute(reason, since)
	}
	cl.wakeWaiters()
	cl.wakeRecover()
}

// leaveRoute begins an outage: it gives up both sessions. The caller holds mu.
func (cl *Client) leaveRoute(reason Reason, since time.Duration) {
	if cl.current == nil || cl.isClosed {
		return
	}
	cl.current.each(cl.abandon)
	cl.stopRestoring()
	cl.outage = &outage{since: since, reason: reason, route: cl.current.route, lost: cl.current}
	cl.current = nil
	cl.journal(Event{Is: "lost", Route: cl.outage.route.Name, Reason: reason})
	cl.logf("%s is lost: %s", cl.outage.route.Name, reason)
	cl.wakeWaiters()
}
