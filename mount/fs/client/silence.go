package client

import (
	"context"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/smb"
)

const (
	// The silence after which the route is probed, then after twice as long each time: Samba forks for each probe.
	silentFrom = 300 * time.Millisecond
	askWithin  = 300 * time.Millisecond
	askAtMost  = 30 * time.Second
	// A route that answers may still drop long messages.
	blockedFrom = 10 * time.Second
	// If no route answers, a silent connection is given up after the patience, within these bounds.
	silentAtMost  = 30 * time.Second
	silentAtLeast = 15 * time.Second
	testedBytes   = 64 << 10
)

// watch probes the route of a connection while its requests get no answer, and leaves the route if another one answers.
func (c *Conn) watch() {
	cl := c.client
	// How long the silence was at the last probe.
	probedAt, isTested := time.Duration(0), false
	for {
		cl.mu.Lock()
		silence := c.silence()
		if c.pending == 0 || c.isAbandoned {
			c.isWatched = false
			cl.mu.Unlock()
			return
		}
		cl.mu.Unlock()
		if silence < silentFrom {
			probedAt, isTested = 0, false
			time.Sleep(silentFrom - silence)
			continue
		}
		next := min(max(2*probedAt, silentFrom), probedAt+askAtMost)
		if end := cl.silenceEnd(); probedAt < end {
			next = min(next, end)
		}
		if silence < next {
			time.Sleep(next - silence)
			continue
		}
		probedAt = max(silence, silentFrom)
		switch cable, is := cl.answers(c.Route); {
		case !is:
			cl.noAnswer(c, silence)
		case c.Cable.Interface != "" && cable.Interface == "":
			// The server answers, but no longer over the interface that the connection is bound to.
			cl.loseSilent(c, Silent, silence)
		case silence >= blockedFrom && !isTested:
			isTested = true
			cl.testLongMessages(c)
		}
	}
}

// mayConnect: a new connection may be made over that route. Where it may not, an existing one stays.
func (cl *Client) mayConnect(route smb.Route) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	_, err := cl.allowedRoute(route.Name)
	return err == nil
}

// answers: the right server answers on that route.
func (cl *Client) answers(route smb.Route) (smb.Cable, bool) {
	if !cl.mayConnect(route) {
		return smb.Cable{}, false
	}
	server, cable, err := route.Ask(cl.life, askWithin)
	return cable, err == nil && cl.checkServer(route, server) == nil
}

// others are the routes that may be used instead of this one.
func (cl *Client) others(than smb.Route) (others []smb.Route) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for _, each := range cl.usable() {
		if each.Name != than.Name {
			others = append(others, each)
		}
	}
	return others
}

// noAnswer leaves a silent route if another one answers. Otherwise it keeps the connection: over a slow or congested route a new one would not
// be better.
func (cl *Client) noAnswer(c *Conn, silence time.Duration) {
	for _, each := range cl.others(c.Route) {
		if _, is := cl.answers(each); is {
			cl.loseSilent(c, Silent, silence)
			return
		}
	}
	if silence >= cl.silenceEnd() {
		cl.loseSilent(c, Silent, silence)
	}
}

// silenceEnd is the silence after which a connection is left although no other route answers.
func (cl *Client) silenceEnd() time.Duration {
	return min(silentAtMost, max(cl.patienceNow(), silentAtLeast))
}

func (cl *Client) loseSilent(c *Conn, reason Reason, silence time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if now := c.silence(); now >= silence {
		// Programs have waited since then.
		cl.lostNow(c, reason, smb.Monotonic()-now)
	}
}

// testLongMessages tries 64 KiB each way on a second session: some switches drop frames of more than 1,400 bytes, and pass all that a
// sign-in needs.
func (cl *Client) testLongMessages(c *Conn) {
	if cl.passesLongMessages(c.Route) {
		return
	}
	for _, each := range cl.others(c.Route) {
		if cl.passesLongMessages(each) {
			cl.loseSilent(c, Blocked, 0)
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
	var known []identity.Entry
	if cl.options.Known != nil {
		known = cl.options.Known()
	}
	path := ""
	for _, each := range known {
		if !each.Folder && each.Size >= testedBytes {
			path = each.Path
			break
		}
	}
	return c.Share.PassesLongMessages(path, testedBytes) && ctx.Err() == nil
}
