package smb2

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// breaks calls functions set by OnBreak when the server breaks a lease or oplock because another client changes the file. Only read leases and level
// II oplocks are requested. Samba does not sign breaks, so an attacker in between could forge them: only the first break of a lease that was
// granted or requested has an effect.
type breaks struct {
	mu      sync.Mutex
	granted map[Lease]*grant
	// How many opens in flight request the lease: by its key, or by anOplock, as the file id of an oplock comes with the answer.
	requested map[Lease]int
	// Broken before OnBreak.
	early map[Lease]struct{}
}

// grant is a granted lease.
type grant struct {
	handles int
	broken  func() // set by OnBreak
}

// anOplock stands for the oplock of an open in flight.
type anOplock struct{}

const (
	earlyAtMost       = 1024
	acknowledgeWithin = 5 * time.Second
)

// LeaseKey identifies a file's lease: handles with the same key do not break each other's lease.
type LeaseKey [16]byte

// Lease is a read lease (its LeaseKey, which handles of one file share) or a level II oplock (its file id). While it lasts, no other client changes
// the file, and read bytes may be cached.
type Lease any

// request: an open is sent that requests the lease. The function that it returns is called with the granted one; nil: none.
func (b *breaks) request(lease Lease) (answered func(got Lease)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requested == nil {
		b.granted, b.requested, b.early = map[Lease]*grant{}, map[Lease]int{}, map[Lease]struct{}{}
	}
	b.requested[lease]++
	return func(got Lease) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.requested[lease]--; b.requested[lease] == 0 {
			delete(b.requested, lease)
		}
		if got != nil {
			b.of(got).handles++
		}
		if len(b.requested) == 0 {
			maps.DeleteFunc(b.early, func(each Lease, _ struct{}) bool { return b.granted[each] == nil })
		}
	}
}

// of: the caller holds mu.
func (b *breaks) of(lease Lease) *grant {
	if b.granted[lease] == nil {
		b.granted[lease] = &grant{}
	}
	return b.granted[lease]
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
	if is := b.granted[lease]; is != nil && is.handles > 0 {
		is.broken = nil
	} else {
		b.end(lease)
	}
}

// closed: a handle that had the lease is closed.
func (b *breaks) closed(lease Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.granted[lease]
	if is == nil {
		return
	}
	if is.handles--; is.handles <= 0 && is.broken == nil {
		b.end(lease)
	}
}

// end: the caller holds mu.
func (b *breaks) end(lease Lease) {
	delete(b.granted, lease)
	delete(b.early, lease)
}

// accept returns whether this is the first break of a lease that was granted or requested. If so, it calls what OnBreak set.
func (b *breaks) accept(lease Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	is, isAsked := b.granted[lease], b.requested[lease] > 0
	if _, isLease := lease.(LeaseKey); !isLease {
		isAsked = b.requested[anOplock{}] > 0
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
	if b.accept(lease) && notice.MustBeAcknowledged {
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
