package link

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mountaineer/mount/fs/smb"
)

// previousSession is a session that was left, and that the server may not have ended yet: it may still do what it was asked there.
type previousSession struct {
	id    uint64
	since time.Duration
	// It had requests in flight that change something.
	mayChange bool
}

const previousAtMost = 16

// isCertain: no previous session can still change anything. The caller holds mu.
func (l *Link) isCertain() bool {
	return !slices.ContainsFunc(l.previous, mayChange)
}

func mayChange(p *previousSession) bool { return p.mayChange }

// HasPrevious: the server may not have ended a session that was left.
func (l *Link) HasPrevious() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.previous) > 0
}

// uncertainSince is when the last session was lost that may still change something. The caller holds mu.
func (l *Link) uncertainSince() (since time.Duration) {
	for _, each := range l.previous {
		if each.mayChange {
			since = max(since, each.since)
		}
	}
	return since
}

// nextPrevious is the session that the next sign-in asks the server to end: one that may still change something first; nil: none.
func (l *Link) nextPrevious() *previousSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.previous) == 0 {
		return nil
	}
	return l.previous[max(0, slices.IndexFunc(l.previous, mayChange))]
}

// previousEnded notes that the server has ended a session.
func (l *Link) previousEnded(o *previousSession) {
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

// A program that was killed leaves its sessions to the server, which keeps their files open, and may still write what they have sent, until
// it notices: over a pulled cable, that takes hours. So they are recorded, and the next program of the share asks the server to end them.
type noted struct {
	V        int      `json:"v"`
	Sessions []string `json:"sessions"`
}

const notedVersion = 1

func sessionsFile(folder string) string { return filepath.Join(folder, "sessions") }

// previousIn returns the sessions of the program before; empty folder: none are known.
func previousIn(folder string) (left []*previousSession) {
	if folder == "" {
		return nil
	}
	var before noted
	text, err := os.ReadFile(sessionsFile(folder))
	if err != nil || json.Unmarshal(text, &before) != nil || before.V != notedVersion {
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

// noteSessions records those that the server has to end if this program is killed. The caller holds mu.
func (l *Link) noteSessions() {
	if l.options.Folder == "" {
		return
	}
	now := noted{V: notedVersion, Sessions: []string{}}
	note := func(id uint64) { now.Sessions = append(now.Sessions, strconv.FormatUint(id, 10)) }
	if l.current != nil {
		l.current.each(func(c *Conn) { note(c.Id()) })
	}
	for _, each := range l.previous {
		note(each.id)
	}
	text, _ := json.Marshal(now)
	next := sessionsFile(l.options.Folder) + ".new"
	err := os.WriteFile(next, append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(next, sessionsFile(l.options.Folder))
	}
	if err != nil {
		l.logf("the sessions cannot be noted: %v", err)
	}
}
