package mount

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/link"
)

const (
	watchesAtMost = 64
	// A folder is watched when it is listed for the second time within that.
	usedWithin = time.Minute
)

// folders has the watched ones: the most used. The server reports what changes in them.
type folders struct {
	mu      sync.Mutex
	used    map[*node]time.Time // when a folder that is not watched was last listed
	watches map[*node]*watch
	kept    atomic.Int64 // entries of all folders
}

// watch is a folder whose changes the server reports.
type watch struct {
	node   *node
	usedAt time.Time // under the mu of folders

	mu      sync.Mutex
	handle  *smb2.Handle
	since   time.Time
	isEnded bool
}

// isIntactSince: no change was missed since then.
func (w *watch) isIntactSince(asked time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handle != nil && !w.isEnded && w.since.Before(asked)
}

// watched returns the watch of a folder that is about to be listed, if it is one of the most used.
func (f *folders) watched(n *node) *watch {
	now := time.Now()
	f.mu.Lock()
	if w := f.watches[n]; w != nil {
		w.usedAt = now
		f.mu.Unlock()
		return w
	}
	if f.used == nil {
		f.used, f.watches = map[*node]time.Time{}, map[*node]*watch{}
	}
	last, isUsed := f.used[n]
	f.used[n] = now
	if len(f.used) > 16*watchesAtMost {
		clear(f.used)
	}
	if !isUsed || now.Sub(last) > usedWithin {
		f.mu.Unlock()
		return nil
	}
	var oldest *watch
	for _, each := range f.watches {
		if oldest == nil || each.usedAt.Before(oldest.usedAt) {
			oldest = each
		}
	}
	if len(f.watches) < watchesAtMost {
		oldest = nil
	}
	w := &watch{node: n, usedAt: now}
	f.watches[n] = w
	f.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	if w.begin() != nil {
		w.end()
		return nil
	}
	return w
}

// begin returns once the server watches.
func (w *watch) begin() error {
	n := w.node
	path, err := n.where()
	if err != nil {
		return err
	}
	_, err = ask(context.Background(), n.share, func(t link.Try) (struct{}, error) {
		if t.IsShared() {
			// The only session: an open folder could not be renamed.
			return struct{}{}, errTooMany
		}
		opened, err := t.Share.OpenFolder(path)
		if err != nil {
			return struct{}{}, err
		}
		if !n.IsRoot() && !n.isSame(foundOn(t.Conn, opened.Seen)) {
			_, _ = opened.Close()
			return struct{}{}, errTooMany
		}
		changes, err := opened.Watch()
		if err != nil {
			return struct{}{}, err
		}
		w.mu.Lock()
		w.handle, w.since = opened.Handle, time.Now()
		w.mu.Unlock()
		go w.follow(changes)
		return struct{}{}, nil
	})
	return err
}

// follow hears of changes until the watch ends, with its connection at the latest.
func (w *watch) follow(changes func() ([]string, error)) {
	defer w.end()
	for {
		changed, err := changes()
		if err != nil {
			return
		}
		w.mu.Lock()
		handle := w.handle
		w.mu.Unlock()
		// What changes from now on is reported next.
		next, err := handle.Watch()
		w.node.names.changedBy(w.node.share, changed)
		if err != nil {
			return
		}
		changes = next
	}
}

// end gives the folder free. What was listed holds for a moment longer.
func (w *watch) end() {
	w.mu.Lock()
	isFirst, handle := !w.isEnded, w.handle
	w.isEnded = true
	w.mu.Unlock()
	if !isFirst {
		return
	}
	f := &w.node.share.folders
	f.mu.Lock()
	if f.watches[w.node] == w {
		delete(f.watches, w.node)
	}
	f.mu.Unlock()
	w.node.names.mu.Lock()
	if soon := time.Now().Add(attributesFor); w.node.names.watch == w && w.node.names.until.After(soon) {
		w.node.names.until = soon
	}
	w.node.names.mu.Unlock()
	if handle != nil {
		_, _ = handle.Close()
	}
}

// release gives a folder and all below it free, as it is renamed or removed: other systems than Samba refuse that while it is open.
func (f *folders) release(n *node) {
	if n == nil {
		return
	}
	f.mu.Lock()
	var below []*watch
	for each, w := range f.watches {
		if isBelow(each, n) {
			below = append(below, w)
		}
	}
	f.mu.Unlock()
	for _, each := range below {
		each.end()
	}
}

func isBelow(n, folder *node) bool {
	for at := n.EmbeddedInode(); at != nil; {
		if at == folder.EmbeddedInode() {
			return true
		}
		if at.IsRoot() {
			return false
		}
		_, at = at.Parent()
	}
	return false
}
