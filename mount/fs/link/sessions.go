package link

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"mountaineer/mount/fs/smb"
)

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
			left = append(left, &previousSession{id: id, since: smb.Monotonic(), isDirty: true})
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
