package link

import (
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
	// The server, as its sign-in showed it.
	learnt learnt

	// Under the link's mu.
	isAbandoned bool
	pending     int
	changing    int           // of the pending requests
	since       time.Duration // when the first of the pending requests was sent
	isWatched   bool
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
