// Package logins lets the programs of one account sign in one after the other, and never so often that a server locks the account.
//
// All programs of a home share one file per account and server, with the refusals of the last hour. Enter locks that file (flock), reads it, and
// refuses a sign-in that the server would probably refuse again (record.judge); Ended records the result and unlocks. After two refusals in an hour
// nothing is tried until a person gives a different password or asks for a try (SetPassword, TryNow). If a program hangs while it signs in, another
// one replaces the file (passOver). probe.go shares in the same way which addresses have answered, so that many mounts probe a lost server only
// once. Account.mu is held for an instant, the file for one sign-in.
package logins

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/smb"
)

const (
	refusalsAtMost = 2
	within         = time.Hour
	// A program that has had the file for longer hangs: no sign-in takes that long.
	hangsFrom = 30 * time.Second
	// A program that has just locked the file may not have written turn_at yet.
	passedFrom = 200 * time.Millisecond
	// How long after an accepted login sign-ins of the same login do not wait for each other.
	acceptedFor = time.Second
	pollEvery   = 20 * time.Millisecond
)

// Account is an account in one process, and its file that all processes share.
type Account struct {
	folder string // empty: only this process counts
	name   string // of the file, for the server of the last Enter
	user   string
	domain string

	mu       sync.Mutex
	password string
	// When the server last accepted a login of this process, Unix ms; 0: never, or it was refused since.
	acceptedAt int64
	// One login is tried whatever was refused: a person asked for it, or gave this password.
	tryNow bool
	// The password was just given: refusals of other passwords do not count.
	isNew    bool
	last     *Refusal
	inMemory record
}

// Refusal is a refused login.
type Refusal struct {
	At   int64  `json:"at"` // Unix ms
	Text string `json:"text"`
	// Mark distinguishes refused passwords.
	Mark string `json:"mark"`
}

type record struct {
	V          int       `json:"v"`
	Salt       string    `json:"salt"`
	Refused    []Refusal `json:"refused"`
	AcceptedAt int64     `json:"accepted_at"`
	AwayAt     int64     `json:"away_at"`
	// When the program that has the file locked it, Unix ms; 0: no program has.
	TurnAt int64 `json:"turn_at"`
}

// New returns an account whose refusals are recorded in that folder.
func New(folder, user, domain, password string) *Account {
	return &Account{folder: folder, user: user, domain: domain, password: password}
}

// TryNow allows one login whatever was refused before.
func (a *Account) TryNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tryNow = true
}

// SetNew: a person has just given the password, so refusals of other passwords do not count.
func (a *Account) SetNew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isNew = true
}

// SetPassword sets a different password, which may be tried at once.
func (a *Account) SetPassword(password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.password, a.tryNow, a.acceptedAt, a.last = password, true, 0, nil
}

// Refused is the last refusal since a login was accepted (nil: none), and how many there were within the hour.
func (a *Account) Refused() (last *Refusal, withinHour int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, len(a.inMemory.recent(time.Now()))
}

// Enter waits for the right to sign in at that server.
func (a *Account) Enter(ctx context.Context, server smb2.Server, route smb.Route) (smb.Turn, error) {
	name := a.nameAt(server, route)
	file, err := a.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	t := &turn{account: a, file: file}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.name = name
	r := t.read()
	if !a.tryNow {
		err = r.judge(r.markOf(a.password), a.acceptedAt, a.isNew, time.Now())
	}
	if err != nil {
		t.close()
		return nil, err
	}
	a.tryNow = false
	if a.acceptedAt > 0 && time.Since(time.UnixMilli(r.AcceptedAt)) < acceptedFor {
		t.letOthersIn()
	} else {
		t.at = time.Now().UnixMilli()
		r.TurnAt = t.at
		t.write(r)
	}
	return t, nil
}

// judge returns why a login is not tried; nil: it may be. A login that was accepted may, unless it was refused since.
func (r record) judge(mark string, acceptedAt int64, isNew bool, now time.Time) error {
	recent := r.recent(now)
	var own *Refusal
	for i, each := range recent {
		if each.Mark == mark && each.At > acceptedAt {
			own = &recent[i]
		}
	}
	switch {
	case len(recent) == 0 || own == nil && (acceptedAt > 0 || isNew || len(recent) < refusalsAtMost):
		return nil
	case own != nil && len(recent) < refusalsAtMost && r.AwayAt > own.At:
		return nil
	case own == nil:
		own = &recent[len(recent)-1]
	}
	return smb.Fail(smb.LogonHeld, fmt.Errorf("not tried again yet, because the server refused it: %s", own.Text))
}

// markOf is a keyed hash. It reveals no password: one in 65,536 has the same mark.
func (r record) markOf(password string) string {
	sum := hmac.New(sha256.New, []byte(r.Salt))
	sum.Write([]byte(password))
	return hex.EncodeToString(sum.Sum(nil)[:2])
}

// recent are the refusals of the last hour. Times in the future also count: the clock may have been set back.
func (r record) recent(now time.Time) (recent []Refusal) {
	for _, each := range r.Refused {
		if age := now.Sub(time.UnixMilli(each.At)); age < within {
			recent = append(recent, each)
		}
	}
	return recent
}

