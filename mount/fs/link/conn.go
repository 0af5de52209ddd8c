package link

import (
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Conn is a session of the link. One that was abandoned is never used again.
type Conn struct {
	*smb.Connection
	// Number distinguishes sessions: in one session, equal ids are one file.
	Number int
	// Epoch counts the servers that a person has let in: files of one are never those of another.
	Epoch int
	link  *Link
	kind  Session
	// What its sign-in showed of the server.
	learnt learnt

	// Under the link's mu.
	isAbandoned bool
	pending     int
	changing    int           // of the pending requests
	since       time.Duration // when the first of the pending requests was sent
	isWatched   bool
}

// previousSession is a session that was left, and that the server may not have ended yet: it may still do what it was asked there.
type previousSession struct {
	id    uint64
	since time.Duration
	// It had requests under way that change something.
	isDirty bool
}

// begin counts a request as pending. The caller holds the link's mu.
func (c *Conn) begin(use Use) {
	c.link.requests++
	if c.pending++; c.pending == 1 {
		c.since = smb.Monotonic()
	}
	if use.Changes {
		c.changing++
	}
	if !c.isWatched {
		c.isWatched = true
		time.AfterFunc(silentFrom, safely.Again(c.watch))
	}
}

func (c *Conn) finished(use Use) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	c.pending--
	if use.Changes {
		c.changing--
	}
	if c.pending == 0 && l.hold != nil {
		l.wakeMove()
	}
}

// silence is for how long requests have waited and nothing has come. The caller holds the link's mu.
func (c *Conn) silence() time.Duration {
	if c.pending == 0 || c.isAbandoned {
		return 0
	}
	return smb.Monotonic() - max(c.LastReceived(), c.since, c.link.awake.since())
}

// abandon ends a connection so that none of its requests reaches the server after later ones: those that wait to be sent are dropped, and
// those that the server has got end with the session, which later sign-ins ask it to end. The caller holds mu.
func (l *Link) abandon(c *Conn) {
	if c == nil || c.isAbandoned {
		return
	}
	c.isAbandoned = true
	l.previous = append(l.previous, &previousSession{c.Id(), smb.Monotonic(), c.changing > 0})
	c.Reset()
	if len(l.previous) > previousAtMost {
		l.previous = l.previous[1:]
	}
}

const previousAtMost = 16

// isSettled: no previous session can still change anything. The caller holds mu.
func (l *Link) isSettled() bool {
	for _, each := range l.previous {
		if each.isDirty {
			return false
		}
	}
	return true
}

// HasPrevious: the server may not have ended a session that was left.
func (l *Link) HasPrevious() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.previous) > 0
}

// unsettledSince is when the last session was lost that may still change something. The caller holds mu.
func (l *Link) unsettledSince() (since time.Duration) {
	for _, each := range l.previous {
		if each.isDirty {
			since = max(since, each.since)
		}
	}
	return since
}

// nextPrevious is the session that the next sign-in asks the server to end: one that may still change something first; nil: none.
func (l *Link) nextPrevious() *previousSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range l.previous {
		if each.isDirty {
			return each
		}
	}
	if len(l.previous) > 0 {
		return l.previous[0]
	}
	return nil
}

// settle notes that the server has ended a session.
func (l *Link) settle(o *previousSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(o.id)
}

// forget: the server has ended that session. The caller holds mu.
func (l *Link) forget(id uint64) {
	before := len(l.previous)
	l.previous = slices.DeleteFunc(l.previous, func(each *previousSession) bool { return each.id == id })
	if len(l.previous) != before {
		l.noteSessions()
		l.announce()
	}
}
