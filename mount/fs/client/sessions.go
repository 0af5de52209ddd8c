package client

import (
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// The sessions in use: how they begin (install, use, addSession; replaceSessions in move.go) and end (lose, leaveRoute).

// sessions are the two sessions, which are always on one route.
type sessions struct {
	route smb.Route
	// nil: recover is signing in. The two are the same where the server takes only one connection.
	files, names *Conn
	// nil while both are there.
	missing *outage
}

// outage is a time without a session: without both, or without the one that is missing.
type outage struct {
	since          time.Duration
	reason         Reason
	route          smb.Route // the one that was left
	lost           *sessions
	isPastPatience bool // requests fail
	hasWaiter      bool // a request has waited
	// Why no route leads to the server.
	why, text    string
	isOtherNoted bool
}

// refusal is a login that the server refused.
type refusal struct {
	text  string
	since time.Duration
}

func (s *sessions) each(do func(*Conn)) {
	if s.files != nil {
		do(s.files)
	}
	if s.names != nil && s.names != s.files {
		do(s.names)
	}
}

// install ends an outage: this connection becomes the session for files, its route the one in use. The caller holds mu.
func (cl *Client) install(c *Conn, reason Reason) {
	before, o := cl.lastRoute, cl.outage
	cl.use(c)
	cl.refused, cl.maxConnections, cl.askedAt = nil, 0, 0
	// It does not move back unless a daemon asks for that.
	cl.wanted = c.Route.Name
	if o != nil {
		cl.reportOutage(o, before, reason)
	}
	cl.dropEnded()
}

// use has requests sent over this connection; recover then adds the other session. The caller holds mu.
func (cl *Client) use(files *Conn) {
	cl.recordProof(files)
	cl.current = &sessions{route: files.Route, files: files, missing: &outage{since: smb.Monotonic(), route: files.Route}}
	cl.lastRoute, cl.outage = files.Route, nil
	cl.recordSessions()
	safely.Go(cl.onConnected)
	cl.wakeWaiters()
	cl.wakeRecover()
}

// reportOutage reports an outage that has ended, if programs have waited or the route is another one. The caller holds mu.
func (cl *Client) reportOutage(o *outage, before smb.Route, reason Reason) {
	took := smb.Monotonic() - o.since
	if o.hasWaiter && took >= pauseFrom {
		cl.pauses.Add(took.Milliseconds())
		cl.journal(Event{Is: "waited", Ms: took.Milliseconds(), Why: o.why})
	}
	if before.Name != cl.lastRoute.Name {
		cl.recordMove(Move{From: before.Name, To: cl.lastRoute.Name, Reason: reason, TookMs: took.Milliseconds()})
	}
}

// addSession adds the missing session. The caller holds mu.
func (cl *Client) addSession(s *sessions, c *Conn) {
	if s.files == nil {
		s.files = c
		safely.Go(cl.onConnected)
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
		if c.isRetired {
			cl.drop(c, Ended, smb.Monotonic())
		}
	})
}

// lose gives up a connection, so that recover signs in again. Only the first call for a connection has an effect.
func (cl *Client) lose(c *Conn, reason Reason) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.loseLocked(c, reason, smb.Monotonic())
}

// loseLocked gives up only the connection if that has ended; for any other reason it leaves the route. The caller holds mu.
func (cl *Client) loseLocked(c *Conn, reason Reason, since time.Duration) {
	if c.isRetired {
		return
	}
	cl.retire(c)
	cl.drop(c, reason, since)
}

// retire gives up a connection so that none of its requests takes effect after later ones: unsent ones are dropped (Reset), and the server drops
// those that it has received when a later sign-in ends the session (previous.go). The caller holds mu.
func (cl *Client) retire(c *Conn) {
	if c == nil || c.isRetired {
		return
	}
	c.isRetired = true
	cl.previous = append(cl.previous, &previousSession{c.Id(), smb.Monotonic(), c.changing > 0})
	c.Reset()
	if len(cl.previous) > previousAtMost {
		cl.previous = cl.previous[1:]
	}
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
	cl.current.each(cl.retire)
	cl.stopRestoring()
	cl.outage = &outage{since: since, reason: reason, route: cl.current.route, lost: cl.current}
	cl.current = nil
	cl.journal(Event{Is: "lost", Route: cl.outage.route.Name, Reason: reason})
	cl.logf("%s is lost: %s", cl.outage.route.Name, reason)
	cl.wakeWaiters()
}
