package mount

import (
	"context"
	"slices"
	"sync"
	"time"

	"mountaineer/mount/fs/client"
)

// order orders the changes of a file: one that changes its length is exclusive, other writes are shared. Changes also wait for attempts whose
// program was killed (orphans), which must not reach the server after a newer change.
type order struct {
	mu          sync.Mutex
	shared      int
	isExclusive bool
	// Turns of killed programs with attempts in flight.
	orphans int
	waiting []*turn
}

// turn is the right to change the file.
type turn struct {
	order       *order
	isExclusive bool
	ready       chan struct{}

	mu         sync.Mutex
	running    int
	isOrphaned bool
	isDone     bool
}

// enter waits for a turn, unless the program is killed.
func (o *order) enter(ctx context.Context, isExclusive bool) (*turn, error) {
	t := &turn{order: o, isExclusive: isExclusive, ready: make(chan struct{})}
	o.mu.Lock()
	o.waiting = append(o.waiting, t)
	o.next()
	o.mu.Unlock()
	if _, err := client.Await(ctx, Killed, t.ready, time.Time{}); err != nil {
		t.leave()
		return nil, err
	}
	return t, nil
}

// next starts the turns that may run now, in order of arrival. The caller holds mu.
func (o *order) next() {
	for len(o.waiting) > 0 {
		t := o.waiting[0]
		if o.isExclusive || o.orphans > 0 || t.isExclusive && o.shared > 0 {
			return
		}
		if t.isExclusive {
			o.isExclusive = true
		} else {
			o.shared++
		}
		o.waiting = o.waiting[1:]
		close(t.ready)
	}
}

// leave ends the turn, once its attempts in flight have ended.
func (t *turn) leave() {
	o := t.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.waiting, t); i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
		o.next()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOrphaned = t.running > 0; t.isOrphaned {
		o.orphans++
		return
	}
	t.end()
}

// end: the caller holds both locks.
func (t *turn) end() {
	if t.isDone {
		return
	}
	t.isDone = true
	if t.isExclusive {
		t.order.isExclusive = false
	} else {
		t.order.shared--
	}
	t.order.next()
}

// begin counts an attempt, until the function that it returns is called.
func (t *turn) begin() func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running++
	return func() {
		t.order.mu.Lock()
		defer t.order.mu.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.running--; t.running == 0 && t.isOrphaned {
			t.isOrphaned = false
			t.order.orphans--
			t.end()
		}
	}
}
