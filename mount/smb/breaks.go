package smb2

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// breaks calls those that keep bytes of a file when the server breaks its lease or oplock, because another client changes it. Only read leases
// and level II oplocks are asked for. Samba's breaks are not signed, so an attacker in between can make some: only those are acted on whose lease
// was granted or just asked for, and each once.
type breaks struct {
	mu   sync.Mutex
	held map[Lease]*hold
	// How many opens in flight may bring the lease: a lease by its key, an oplock, whose file id comes with the answer, by anOplock.
	asked map[Lease]int
	// Broken before OnBreak.
	early map[Lease]struct{}
}

// hold is a lease that was granted.
type hold struct {
	handles int
	broken  func() // as OnBreak set it; nil: not set
}

// anOplock is one that was asked for.
type anOplock struct{}

const (
	earlyAtMost       = 1024
	acknowledgeWithin = 5 * time.Second
)

// LeaseKey names a file to the server: handles with one key do not break each other's lease.
type LeaseKey [16]byte

// Lease is a read lease, by its LeaseKey, which handles of one file share, or a level II oplock, by its file id: while it lasts, no other client
// changes the file, and bytes that were read of it may be kept.
type Lease any

// ask: an open is sent that may bring the lease. The function that it returns takes the granted one; nil: none.
func (b *breaks) ask(lease Lease) (answered func(got Lease)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.held, b.asked, b.early = map[Lease]*hold{}, map[Lease]int{}, map[Lease]struct{}{}
	}
	b.asked[lease]++
	return func(got Lease) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.asked[lease]--; b.asked[lease] == 0 {
			delete(b.asked, lease)
		}
		if got != nil {
			b.of(got).handles++
		}
		if len(b.asked) == 0 {
			maps.DeleteFunc(b.early, func(each Lease, _ struct{}) bool { return b.held[each] == nil })
		}
	}
}

// of: the caller holds mu.
func (b *breaks) of(lease Lease) *hold {
	if b.held[lease] == nil {
		b.held[lease] = &hold{}
	}
	return b.held[lease]
}

// OnBreak calls broken once, in its own goroutine, when the server breaks the lease.
func (fs *Share) OnBreak(lease Lease, broken func()) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, isEarly := b.early[lease]; isEarly {
		b.end(lease)
		go safely(broken)
		return
	}
	b.of(lease).broken = broken
}

// ForgetBreak ends OnBreak.
func (fs *Share) ForgetBreak(lease Lease) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if is := b.held[lease]; is != nil && is.handles > 0 {
		is.broken = nil
	} else {
		b.end(lease)
	}
}

// closed: a handle that had the lease is closed.
func (b *breaks) closed(lease Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.held[lease]
	if is == nil {
		return
	}
	if is.handles--; is.handles <= 0 && is.broken == nil {
		b.end(lease)
	}
}

// end: the caller holds mu.
func (b *breaks) end(lease Lease) {
	delete(b.held, lease)
	delete(b.early, lease)
}

// isExpected: it is the first break of a lease that was granted, or was just asked for.
func (b *breaks) isExpected(lease Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	is, isAsked := b.held[lease], b.asked[lease] > 0
	if _, isLease := lease.(LeaseKey); !isLease {
		isAsked = b.asked[anOplock{}] > 0
	}
	_, isEarly := b.early[lease]
	if isEarly || is == nil && (!isAsked || len(b.early) >= earlyAtMost) {
		return false
	}
	isCalled := is != nil && is.broken != nil
	if isCalled {
		go safely(is.broken)
		b.end(lease)
	}
	if isAsked || !isCalled {
		b.early[lease] = struct{}{}
	}
	return true
}

func (b *breaks) broke(conn *conn, body []byte) {
	notice := smb2.BreakOf(body)
	if notice == nil {
		return
	}
	var lease Lease = notice.FileId
	if notice.IsLease {
		lease = LeaseKey(notice.Key)
	}
	if b.isExpected(lease) && notice.MustBeAcknowledged {
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
