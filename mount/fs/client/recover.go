package client

import (
	"context"
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// recover restores missing sessions until the client is closed.
func (cl *Client) recover() {
	for cl.life.Err() == nil {
		cl.mu.Lock()
		s, o := cl.current, cl.outage
		isWhole := s != nil && s.files != nil && s.names != nil
		hasPrevious, isForcing := len(cl.previous) > 0, cl.isForcingMove
		cl.mu.Unlock()
		switch {
		case isForcing:
			cl.sleep(lookAgainAfter, true)
		case isWhole:
			if hasPrevious {
				cl.endPrevious(s)
			}
			cl.sleep(endPreviousEvery, hasPrevious)
		case s != nil:
			cl.restore(s)
		case o != nil:
			cl.find(o)
		default:
			cl.sleep(0, false)
		}
	}
}

const endPreviousEvery = 5 * time.Second

// sleep waits for wakeRecover, and at most that long if it is limited.
func (cl *Client) sleep(atMost time.Duration, isLimited bool) (isWoken bool) {
	var late <-chan time.Time
	if isLimited {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-cl.wake:
		return true
	case <-late:
	case <-cl.life.Done():
	}
	return false
}

// endPrevious signs in only to have the server end a previous session.
func (cl *Client) endPrevious(s *sessions) {
	p := cl.nextPrevious()
	if p == nil {
		return
	}
	if c, err := cl.signInEnding(cl.life, s.route, Names, p); err == nil {
		c.LogOff(logOffWithin)
	}
}

// restore signs in again for the missing session, over the same route. If that is the one for files and it fails, the route is left.
func (cl *Client) restore(s *sessions) {
	ctx, end := context.WithCancel(cl.life)
	defer end()
	cl.mu.Lock()
	cl.stopRestoring = end
	cl.mu.Unlock()
	missing, other, isLeft := cl.missingSession(s)
	if isLeft {
		return
	}
	c, err := cl.signIn(ctx, s.route, missing)
	wait, isDoubtful := cl.afterSignIn(s, missing, other, c, err)
	if isDoubtful {
		if reason, isThere := cl.echo(other); !isThere {
			cl.lose(other, reason)
			return
		}
	}
	if wait > 0 {
		cl.sleep(wait, true)
	}
}

// missingSession returns which session is missing, and the other one's connection. isLeft: it has left the route, which has another address
// now or is no longer allowed.
func (cl *Client) missingSession(s *sessions) (missing Session, other *Conn, isLeft bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	missing, other = Files, s.names
	if s.files != nil {
		missing, other = Names, s.files
	}
	isMoved := !slices.Contains(cl.routes, s.route) && cl.hasRoute(s.route.Name)
	mayStay := !isMoved && !cl.awaitsAllow && cl.allowed[s.route.Name]
	if cl.current == s && !mayStay {
		cl.leaveRoute(Ended, s.missing.since)
	}
	return missing, other, cl.current != s
}

// afterSignIn uses the result of that sign-in. wait: how long until the next one; isDoubtful: the other connection may be lost as well.
func (cl *Client) afterSignIn(s *sessions, missing Session, other, c *Conn, err error) (wait time.Duration, isDoubtful bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.current != s || cl.isClosed || other.isRetired {
		if c != nil {
			safely.Go(func() { c.LogOff(logOffWithin) })
		}
		return 0, false
	}
	switch code := smb.CodeOf(err); {
	case err == nil:
		c.ServerNumber = cl.serverNumber
		cl.addSession(s, c)
	case code == smb.NoPlaces:
		cl.logf("%s: the server takes no second connection", s.route.Name)
		cl.maxConnections = 1
		cl.addSession(s, other)
	case missing == Files:
		since := s.missing.since
		cl.leaveRoute(Ended, since)
		if code == smb.LogonFailure || code == smb.LogonHeld {
			cl.recordRefusal(err)
		}
	case code == smb.LogonFailure || code == smb.LogonHeld:
		// Open files keep working; requests for the other session fail.
		cl.recordRefusal(err)
		return refusedEvery, false
	default:
		return lookAgainAfter, true
	}
	return 0, false
}

// echo: the server answers an ECHO on that connection within a head start.
func (cl *Client) echo(c *Conn) (why Reason, is bool) {
	select {
	case got := <-safely.Ask(func() (struct{}, error) { return struct{}{}, c.Echo() }):
		return Ended, got.Err == nil
	case <-time.After(headStart):
		return Silent, false
	}
}
