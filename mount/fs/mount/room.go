package mount

import (
	"cmp"
	"context"
	"log"
	"slices"
	"sync"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

// A server limits the open files of one connection. Beyond the limit, the least recently used files are closed there, and opened again by name when
// they are used.

const (
	// How many are closed at once.
	closedAtOnce = 8
	// How often it is logged.
	fullEvery = time.Minute
)

// room lets one request at a time close files.
type room struct {
	mu     sync.Mutex
	saidAt time.Time // when it was last logged
}

// makeRoom closes files, or else the subscription to a folder, and returns whether it did.
func (s *Share) makeRoom(c *client.Conn) (isMade bool) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	var all []*handle
	s.handles.Range(func(each, _ any) bool {
		all = append(all, each.(*handle))
		return true
	})
	slices.SortFunc(all, func(a, b *handle) int { return cmp.Compare(a.lastUsed.Load(), b.lastUsed.Load()) })
	closed := 0
	for _, h := range all {
		if closed < closedAtOnce && h.closeUnused(c) {
			closed++
		}
	}
	if closed == 0 {
		return s.folders.endOldest()
	}
	if time.Since(s.room.saidAt) > fullEvery {
		s.room.saidAt = time.Now()
		log.Printf("the server takes no more than %d open files: the least recently used are closed until they are used again", len(all))
	}
	return true
}

// closeUnused closes a file at the server, unless a request uses it, it is locked, or it only has a hidden name.
func (h *handle) closeUnused(c *client.Conn) bool {
	n := h.node
	n.mu.Lock()
	hasHidden := len(n.hidden) > 0
	n.mu.Unlock()
	h.mu.Lock()
	file := h.file
	if hasHidden || file == nil || h.conn != c || h.replacedFile != nil || h.users.Load() > 0 || n.locks.lockHandle.Load() != nil {
		h.mu.Unlock()
		return false
	}
	h.file = nil
	h.mu.Unlock()
	closed := safely.Done(func() {
		if h.isDirty.Swap(false) {
			_, _ = file.SetTimes(time.Time{}, n.lastWritten())
		}
		_, _ = file.Close()
	})
	_, _ = client.Await(context.Background(), nil, closed, time.Now().Add(closedWithin))
	n.endLease()
	n.forgetSoon()
	return true
}
