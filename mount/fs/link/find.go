package link

import (
	"errors"
	"time"

	"mountaineer/mount/fs/smb"
)

const (
	// How often a lost server is asked without a daemon.
	askEvery = 2 * time.Second
	// A daemon that has sent nothing for this long is not running.
	daemonWithin = 3 * time.Second
	// A server that is not the right one may just be coming up: its volume comes after its smbd.
	lookAgainAfter = time.Second
	// After a refused login the server is asked again whether a login may be tried.
	refusedEvery = time.Minute
)

// find looks for a route to the server until there is one.
func (l *Link) find(o *outage) {
	looks := 0
	for round := 0; l.life.Err() == nil; round++ {
		l.mu.Lock()
		if l.outage != o || l.current != nil {
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

// planFor orders the routes: first the one whose connection ended, unless it was left for another reason, then the others. The caller holds mu.
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

// noteFailure records why programs wait. The caller holds mu.
func (l *Link) noteFailure(err error) {
	switch smb.CodeOf(err) {
	case smb.LogonFailure, smb.LogonHeld:
		l.noteRefusal(err)
	case smb.NoAnswer:
		if l.refused != nil && l.options.Logins != nil {
			l.options.Logins.Away()
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

func whyOf(err error) string {
	switch code := smb.CodeOf(err); code {
	case smb.OtherServer, smb.NoPlaces, smb.NoShare:
		return code
	}
	return smb.NoAnswer
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
		if l.options.Logins == nil || !l.options.Logins.IsShared() {
			l.sleep(askEvery, true)
			return
		}
		if l.options.Logins.MayAsk(plan, askEvery) {
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

// noteRefusal records that the server refused the login. The caller holds mu.
func (l *Link) noteRefusal(err error) {
	if l.refused == nil {
		l.refused = &refusal{err.Error(), smb.Monotonic()}
		l.note(Event{Is: "refused", Text: err.Error()})
		l.announce()
	}
}

// forgetRefusal lets a login be tried again; programs wait for its result. The caller holds mu.
func (l *Link) forgetRefusal() {
	o := l.outage
	if l.current != nil {
		o = l.current.missing
	}
	if l.refused != nil && o != nil {
		o.since, o.isOver = smb.Monotonic(), false
	}
	l.refused = nil
}
