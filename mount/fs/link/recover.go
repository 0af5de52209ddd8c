package link

import (
	"context"
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// recover sees to it that the link has both sessions, until it is closed.
func (l *Link) recover() {
	for l.life.Err() == nil {
		l.mu.Lock()
		p, o := l.current, l.outage
		isWhole := p != nil && p.files != nil && p.names != nil
		hasPrevious, isForcing := len(l.previous) > 0, l.isForcing
		l.mu.Unlock()
		switch {
		case isForcing:
			l.sleep(lookAgainAfter, true)
		case isWhole:
			if hasPrevious {
				l.endPrevious(p)
			}
			l.sleep(endPreviousEvery, hasPrevious)
		case p != nil:
			l.restore(p)
		case o != nil:
			l.find(o)
		default:
			l.sleep(0, false)
		}
	}
}

const endPreviousEvery = 5 * time.Second

// sleep waits for wakeRecover, and at most that long if it is limited.
func (l *Link) sleep(atMost time.Duration, isLimited bool) {
	var late <-chan time.Time
	if isLimited {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-l.wake:
	case <-late:
	case <-l.life.Done():
	}
}

// endPrevious signs in again to have the server end a session that was lost.
func (l *Link) endPrevious(p *sessions) {
	o := l.nextPrevious()
	if o == nil {
		return
	}
	if c, err := l.signInNaming(l.life, p.route, Names, o); err == nil {
		c.LogOff(logOffWithin)
	}
}

// restore signs in to the session that is missing, over the same route. If the one for files cannot be restored, the route is lost.
func (l *Link) restore(p *sessions) {
	ctx, end := context.WithCancel(l.life)
	defer end()
	l.mu.Lock()
	l.stopRestoring = end
	l.mu.Unlock()
	missing, other, isLeft := l.missingOf(p)
	if isLeft {
		return
	}
	c, err := l.signIn(ctx, p.route, missing)
	wait, isDoubtful := l.restored(p, missing, other, c, err)
	if isDoubtful {
		if reason, isThere := l.isAnswering(other); !isThere {
			l.lost(other, reason)
			return
		}
	}
	if wait > 0 {
		l.sleep(wait, true)
	}
}

// missingOf is the session that is missing, and the connection of the other one. isLeft: the route was left, as it has another address by
// now, or is not allowed.
func (l *Link) missingOf(p *sessions) (missing Session, other *Conn, isLeft bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing, other = Files, p.names
	if p.files != nil {
		missing, other = Names, p.files
	}
	isMoved := !slices.Contains(l.routes, p.route) && l.hasRoute(p.route.Name)
	mayStay := !isMoved && !l.isUnconfirmed && l.allowed[p.route.Name]
	if l.current == p && !mayStay {
		l.leave(Ended, p.missing.since)
	}
	return missing, other, l.current != p
}

// restored takes the result of that sign-in, and returns how long the next one waits. isDoubtful: the other connection may be lost as well.
func (l *Link) restored(p *sessions, missing Session, other, c *Conn, err error) (wait time.Duration, isDoubtful bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != p || l.isClosed || other.isAbandoned {
		if c != nil {
			safely.Go(func() { c.LogOff(logOffWithin) })
		}
		return 0, false
	}
	switch code := smb.CodeOf(err); {
	case err == nil:
		c.Epoch = l.epoch
		l.complete(p, c)
	case code == smb.NoPlaces:
		l.logf("%s: the server takes no second connection", p.route.Name)
		l.limit = 1
		l.complete(p, other)
	case missing == Files:
		since := p.missing.since
		l.leave(Ended, since)
		if code == smb.LogonFailure || code == smb.LogonHeld {
			l.noteRefusal(err)
		}
	case code == smb.LogonFailure || code == smb.LogonHeld:
		// Open files keep working; requests for the other session fail.
		l.noteRefusal(err)
		return refusedEvery, false
	default:
		return lookAgainAfter, true
	}
	return 0, false
}

// isAnswering: the server answers on that connection within the time that a route has.
func (l *Link) isAnswering(c *Conn) (why Reason, is bool) {
	select {
	case got := <-safely.Ask(func() (struct{}, error) { return struct{}{}, c.Echo() }):
		return Ended, got.Err == nil
	case <-time.After(headStart):
		return Silent, false
	}
}
