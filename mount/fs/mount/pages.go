package mount

import (
	"sync/atomic"
	"time"
)

const (
	// Some pages are unlocked so long after their answer at most.
	unlockedWithin = 2 * time.Millisecond
	quietWithin    = 50 * time.Millisecond
)

// pages knows when the kernel has pages of a file locked: from when it asks to read or write them until it has the answer.
type pages struct {
	pending atomic.Int64
	ended   atomic.Int64 // Unix ns
	// Until then they may be locked though none is pending, Unix ns.
	lockedUntil atomic.Int64
}

// begin returns what ends it when the kernel is about to get the answer.
func (p *pages) begin() (end func()) {
	p.pending.Add(1)
	return func() {
		p.lockedUntil.Store(time.Now().Add(unlockedWithin).UnixNano())
		p.answered()
	}
}

// answered ends it when the kernel has the answer.
func (p *pages) answered() {
	p.ended.Store(time.Now().UnixNano())
	p.pending.Add(-1)
}

func (p *pages) areFree() bool {
	return p.pending.Load() == 0 && time.Now().UnixNano() > p.lockedUntil.Load()
}

// areAnswered: the server answers, so that no page stays locked.
func (p *pages) areAnswered() bool {
	return time.Now().UnixNano()-p.ended.Load() < int64(quietWithin)
}

// askAgain: the known attributes of the file may no longer be true.
func (n *node) askAgain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = time.Time{}
}

// dropPages lets the kernel forget what it has read of a file from off on. It waits for locked pages, and a program that is killed
// then never ends: its own thread would have to answer. So this begins when none are locked, or if there is no such instant, when they are
// locked for a moment only.
func (n *node) dropPages(off int64) {
	n.askAgain()
	for until := time.Now().Add(quietWithin); !n.pages.areFree() && !(n.pages.areAnswered() && time.Now().After(until)); {
		time.Sleep(unlockedWithin / 2)
	}
	_ = n.NotifyContent(off, 0)
}
