package link

import (
	"errors"
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const (
	// Without a daemon a lost server is asked so often.
	askEvery = 2 * time.Second
	// A daemon that has said nothing for so long is not there.
	daemonWithin = 3 * time.Second
	// A server that is not the right one may just be coming up: its volume comes after its smbd.
	lookAgainAfter = time.Second
	// After a refused login the server is asked again whether a login may be tried.
	refusedEvery = time.Minute
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

// recover keeps the pair whole until the link is closed.
func (l *Link) recover() {
	for l.life.Err() == nil {
		l.mu.Lock()
		p, o := l.pair, l.outage
		hasOwed, isForcing := len(l.owed) > 0, l.isForcing
		l.mu.Unlock()
		switch {
		case isForcing:
			l.sleep(lookAgainAfter, true)
		case p != nil && p.files != nil && p.names != nil:
			if hasOwed {
				l.endOwed(p)
			}
			l.sleep(settleEvery, hasOwed)
		case p != nil:
			l.mend(p)
		case o != nil:
			l.find(o)
		default:
			l.sleep(0, false)
		}
	}
}

const settleEvery = 5 * time.Second

// sleep waits to be nudged, and at most so long if it is limited.
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

// endOwed signs in once more to have the server end a session that was lost.
func (l *Link) endOwed(p *pair) {
	o := l.nextOwed()
	if o == nil {
		return
	}
	if c, err := l.signInNaming(l.life, p.route, Names, o); err == nil {
		c.LogOff(logOffWithin)
	}
}

// mend signs in the session that is missing, over the same route. If it cannot have the one for files, the route is lost.
func (l *Link) mend(p *pair) {
	l.mu.Lock()
	missing, other := Files, p.names
	if p.files != nil {
		missing, other = Names, p.files
	}
	isMoved := !slices.Contains(l.routes, p.route) && l.hasRoute(p.route.Name)
	if isMoved || l.isUnconfirmed || !l.allowed[p.route.Name] {
		// It has another address by now, or is not allowed.
		l.leave(Ended, p.missing.since)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	c, err := l.signIn(l.life, p.route, missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pair != p || l.isClosed || other.isAbandoned {
		if c != nil {
			safely.Go(func() { c.LogOff(logOffWithin) })
		}
		return
	}
	switch code := smb.CodeOf(err); {
	case err == nil:
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
		// What is open goes on; what needs another session fails.
		l.noteRefusal(err)
		l.pause(refusedEvery)
	default:
		l.mu.Unlock()
		reason, isThere := l.isAnswering(other)
		l.mu.Lock()
		if !isThere {
			l.lostNow(other, reason, smb.Monotonic())
			return
		}
		l.pause(lookAgainAfter)
	}
}

// pause waits to be nudged, but not longer than so. The caller holds mu.
func (l *Link) pause(atMost time.Duration) {
	l.mu.Unlock()
	defer l.mu.Lock()
	l.sleep(atMost, true)
}

// complete puts a session where one is missing. The caller holds mu.
func (l *Link) complete(p *pair, c *Conn) {
	c.Epoch = l.epoch
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

// isAnswering: the server answers on that connection within the time that a route has.
func (l *Link) isAnswering(c *Conn) (why Reason, is bool) {
	select {
	case got := <-safely.Ask(func() (struct{}, error) { return struct{}{}, c.Echo() }):
		return Ended, got.Err == nil
	case <-time.After(headStart):
		return Silent, false
	}
}

// find looks for a route to the server until there is one.
func (l *Link) find(o *outage) {
	looks := 0
	for round := 0; l.life.Err() == nil; round++ {
		l.mu.Lock()
		if l.outage != o || l.pair != nil {
			l.mu.Unlock()
			return
		}
		plan := l.planFor(o, round)
		isRefused := l.refused != nil && round == 0
		l.mu.Unlock()
		if isRefused {
			l.awaitTurn(plan, smb.Fail(smb.LogonHeld, errRefused))
			continue
		}
		if len(plan) == 0 {
			l.sleep(askEvery, true)
			continue
		}
		got := l.race(l.life, plan, Files)
		l.mu.Lock()
		if l.outage != o || l.isClosed || got.conn != nil && !l.allowed[got.conn.Route.Name] {
			l.mu.Unlock()
			if got.conn != nil {
				got.conn.LogOff(logOffWithin)
			}
			continue
		}
		if got.conn != nil {
			reason := o.reason
			if round > 0 {
				reason = Returned
			}
			l.install(got.conn, reason)
			l.mu.Unlock()
			return
		}
		l.noteFailure(got.err)
		l.mu.Unlock()
		if smb.CodeOf(got.err) == smb.OtherServer && looks < 2 {
			looks++
			l.sleep(lookAgainAfter, true)
			continue
		}
		l.awaitTurn(plan, got.err)
	}
}

// planFor: at first the route that ended, unless it is known to be gone, then the others. The caller holds mu.
func (l *Link) planFor(o *outage, round int) []smb.Route {
	usable := l.usable()
	if round > 0 || len(usable) < 2 {
		return usable
	}
	// It is tried last if it was left because it does not answer.
	var first, others []smb.Route
	for _, each := range usable {
		if each.Name == o.from.Name {
			first = append(first, each)
		} else {
			others = append(others, each)
		}
	}
	if o.reason == Ended {
		return append(first, others...)
	}
	return append(others, first...)
}

// noteFailure says why programs wait. The caller holds mu.
func (l *Link) noteFailure(err error) {
	switch smb.CodeOf(err) {
	case smb.LogonFailure, smb.LogonHeld:
		l.noteRefusal(err)
	case smb.NoAnswer:
		if l.refused != nil && l.options.Logons != nil {
			l.options.Logons.Away()
		}
	case smb.OtherServer:
		if l.other != nil && l.outage != nil && !l.outage.isOtherNoted {
			l.outage.isOtherNoted = true
			l.note(Event{Is: "other_server", Route: l.other.Route, Text: l.other.Text})
		}
	}
	if l.outage.why, l.outage.text = whyOf(err), err.Error(); l.outage.why != smb.OtherServer {
		l.other = nil
	}
}

// noteRefusal: the caller holds mu.
func (l *Link) noteRefusal(err error) {
	if l.refused == nil {
		l.refused = &refusal{err.Error(), smb.Monotonic()}
		l.note(Event{Is: "refused", Text: err.Error()})
		l.announce()
	}
}

// forgetRefusal: a login is tried again, and programs wait for what comes of it. The caller holds mu.
func (l *Link) forgetRefusal() {
	o := l.outage
	if l.pair != nil {
		o = l.pair.missing
	}
	if l.refused != nil && o != nil {
		o.since, o.isOver = smb.Monotonic(), false
	}
	l.refused = nil
}

func whyOf(err error) string {
	switch code := smb.CodeOf(err); code {
	case smb.OtherServer, smb.NoPlaces, smb.NoShare:
		return code
	}
	return smb.NoAnswer
}

// install takes a connection into use, and with it its route. The caller holds mu.
func (l *Link) install(c *Conn, reason Reason) {
	now := smb.Monotonic()
	l.trust(c)
	l.pair = &pair{route: c.Route, files: c, missing: &outage{since: now, from: c.Route}}
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
	// It never goes back by itself.
	l.wanted = c.Route.Name
	l.announce()
	l.nudge()
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

// awaitTurn waits until the routes are worth another try: a daemon says so, whose probe all mounts share; or, without one, it is this
// program's turn to ask, or another program has had an answer.
func (l *Link) awaitTurn(plan []smb.Route, err error) {
	if code := smb.CodeOf(err); code == smb.LogonFailure || code == smb.LogonHeld {
		l.sleep(refusedEvery, true)
		return
	}
	for l.life.Err() == nil {
		l.mu.Lock()
		quiet := smb.Monotonic() - l.commandAt
		hasDaemon := l.commandAt > 0 && quiet < daemonWithin
		l.mu.Unlock()
		if hasDaemon {
			select {
			case <-l.wake:
				return
			case <-time.After(daemonWithin - quiet):
			case <-l.life.Done():
			}
			continue
		}
		if l.options.Logons == nil || !l.options.Logons.IsShared() {
			l.sleep(askEvery, true)
			return
		}
		if l.options.Logons.MayAsk(plan, askEvery) {
			return
		}
		select {
		case <-l.wake:
			return
		case <-time.After(askEvery / 10):
		case <-l.life.Done():
		}
	}
}

var errRefused = errors.New("the server has just refused the login")

var errStale = errors.New("the mount has moved since")
