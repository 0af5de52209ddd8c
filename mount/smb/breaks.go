package smb2

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// breaks says whom it concerns that the server no longer vouches for what was read of a file, because another client changes it. Read leases
// and level II oplocks are just that. Samba's breaks are not signed, so that anybody in between can make some: heard are only those of promises
// that are held, or were just asked for, and each once.
type breaks struct {
	mu   sync.Mutex
	held map[Promise]*hold
	// How many opens are under way that may bring the promise: a lease by its key, an oplock, which gets its name with the answer, by anOplock.
	asked map[Promise]int
	// Broken before anybody said whom it concerns.
	early map[Promise]struct{}
}

// hold is a promise that was given.
type hold struct {
	handles int
	broken  func() // whom it concerns; nil: nobody, or nobody has said so yet
}

// anOplock is one that was asked for.
type anOplock struct{}

const (
	earlyAtMost       = 1024
	acknowledgeWithin = 5 * time.Second
)

// LeaseKey names a file to the server: handles with one key do not break each other's lease.
type LeaseKey [16]byte

// Promise is what the server vouches by for what is read of a file: a lease, which handles of one file share, or an oplock.
type Promise any

// ask: an open is sent that may bring the promise. What it returns takes what was promised; nil: nothing.
func (b *breaks) ask(promise Promise) (answered func(got Promise)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.held, b.asked, b.early = map[Promise]*hold{}, map[Promise]int{}, map[Promise]struct{}{}
	}
	b.asked[promise]++
	return func(got Promise) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.asked[promise]--; b.asked[promise] == 0 {
			delete(b.asked, promise)
		}
		if got != nil {
			b.of(got).handles++
		}
		if len(b.asked) == 0 {
			maps.DeleteFunc(b.early, func(each Promise, _ struct{}) bool { return b.held[each] == nil })
		}
	}
}

// of: the caller holds mu.
func (b *breaks) of(promise Promise) *hold {
	if b.held[promise] == nil {
		b.held[promise] = &hold{}
	}
	return b.held[promise]
}

// OnBreak calls broken once, in a goroutine of its own, when the server takes the promise back.
func (fs *Share) OnBreak(promise Promise, broken func()) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, isEarly := b.early[promise]; isEarly {
		b.end(promise)
		go safely(broken)
		return
	}
	b.of(promise).broken = broken
}

// ForgetBreak ends OnBreak.
func (fs *Share) ForgetBreak(promise Promise) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if is := b.held[promise]; is != nil && is.handles > 0 {
		is.broken = nil
	} else {
		b.end(promise)
	}
}

// closed: a handle that had the promise is closed.
func (b *breaks) closed(promise Promise) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.held[promise]
	if is == nil {
		return
	}
	if is.handles--; is.handles <= 0 && is.broken == nil {
		b.end(promise)
	}
}

// end: the caller holds mu.
func (b *breaks) end(promise Promise) {
	delete(b.held, promise)
	delete(b.early, promise)
}

// heard: it is a break of a promise that is held, or was just asked for, and the first of it.
func (b *breaks) heard(promise Promise) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	is, isAsked := b.held[promise], b.asked[promise] > 0
	if _, isLease := promise.(LeaseKey); !isLease {
		isAsked = b.asked[anOplock{}] > 0
	}
	_, isEarly := b.early[promise]
	if isEarly || is == nil && (!isAsked || len(b.early) >= earlyAtMost) {
		return false
	}
	isTold := is != nil && is.broken != nil
	if isTold {
		go safely(is.broken)
		b.end(promise)
	}
	if isAsked || !isTold {
		b.early[promise] = struct{}{}
	}
	return true
}

func (b *breaks) broke(conn *conn, body []byte) {
	notice := smb2.BreakOf(body)
	if notice == nil {
		return
	}
	var promise Promise = notice.FileId
	if notice.IsLease {
		promise = LeaseKey(notice.Key)
	}
	if b.heard(promise) && notice.MustBeAcknowledged {
		go safely(func() { conn.acknowledge(notice) })
	}
}

func (conn *conn) acknowledge(notice *smb2.Break) {
	ctx, cancel := context.WithTimeout(context.Background(), acknowledgeWithin)
	defer cancel()
	req := &smb2.LeaseBreakAcknowledgment{Key: notice.Key, State: notice.State}
	req.CreditCharge = 1
	if rr, err := conn.send(ctx, req); err == nil {
		_, _ = conn.recv(rr)
	}
}
