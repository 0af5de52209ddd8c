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
	// Number tells sessions apart: in one session, equal ids are one file.
	Number int
	// Epoch counts the servers that a person has let in: files of one are never those of another.
	Epoch int
	link  *Link
	kind  Session
	// What its sign-in has shown of the server.
	learnt learnt

	// Under the link's mu.
	isAbandoned bool
	pending     int
	changing    int           // of the pending requests
	since       time.Duration // when the first of the pending requests was sent
	isWatched   bool
}

// owed is a session that the server may still do something for.
type owed struct {
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
		l.nudgeMove()
	}
}

// silence is for how long requests have waited and nothing has come. The caller holds the link's mu.
func (c *Conn) silence() time.Duration {
	if c.pending == 0 || c.isAbandoned {
		return 0
	}
	return smb.Monotonic() - max(c.Heard(), c.since, c.link.awake.since())
}

// abandon ends a connection so that nothing of it reaches the server later than what comes after it: what waits to be sent is dropped, and
// what the server has got is done only until it has ended the session, which later sign-ins ask for. The caller holds mu.
func (l *Link) abandon(c *Conn) {
	if c == nil || c.isAbandoned {
		return
	}
	c.isAbandoned = true
	l.owed = append(l.owed, &owed{c.Id(), smb.Monotonic(), c.changing > 0})
	c.Reset()
	if len(l.owed) > owedAtMost {
		l.owed = l.owed[1:]
	}
}

const owedAtMost = 16

// isSettled: no session before can still change anything. The caller holds mu.
func (l *Link) isSettled() bool {
	for _, each := range l.owed {
		if each.isDirty {
			return false
		}
	}
	return true
}

// Owes: the server may not have ended a session before.
func (l *Link) Owes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.owed) > 0
}

// unsettledSince is when the last session was lost that may still change something. The caller holds mu.
func (l *Link) unsettledSince() (since time.Duration) {
	for _, each := range l.owed {
		if each.isDirty {
			since = max(since, each.since)
		}
	}
	return since
}

// nextOwed is the session that the next sign-in names: one that may still change something, if there is one; nil: none.
func (l *Link) nextOwed() *owed {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range l.owed {
		if each.isDirty {
			return each
		}
	}
	if len(l.owed) > 0 {
		return l.owed[0]
	}
	return nil
}

// settle notes that the server has ended a session.
func (l *Link) settle(o *owed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(o.id)
}

// forget: the server has ended that session. The caller holds mu.
func (l *Link) forget(id uint64) {
	before := len(l.owed)
	l.owed = slices.DeleteFunc(l.owed, func(each *owed) bool { return each.id == id })
	if len(l.owed) != before {
		l.noteSessions()
		l.announce()
	}
}
