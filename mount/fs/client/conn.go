package client

import (
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Conn is one of the client's sessions, with its connection. A retired one is not used again.
type Conn struct {
	*smb.Connection
	// Number distinguishes sessions. A server may use the id of a removed file again; in one session, equal ids are the same file.
	Number int
	// ServerNumber is increased when a person accepts another server: files of two servers are never the same file.
	ServerNumber int
	client       *Client
	checked      serverCheck

	// Under the client's mu.
	isRetired bool
	pending   int
	changing  int           // of the pending requests
	since     time.Duration // when the first of the pending requests was sent
	isProbed  bool          // probeWhileSilent runs
}

// beginRequest counts a request as pending. The caller holds the client's mu.
func (c *Conn) beginRequest(use Needs) {
	c.client.requestCount++
	if c.pending++; c.pending == 1 {
		c.since = smb.Monotonic()
	}
	if use.Changes {
		c.changing++
	}
	if !c.isProbed {
		c.isProbed = true
		time.AfterFunc(silentFrom, safely.Again(c.probeWhileSilent))
	}
}

// endRequest counts a request as answered. One that was lost counts as pending until its connection is given up: it may still take effect.
func (c *Conn) endRequest(use Needs, err error) {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if smb.IsLoss(err) {
		cl.loseLocked(c, Ended, smb.Monotonic())
	}
	c.pending--
	if use.Changes {
		c.changing--
	}
	if c.pending == 0 && cl.resumed != nil {
		cl.wakeMove()
	}
}

// silence is how long requests have waited since the last bytes came. The caller holds the client's mu.
func (c *Conn) silence() time.Duration {
	if c.pending == 0 || c.isRetired {
		return 0
	}
	return smb.Monotonic() - max(c.LastReceived(), c.since, c.client.sleeps.countsFrom())
}

// retire ends a connection so that none of its requests takes effect after later ones: unsent ones are dropped, and the server drops those
// that it has received when a later sign-in ends the session. The caller holds mu.
func (cl *Client) retire(c *Conn) {
	if c == nil || c.isRetired {
		return
	}
	c.isRetired = true
	cl.previous = append(cl.previous, &previousSession{c.Id(), smb.Monotonic(), c.changing > 0})
	c.Reset()
	if len(cl.previous) > previousAtMost {
		cl.previous = cl.previous[1:]
	}
}
