package link

import (
	"context"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/smb"
)

const (
	// The silence after which the route is asked; then again after twice as long each time: Samba forks for each question.
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

// watch looks after a connection while requests wait on it.
func (c *Conn) watch() {
	l := c.link
	asked, isTested := time.Duration(0), false
	for {
		l.mu.Lock()
		silence := c.silence()
		if c.pending == 0 || c.isAbandoned {
			c.isWatched = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		if silence < silentFrom {
			asked, isTested = 0, false
			time.Sleep(silentFrom - silence)
			continue
		}
		next := min(max(2*asked, silentFrom), asked+askAtMost)
		if end := l.silenceEnd(); asked < end {
			next = min(next, end)
		}
		if silence < next {
			time.Sleep(next - silence)
			continue
		}
		asked = max(silence, silentFrom)
		switch cable, is := l.answers(c.Route); {
		case !is:
			l.noAnswer(c, silence)
		case c.Cable.Interface != "" && cable.Interface == "":
			// The server is there, but no longer by the interface that the connection is bound to.
			l.loseSilent(c, Silent, silence)
		case silence >= blockedFrom && !isTested:
			isTested = true
			l.testLongMessages(c)
		}
	}
}

// mayContact: something new may be sent over that route. An existing connection may stay where it may not.
func (l *Link) mayContact(route smb.Route) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.allowedRoute(route.Name)
	return err == nil
}

// answers: the right server answers on that route.
func (l *Link) answers(route smb.Route) (smb.Cable, bool) {
	if !l.mayContact(route) {
		return smb.Cable{}, false
	}
	server, cable, err := route.Ask(l.life, askWithin)
	return cable, err == nil && l.judge(route, server) == nil
}

// others are the routes that may be used instead of this one.
func (l *Link) others(than smb.Route) (others []smb.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range l.usable() {
		if each.Name != than.Name {
			others = append(others, each)
		}
	}
	return others
}

// noAnswer leaves a route that does not answer if another one does. Otherwise the connection is kept: over a slow or jammed route a new one
// would not be better.
func (l *Link) noAnswer(c *Conn, silence time.Duration) {
	for _, each := range l.others(c.Route) {
		if _, is := l.answers(each); is {
			l.loseSilent(c, Silent, silence)
			return
		}
	}
	if silence >= l.silenceEnd() {
		l.loseSilent(c, Silent, silence)
	}
}

// silenceEnd is the silence after which a connection is given up though no other route answers.
func (l *Link) silenceEnd() time.Duration {
	return min(silentAtMost, max(l.patienceNow(), silentAtLeast))
}

func (l *Link) loseSilent(c *Conn, reason Reason, silence time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := c.silence(); now >= silence {
		// Programs have waited since then.
		l.lostNow(c, reason, smb.Monotonic()-now)
	}
}

// testLongMessages tries 64 KiB each way on a second session: some switches drop frames of more than 1,400 bytes, and pass all that a
// sign-in needs.
func (l *Link) testLongMessages(c *Conn) {
	if l.passes(c.Route) {
		return
	}
	for _, each := range l.others(c.Route) {
		if l.passes(each) {
			l.loseSilent(c, Blocked, 0)
			return
		}
	}
}

const passesWithin = 3 * time.Second

func (l *Link) passes(route smb.Route) bool {
	if !l.mayContact(route) {
		return false
	}
	ctx, cancel := context.WithTimeout(l.life, passesWithin)
	defer cancel()
	c, err := l.signInNaming(ctx, route, Files, nil)
	if err != nil {
		return false
	}
	defer c.LogOff(logOffWithin)
	defer context.AfterFunc(ctx, c.Reset)()
	var known []identity.Entry
	if l.options.Known != nil {
		known = l.options.Known()
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
