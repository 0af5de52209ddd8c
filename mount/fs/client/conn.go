package client

import (
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Conn is one of the client's sessions, with its connection, and counts the requests that are pending on it: sent, and not answered yet. A planned
// move waits until there are none; silence measures how long they have waited.
type Conn struct {
	*smb.Connection
	// Number distinguishes sessions. A server may use the id of a removed file again; in one session, equal ids are the same file.
	Number int
	// ServerNumber is increased when a person accepts another server: files of two servers are never the same file.
	ServerNumber int
	client       *Client
	checked      serverCheck // by prove

	// Under the client's mu.
	isRetired    bool // it was given up: no request is sent on it (retire)
	pending      int
	changing     int           // how many of the pending requests change something
	pendingSince time.Duration // when the first request was sent after there was none
	isProbing    bool          // probeWhileSilent runs
}

// beginRequest counts a request as pending, and has silence watched from then on. The caller holds the client's mu.
func (c *Conn) beginRequest(needs Needs) {
	c.client.requestCount++
	if c.pending++; c.pending == 1 {
		c.pendingSince = smb.Monotonic()
	}
	if needs.Changes {
		c.changing++
	}
	if !c.isProbing {
		c.isProbing = true
		time.AfterFunc(silentFrom, safely.Again(c.probeWhileSilent))
	}
}

// endRequest counts a request as no longer pending. One without an answer (IsLoss) may still take effect, so its connection is given up first.
func (c *Conn) endRequest(needs Needs, err error) {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if smb.IsLoss(err) {
		cl.loseLocked(c, Ended, smb.Monotonic())
	}
	c.pending--
	if needs.Changes {
		c.changing--
	}
	if c.pending == 0 && cl.resumed != nil {
		cl.wakeMove()
	}
}

// silence is how long pending requests have waited since the server last sent a byte; 0: none is pending. The first 2 s after a sleep of the machine
// do not count (sleep.go). The caller holds the client's mu.
func (c *Conn) silence() time.Duration {
	if c.pending == 0 || c.isRetired {
		return 0
	}
	return smb.Monotonic() - max(c.LastReceived(), c.pendingSince, c.client.sleeps.countsFrom())
}

// IsShared: both sessions are this one, as the server accepts only one connection.
func (c *Conn) IsShared() bool {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	return c.client.maxConnections == 1
}
