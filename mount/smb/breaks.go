package smb2

import (
	"context"
	"sync"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// breaks says whom it concerns that the server no longer vouches for what was read of a file, because another client changes it. Read leases
// and level II oplocks are just that.
type breaks struct {
	mu     sync.Mutex
	opened map[any]func()
	// A break may come before its file is known.
	early map[any]struct{}
}

const earlyAtMost = 1024

// LeaseKey names a file to the server: handles with one key do not break each other's lease.
type LeaseKey [16]byte

// Promise is what the server vouches by for what is read of a file: a lease, which handles of one file share, or an oplock.
type Promise any

// OnBreak calls broken once, in a goroutine of its own, when the server takes the promise back.
func (fs *Share) OnBreak(promise Promise, broken func()) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, isEarly := b.early[promise]; isEarly {
		delete(b.early, promise)
		go broken()
		return
	}
	if b.opened == nil {
		b.opened = map[any]func(){}
	}
	b.opened[promise] = broken
}

// ForgetBreak ends OnBreak.
func (fs *Share) ForgetBreak(promise Promise) {
	b := &fs.conn.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.opened, promise)
}

func (b *breaks) broke(conn *conn, body []byte) {
	notice := smb2.BreakOf(body)
	if notice == nil {
		return
	}
	var key any = notice.FileId
	if notice.IsLease {
		key = LeaseKey(notice.Key)
	}
	b.mu.Lock()
	changed := b.opened[key]
	delete(b.opened, key)
	if changed == nil {
		if b.early == nil || len(b.early) >= earlyAtMost {
			b.early = map[any]struct{}{}
		}
		b.early[key] = struct{}{}
	}
	b.mu.Unlock()
	if changed != nil {
		go changed()
	}
	if notice.MustBeAcknowledged {
		go conn.acknowledge(notice)
	}
}

func (conn *conn) acknowledge(notice *smb2.Break) {
	req := &smb2.LeaseBreakAcknowledgment{Key: notice.Key, State: notice.State}
	req.CreditCharge = 1
	if rr, err := conn.send(context.Background(), req); err == nil {
		_, _ = conn.recv(rr)
	}
}
