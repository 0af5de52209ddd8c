package logins

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"mountaineer/mount/fs/smb"
)

// probe is the file of an address: when programs last probed it, and when it last answered.
type probe struct {
	AskedAt    int64 `json:"asked_at"`
	AnsweredAt int64 `json:"answered_at"`
}

const (
	askWithin = 800 * time.Millisecond
	// How long an answer to another program makes a sign-in worth it.
	answerFor = time.Second
)

// MayAsk says whether a sign-in over one of the routes is worth it. All programs of a home together probe an address once in every, and share the
// answer.
func (a *Account) MayAsk(routes []smb.Route, every time.Duration) bool {
	return slices.ContainsFunc(routes, func(each smb.Route) bool { return a.isAnswering(each, every) })
}

// IsShared: programs share their probes.
func (a *Account) IsShared() bool { return a.folder != "" }

func (a *Account) isAnswering(route smb.Route, every time.Duration) bool {
	file, err := os.OpenFile(filepath.Join(a.folder, "try-"+digest(route.String())), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return true
	}
	defer file.Close()
	if was := readProbe(file); isRecent(was.AnsweredAt, answerFor) {
		return true
	} else if isRecent(was.AskedAt, every) || syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false
	}
	now := readProbe(file)
	if isRecent(now.AskedAt, every) {
		return isRecent(now.AnsweredAt, answerFor)
	}
	now.AskedAt = time.Now().UnixMilli()
	writeProbe(file, now)
	if _, _, err := route.Ask(context.Background(), askWithin); err != nil {
		return false
	}
	now.AnsweredAt = time.Now().UnixMilli()
	writeProbe(file, now)
	return true
}

// isRecent is also false for times in the future: the clock may have been set back.
func isRecent(at int64, within time.Duration) bool {
	ago := time.Since(time.UnixMilli(at))
	return ago >= 0 && ago < within
}

func readProbe(file *os.File) (was probe) {
	text := make([]byte, 256)
	n, _ := file.ReadAt(text, 0)
	_ = json.Unmarshal(text[:n], &was)
	return was
}

func writeProbe(file *os.File, now probe) {
	text, _ := json.Marshal(now)
	// With blanks it is longer than any earlier text, which it replaces in one write.
	_, _ = file.WriteAt(append(text, "                    \n"...), 0)
}
