package client

import (
	"errors"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const (
	// How often a lost server is tried without a daemon.
	askEvery = 2 * time.Second
	// A daemon that has sent nothing for this long is not running.
	daemonWithin = 3 * time.Second
	// Another server may be the right one that is starting: its volume is mounted after smbd has started.
	lookAgainAfter = time.Second
	// After a refused login: how often it is checked whether a login may be tried again.
	refusedEvery = time.Minute
)

// find signs in over the routes, one round after another, until a session is open. It ends the outage.
func (cl *Client) find(o *outage) {
	looks := 0
	for round := 0; cl.life.Err() == nil; round++ {
		cl.mu.Lock()
		if cl.outage != o || cl.current != nil {
			cl.mu.Unlock()
			return
		}
		plan := cl.routeOrder(o, round)
		isRefused := cl.refused != nil && round == 0
		cl.mu.Unlock()
		if isRefused {
			cl.waitToRetry(plan, smb.Fail(smb.LogonHeld, errRefused))
			continue
		}
		if len(plan) == 0 {
			cl.sleep(askEvery, true)
			continue
		}
		c, err := cl.race(cl.life, plan, Files)
		cl.mu.Lock()
		if cl.outage != o || cl.isClosed || c != nil && (c.isRetired || !cl.allowed[c.Route.Name]) {
			cl.mu.Unlock()
			if c != nil {
				c.LogOff(logOffWithin)
			}
			continue
		}
		if c != nil {
			reason := o.reason
			if round > 0 {
				reason = Returned
			}
			cl.install(c, reason)
			cl.mu.Unlock()
			return
		}
		cl.recordFailure(err)
		cl.mu.Unlock()
		if smb.CodeOf(err) == smb.OtherServer && looks < 2 {
			looks++
			cl.sleep(lookAgainAfter, true)
			continue
		}
		cl.waitToRetry(plan, err)
	}
}

// recordFailure records why programs wait. The caller holds mu.
func (cl *Client) recordFailure(err error) {
	switch smb.CodeOf(err) {
	case smb.LogonFailure, smb.LogonHeld:
		cl.recordRefusal(err)
	case smb.NoAnswer:
		if cl.refused != nil && cl.options.Logins != nil {
			safely.Go(cl.options.Logins.NoRoute)
		}
	case smb.OtherServer:
		if cl.other != nil && cl.outage != nil && !cl.outage.isOtherNoted {
			cl.outage.isOtherNoted = true
			cl.journal(Event{Is: "other_server", Route: cl.other.Route, Text: cl.other.Text})
		}
	}
	if cl.outage.why, cl.outage.text = whyOf(err), err.Error(); cl.outage.why != smb.OtherServer {
		cl.other = nil
	}
}

func whyOf(err error) string {
	switch code := smb.CodeOf(err); code {
	case smb.OtherServer, smb.NoPlaces, smb.NoShare:
		return code
	}
	return smb.NoAnswer
}

// waitToRetry waits until another round is worth it. A daemon probes for all mounts and sends `try`. Without a daemon the programs of the home
// share their probes (logins.MayAsk): it waits for this program's turn, or until another one had an answer.
func (cl *Client) waitToRetry(plan []smb.Route, err error) {
	if code := smb.CodeOf(err); code == smb.LogonFailure || code == smb.LogonHeld {
		cl.sleep(refusedEvery, true)
		return
	}
	for cl.life.Err() == nil {
		cl.mu.Lock()
		quiet := smb.Monotonic() - cl.commandAt
		hasDaemon := cl.commandAt > 0 && quiet < daemonWithin
		cl.mu.Unlock()
		if hasDaemon {
			if cl.sleep(daemonWithin-quiet, true) {
				return
			}
			continue
		}
		if cl.options.Logins == nil || !cl.options.Logins.IsShared() {
			cl.sleep(askEvery, true)
			return
		}
		if cl.options.Logins.MayAsk(plan, askEvery) || cl.sleep(askEvery/10, true) {
			return
		}
	}
}

var errRefused = errors.New("the server has just refused the login")

// recordRefusal records that the server refused the login. The caller holds mu.
func (cl *Client) recordRefusal(err error) {
	if cl.refused == nil {
		cl.refused = &refusal{err.Error(), smb.Monotonic()}
		cl.journal(Event{Is: "refused", Text: err.Error()})
		cl.wakeWaiters()
	}
}

// forgetRefusal allows a login again; requests wait for its result. The caller holds mu.
func (cl *Client) forgetRefusal() {
	o := cl.outage
	if cl.current != nil {
		o = cl.current.missing
	}
	if cl.refused != nil && o != nil {
		o.since, o.isPastPatience = smb.Monotonic(), false
	}
	cl.refused = nil
}
