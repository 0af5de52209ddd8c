package mount

import (
	"sync/atomic"
	"time"
)

const (
	// How long after the answer the kernel unlocks pages.
	unlockedWithin = 2 * time.Millisecond
	quietWithin    = 50 * time.Millisecond
)

// pages tracks when the kernel has pages of a file locked: from its read or write request until it has the answer.
type pages struct {
	pending atomic.Int64
	ended   atomic.Int64 // Unix ns
	// Until then pages may be locked although no request is pending, Unix ns.
	lockedUntil atomic.Int64
}

// begin counts a request. end is called just before the kernel gets the answer.
func (p *pages) begin() (end func()) {
	p.pending.Add(1)
	return func() {
		p.lockedUntil.Store(time.Now().Add(unlockedWithin).UnixNano())
		p.answered()
	}
}

// answered: the kernel has the answer of a request.
func (p *pages) answered() {
	p.ended.Store(time.Now().UnixNano())
	p.pending.Add(-1)
}

func (p *pages) areFree() bool {
	return p.pending.Load() == 0 && time.Now().UnixNano() > p.lockedUntil.Load()
}

// areAnswered: requests were answered lately, so that no page stays locked for long.
func (p *pages) areAnswered() bool {
	return time.Now().UnixNano()-p.ended.Load() < int64(quietWithin)
}

// forgetStat has the attributes read again: they may be outdated.
func (n *node) forgetStat() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.statAt = time.Time{}
}

// dropPages has the kernel drop its pages of the file from off on. The kernel then waits for locked pages, in a thread of this program that cannot
// be killed while it waits. So this first waits until none are locked, or, if there is no such instant, until they are only locked for a moment.
func (n *node) dropPages(off int64) {
	n.forgetStat()
	for until := time.Now().Add(quietWithin); !n.pages.areFree() && !(n.pages.areAnswered() && time.Now().After(until)); {
		time.Sleep(unlockedWithin / 2)
	}
	_ = n.NotifyContent(off, 0)
}
