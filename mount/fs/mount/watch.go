package mount

import (
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const (
	watchesAtMost = 64
	// A folder that is listed twice within this time is watched.
	usedWithin = time.Minute
)

// folders has the folders of which the server reports changes: those that programs watch, and those that are listed most.
type folders struct {
	mu            sync.Mutex
	listedAt      map[*node]time.Time // when folders without a watch were last listed
	watches       map[*node]*watch
	cachedEntries atomic.Int64 // in the listings of all folders
}

// watch is a folder whose changes the server reports.
type watch struct {
	node   *node
	usedAt time.Time // under the mu of folders

	// Called with each change in it; nil: only the cached listing uses the watch.
	report func([]smb2.Change)
	ended  chan struct{}
	why    error

	mu      sync.Mutex
	handle  *smb2.Handle
	since   time.Time
	isEnded bool
}

// isIntactSince: the server has reported all changes since then.
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
	if f.listedAt == nil {
		f.listedAt, f.watches = map[*node]time.Time{}, map[*node]*watch{}
	}
	last, isUsed := f.listedAt[n]
	f.listedAt[n] = now
	if len(f.listedAt) > 16*watchesAtMost {
		clear(f.listedAt)
	}
	if !isUsed || now.Sub(last) > usedWithin {
		f.mu.Unlock()
		return nil
	}
	oldest, unreported := f.oldest()
	if unreported < watchesAtMost {
		oldest = nil
	}
	w := &watch{node: n, usedAt: now, ended: make(chan struct{})}
	f.watches[n] = w
	f.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	if w.begin(reading) != nil {
		w.end()
		return nil
	}
	return w
}

// oldest is the least recently used watch, of those without a subscriber. The caller holds mu.
func (f *folders) oldest() (oldest *watch, unreported int) {
	for _, each := range f.watches {
		if each.report != nil {
			continue
		}
		unreported++
		if oldest == nil || each.usedAt.Before(oldest.usedAt) {
			oldest = each
		}
	}
	return oldest, unreported
}

// endOldest ends a watch without a subscriber, if there is one.
func (f *folders) endOldest() bool {
	f.mu.Lock()
	oldest, _ := f.oldest()
	f.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	return oldest != nil
}

// subscribe watches a folder until the watch ends, and calls report with the changes; without any: everything may have changed.
func (f *folders) subscribe(n *node, report func([]smb2.Change)) (*watch, error) {
	w := &watch{node: n, report: report, ended: make(chan struct{})}
	f.mu.Lock()
	before := f.watches[n]
	if f.watches == nil {
		f.listedAt, f.watches = map[*node]time.Time{}, map[*node]*watch{}
	}
	f.watches[n] = w
	f.mu.Unlock()
	if before != nil {
		before.end()
	}
	err := w.begin(client.Needs{Session: client.Files, NoWait: true})
	if err != nil {
		w.end()
	}
	return w, err
}

// begin returns once the server watches the folder.
func (w *watch) begin(use client.Needs) error {
	path, err := w.node.serverPath()
	if err == nil && isVersion(path) {
		err = errTooMany
	}
	if err != nil {
		return err
	}
	begun, err := watchOnServer(w.node.share, use, path, false, w.node)
	if err == nil {
		w.mu.Lock()
		w.handle, w.since = begun.handle, time.Now()
		w.mu.Unlock()
		safely.Go(func() { w.follow(begun) })
	}
	return err
}

// follow receives changes until the watch or its connection ends.
func (w *watch) follow(b serverWatch) {
	defer w.end()
	for {
		changed, err := b.changes()
		if err == nil {
			w.node.names.changedBy(w.node.share, changed)
			if w.report != nil {
				w.report(changed)
			} else {
				safely.Go(func() { w.node.share.watchers.noticed(w.node, changed) })
			}
			// The server collects changes in this time, and reports them together.
			time.Sleep(reportTogether)
			b.changes, err = b.handle.Watch(false)
		}
		if err != nil {
			w.why = err
			return
		}
	}
}

// end closes the folder at the server. Its listing is used for a moment longer.
func (w *watch) end() {
	w.mu.Lock()
	isFirst, handle := !w.isEnded, w.handle
	w.isEnded = true
	w.mu.Unlock()
	if !isFirst {
		return
	}
	defer close(w.ended)
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

// release ends the watches of a folder and all below it before it is renamed or removed: systems that are not Samba refuse that while it is open.
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
