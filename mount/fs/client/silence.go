package client

import (
	"context"
	"time"

	"mountaineer/mount/fs/smb"
)

// A route that is cut or blocked ends no connection: its requests just get no answer. So while the server is silent, the routes are probed:
// a connection is left if its own route does not answer and another one does, or if it passes only short messages. A slow server keeps its
// connection, as a new one would not be faster.

const (
	// The silence after which the route is probed, then after twice as long each time: Samba forks for each probe.
	silentFrom = 300 * time.Millisecond
	// The longest time between two probes.
	probeEvery  = 30 * time.Second
	probeWithin = 300 * time.Millisecond
	// A route that answers may still drop long messages.
	blockedFrom = 10 * time.Second
	// If no route answers, a silent connection is given up after the patience, within these bounds.
	silentAtMost  = 30 * time.Second
	silentAtLeast = 15 * time.Second
	testedBytes   = 64 << 10
)

// probeWhileSilent runs while the connection has pending requests. It ends when they are answered, or the connection is retired.
func (c *Conn) probeWhileSilent() {
	cl := c.client
	// How long the silence was at the last probe.
	probedAt, isTested := time.Duration(0), false
	for {
		cl.mu.Lock()
		silence := c.silence()
		if c.pending == 0 || c.isRetired {
			c.isProbing = false
			cl.mu.Unlock()
			return
		}
		cl.mu.Unlock()
		if silence < silentFrom {
			probedAt, isTested = 0, false
			time.Sleep(silentFrom - silence)
			continue
		}
		if wait := cl.nextProbe(probedAt) - silence; wait > 0 {
			time.Sleep(wait)
			continue
		}
		probedAt = silence
		switch cable, isThere := cl.probe(c.Route); {
		case !isThere:
			cl.routeIsSilent(c, silence)
		case c.Cable.Interface != "" && cable.Interface == "":
			// The server answers, but no longer over the interface that the connection is bound to.
			cl.leaveSilent(c, Silent, silence)
		case silence >= blockedFrom && !isTested:
			isTested = true
			cl.testLongMessages(c)
		}
	}
}

// nextProbe is the silence at which the route is probed again after a probe at probedAt: also just when the connection would be given up.
func (cl *Client) nextProbe(probedAt time.Duration) time.Duration {
	next := min(max(2*probedAt, silentFrom), probedAt+probeEvery)
	if limit := cl.silenceLimit(); probedAt < limit {
		next = min(next, limit)
	}
	return next
}

// probe asks the server on that route for its GUID, without a sign-in. isThere: the right server answers.
func (cl *Client) probe(route smb.Route) (cable smb.Cable, isThere bool) {
	if !cl.mayConnect(route) {
		return smb.Cable{}, false
	}
	server, cable, err := route.Ask(cl.life, probeWithin)
	return cable, err == nil && cl.checkServer(route, server) == nil
}

// routeIsSilent leaves a silent route if another one answers. Otherwise it keeps the connection up to silenceLimit: the route may be congested.
func (cl *Client) routeIsSilent(c *Conn, silence time.Duration) {
	for _, each := range cl.others(c.Route) {
		if _, isThere := cl.probe(each); isThere {
			cl.leaveSilent(c, Silent, silence)
			return
		}
	}
	if silence >= cl.silenceLimit() {
		cl.leaveSilent(c, Silent, silence)
	}
}

// silenceLimit is the silence after which a connection is left although no other route answers.
func (cl *Client) silenceLimit() time.Duration {
	return min(silentAtMost, max(cl.patienceNow(), silentAtLeast))
}

// leaveSilent leaves the route, unless the server has sent something since the silence was measured.
func (cl *Client) leaveSilent(c *Conn, reason Reason, silence time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if now := c.silence(); now >= silence {
		// The outage began when the silence did.
		cl.loseLocked(c, reason, smb.Monotonic()-now)
	}
}

// testLongMessages tries 64 KiB each way on a second session, and leaves the route if only another one passes them: some switches drop frames
// of more than 1,400 bytes, and pass all that a sign-in needs.
func (cl *Client) testLongMessages(c *Conn) {
	if cl.passesLongMessages(c.Route) {
		return
	}
	for _, each := range cl.others(c.Route) {
		if cl.passesLongMessages(each) {
			cl.leaveSilent(c, Blocked, 0)
			return
		}
	}
}

const passesWithin = 3 * time.Second

func (cl *Client) passesLongMessages(route smb.Route) bool {
	if !cl.mayConnect(route) {
		return false
	}
	ctx, cancel := context.WithTimeout(cl.life, passesWithin)
	defer cancel()
	c, err := cl.signInEnding(ctx, route, Files, nil)
	if err != nil {
		return false
	}
	defer c.LogOff(logOffWithin)
	defer context.AfterFunc(ctx, c.Reset)()
	path := ""
	for _, each := range cl.options.Known() {
		if !each.Folder && each.Size >= testedBytes {
			path = each.Path
			break
		}
	}
	return c.Share.PassesLongMessages(path, testedBytes) && ctx.Err() == nil
}
