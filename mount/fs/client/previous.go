package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mountaineer/mount/fs/smb"
)

// previousSession is a session that was left. Until the server has ended it, its requests may still take effect.
type previousSession struct {
	id    uint64
	since time.Duration
	// It had pending requests that change something.
	mayChange bool
}

const previousAtMost = 16

// isCertain: no request of a previous session can still change anything. The caller holds mu.
func (cl *Client) isCertain() bool {
	return !slices.ContainsFunc(cl.previous, mayChange)
}

func mayChange(p *previousSession) bool { return p.mayChange }

// HasPrevious: the server may not have ended a session that was left.
func (cl *Client) HasPrevious() bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return len(cl.previous) > 0
}

// uncertainSince is when the newest of the sessions was left that may still change something. The caller holds mu.
func (cl *Client) uncertainSince() (since time.Duration) {
	for _, each := range cl.previous {
		if each.mayChange {
			since = max(since, each.since)
		}
	}
	return since
}

// nextPrevious is the session that the next sign-in ends: preferably one that may still change something; nil: there is none.
func (cl *Client) nextPrevious() *previousSession {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if len(cl.previous) == 0 {
		return nil
	}
	return cl.previous[max(0, slices.IndexFunc(cl.previous, mayChange))]
}

// forgetPrevious: the server has ended the session. The caller holds mu.
func (cl *Client) forgetPrevious(id uint64) {
	before := len(cl.previous)
	cl.previous = slices.DeleteFunc(cl.previous, func(each *previousSession) bool { return each.id == id })
	if len(cl.previous) != before {
		cl.recordSessions()
		cl.wakeWaiters()
	}
}

// sessionsRecord is the file with the ids of all sessions. If this program is killed, the server keeps its files open and may still execute
// writes until it notices, which over a pulled cable takes hours: the next program of the share has the server end these sessions.
type sessionsRecord struct {
	V        int      `json:"v"`
	Sessions []string `json:"sessions"`
}

const sessionsVersion = 1

func sessionsFile(folder string) string { return filepath.Join(folder, "sessions") }

// previousIn returns the sessions of the program before.
func previousIn(folder string) (left []*previousSession) {
	if folder == "" {
		return nil
	}
	var before sessionsRecord
	text, err := os.ReadFile(sessionsFile(folder))
	if err != nil || json.Unmarshal(text, &before) != nil || before.V != sessionsVersion {
		return nil
	}
	for _, each := range before.Sessions {
		var id uint64
		if json.Unmarshal([]byte(each), &id) == nil && id != 0 {
			left = append(left, &previousSession{id: id, since: smb.Monotonic(), mayChange: true})
		}
	}
	return left[:min(len(left), previousAtMost)]
}

// recordSessions writes the file. The caller holds mu.
func (cl *Client) recordSessions() {
	if cl.options.Folder == "" {
		return
	}
	now := sessionsRecord{V: sessionsVersion, Sessions: []string{}}
	note := func(id uint64) { now.Sessions = append(now.Sessions, strconv.FormatUint(id, 10)) }
	if cl.current != nil {
		cl.current.each(func(c *Conn) { note(c.Id()) })
	}
	for _, each := range cl.previous {
		note(each.id)
	}
	text, _ := json.Marshal(now)
	next := sessionsFile(cl.options.Folder) + ".new"
	err := os.WriteFile(next, append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(next, sessionsFile(cl.options.Folder))
	}
	if err != nil {
		cl.logf("the sessions cannot be recorded: %v", err)
	}
}