// NoRoute records that no route leads to the server: when one does, a login that was refused once may be tried again.
func (a *Account) NoRoute() {
	a.mu.Lock()
	name := a.name
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), pollEvery)
	defer cancel()
	file, err := a.lock(ctx, name)
	if err != nil {
		return
	}
	t := &turn{account: a, file: file}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer t.close()
	if r := t.read(); len(r.Refused) > 0 && r.AwayAt < r.Refused[len(r.Refused)-1].At {
		t.update(func(r *record) { r.AwayAt = time.Now().UnixMilli() })
	}
}

func (a *Account) nameAt(server smb2.Server, route smb.Route) string {
	mark := hex.EncodeToString(server.Guid[:])
	if server.Guid == [16]byte{} {
		mark = route.String()
	}
	return digest(strings.ToLower(a.user), strings.ToLower(a.domain), mark)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// lock opens the file and waits until no other program has it locked; nil: no file can be shared.
func (a *Account) lock(ctx context.Context, name string) (*os.File, error) {
	if a.folder == "" {
		return nil, nil
	}
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		return nil, nil
	}
	for since := time.Now(); ; {
		file, err := os.OpenFile(filepath.Join(a.folder, name), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			// A home that cannot be written must not prevent a sign-in.
			return nil, nil
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && !isReplaced(file) {
			return file, nil
		}
		if time.Since(since) > passedFrom {
			a.passOver(file)
		}
		_ = file.Close()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// passOver replaces the file of a program that hangs. The login that it may still send counts as refused until it records the result.
func (a *Account) passOver(file *os.File) {
	folder, err := os.Open(a.folder)
	if err != nil {
		return
	}
	defer folder.Close()
	if syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || isReplaced(file) {
		return
	}
	r := (&turn{account: a, file: file}).read()
	if r.TurnAt == 0 || time.Since(time.UnixMilli(r.TurnAt)) < hangsFrom {
		return
	}
	r.Refused = append(r.recent(time.Now()), Refusal{At: r.TurnAt, Text: "a program hangs while it signs in"})
	r.TurnAt = 0
	next, err := os.OpenFile(file.Name()+".next", os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	defer next.Close()
	(&turn{account: a, file: next}).write(r)
	_ = os.Rename(next.Name(), file.Name())
}

// isReplaced: another file has its name by now.
func isReplaced(file *os.File) bool {
	was, err := file.Stat()
	now, gone := os.Stat(file.Name())
	return err != nil || gone != nil || !os.SameFile(was, now)
}

// turn is the right to sign in: the locked file. The lock also ends with this process.
type turn struct {
	account  *Account
	file     *os.File
	isShared bool
	at       int64 // when it began, as others read it
}

// letOthersIn unlocks the file during the sign-in.
func (t *turn) letOthersIn() {
	if t.file != nil {
		_ = syscall.Flock(int(t.file.Fd()), syscall.LOCK_UN)
		t.isShared = true
	}
}

// relock locks the file again, but does not wait for a program that hangs: the result must be recorded.
func (t *turn) relock() {
	for until := time.Now().Add(acceptedFor); (t.isShared || isReplaced(t.file)) && time.Now().Before(until); time.Sleep(pollEvery) {
		if next, err := os.OpenFile(t.file.Name(), os.O_RDWR|syscall.O_CLOEXEC, 0); err == nil {
			_ = t.file.Close()
			t.file = next
		}
		t.isShared = syscall.Flock(int(t.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
	}
}

func (t *turn) Ended(err error) {
	a := t.account
	a.mu.Lock()
	defer a.mu.Unlock()
	defer t.close()
	now := time.Now().UnixMilli()
	switch {
	case err == nil:
		a.acceptedAt, a.last = now, nil
		t.update(func(r *record) {
			r.AcceptedAt = now
			mark := r.markOf(a.password)
			r.Refused = slices.DeleteFunc(r.Refused, func(each Refusal) bool { return each.Mark == mark })
		})
	case smb.IsRefusal(err):
		a.acceptedAt = 0
		t.update(func(r *record) {
			refusal := Refusal{now, err.Error(), r.markOf(a.password)}
			a.last, r.Refused = &refusal, append(r.recent(time.Now()), refusal)
		})
	}
}

// update changes the record in memory and in the file. The caller holds mu.
func (t *turn) update(change func(*record)) {
	change(&t.account.inMemory)
	if t.file == nil {
		return
	}
	t.relock()
	r := t.read()
	r.TurnAt = 0
	// Another program may have passed over this turn, and counted it as refused.
	r.Refused = slices.DeleteFunc(r.Refused, func(each Refusal) bool { return each.At == t.at && each.Mark == "" })
	change(&r)
	t.write(r)
}

func (t *turn) read() (r record) {
	if t.file == nil {
		return t.account.inMemory
	}
	// A killed program may have left more behind the text.
	_ = json.NewDecoder(io.NewSectionReader(t.file, 0, 16<<10)).Decode(&r)
	if r.Salt == "" {
		r.Salt = rand.Text()
	}
	return r
}

func (t *turn) write(r record) {
	if t.file == nil {
		return
	}
	r.V = 1
	text, _ := json.Marshal(r)
	if _, err := t.file.WriteAt(text, 0); err == nil {
		_ = t.file.Truncate(int64(len(text)))
	}
}

func (t *turn) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}
