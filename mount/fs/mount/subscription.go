package mount

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const (
	subscriptionsAtMost = 64
	// A folder that is listed twice within this time gets a subscription.
	usedWithin = time.Minute
)

// folders has the folders of which the server reports changes: those that programs watch, and those that are listed most.
type folders struct {
	mu            sync.Mutex
	listedAt      map[*node]time.Time // when folders without a subscription were last listed
	subscriptions map[*node]*subscription
	cachedEntries atomic.Int64 // in the listings of all folders
}

// subscription is to the changes of a folder, which the server reports (SMB2 CHANGE_NOTIFY).
type subscription struct {
	node   *node
	usedAt time.Time // under the mu of folders

	// Called with each change in it; nil: only the cached listing uses it.
	report func([]smb2.Change)
	ended  chan struct{}
	why    error

	mu      sync.Mutex
	handle  *smb2.Handle
	since   time.Time
	isEnded bool
}

// isIntactSince: the server has reported all changes since then.
func (s *subscription) isIntactSince(asked time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handle != nil && !s.isEnded && s.since.Before(asked)
}

// toListed returns the subscription to a folder that is about to be listed, if it is one of the most used.
func (f *folders) toListed(n *node) *subscription {
	now := time.Now()
	f.mu.Lock()
	if s := f.subscriptions[n]; s != nil {
		s.usedAt = now
		f.mu.Unlock()
		return s
	}
	last, isUsed := f.listedAt[n]
	f.listedAt[n] = now
	if len(f.listedAt) > 16*subscriptionsAtMost {
		clear(f.listedAt)
	}
	if !isUsed || now.Sub(last) > usedWithin {
		f.mu.Unlock()
		return nil
	}
	oldest, unreported := f.oldest()
	if unreported < subscriptionsAtMost {
		oldest = nil
	}
	s := &subscription{node: n, usedAt: now, ended: make(chan struct{})}
	f.subscriptions[n] = s
	f.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	if s.begin(reading) != nil {
		s.end()
		return nil
	}
	return s
}

// oldest is the least recently used subscription, of those that only a listing uses. The caller holds mu.
func (f *folders) oldest() (oldest *subscription, unreported int) {
	for _, each := range f.subscriptions {
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

// endOldest ends a subscription that only a listing uses, if there is one.
func (f *folders) endOldest() bool {
	f.mu.Lock()
	oldest, _ := f.oldest()
	f.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	return oldest != nil
}

// subscribe calls report with the changes of a folder until the subscription ends; without any: everything may have changed.
func (f *folders) subscribe(n *node, report func([]smb2.Change)) (*subscription, error) {
	s := &subscription{node: n, report: report, ended: make(chan struct{})}
	f.mu.Lock()
	before := f.subscriptions[n]
	f.subscriptions[n] = s
	f.mu.Unlock()
	if before != nil {
		before.end()
	}
	err := s.begin(client.Needs{Session: client.Files, NoWait: true})
	if err != nil {
		s.end()
	}
	return s, err
}

// begin returns once the server reports changes.
func (s *subscription) begin(use client.Needs) error {
	path, err := s.node.serverPath()
	if err == nil && isVersion(path) {
		err = errTooMany
	}
	if err != nil {
		return err
	}
	begun, err := notifyOf(s.node.share, use, path, false, s.node)
	if err == nil {
		s.mu.Lock()
		s.handle, s.since = begun.handle, time.Now()
		s.mu.Unlock()
		safely.Go(func() { s.follow(begun) })
	}
	return err
}

// follow receives changes until the subscription or its connection ends.
func (s *subscription) follow(b changeNotify) {
	defer s.end()
	for {
		changed, err := b.changes()
		if err == nil {
			s.node.names.changedBy(s.node.share, changed)
			if s.report != nil {
				s.report(changed)
			} else {
				safely.Go(func() { s.node.share.watchers.noticed(s.node, changed) })
			}
			// The server collects changes in this time, and reports them together.
			time.Sleep(reportTogether)
			b.changes, err = b.handle.Watch(false)
		}
		if err != nil {
			s.why = err
			return
		}
	}
}

// end closes the folder at the server. Its listing is used for a moment longer.
func (s *subscription) end() {
	s.mu.Lock()
	isFirst, handle := !s.isEnded, s.handle
	s.isEnded = true
	s.mu.Unlock()
	if !isFirst {
		return
	}
	defer close(s.ended)
	f := &s.node.share.folders
	f.mu.Lock()
	if f.subscriptions[s.node] == s {
		delete(f.subscriptions, s.node)
	}
	f.mu.Unlock()
	s.node.names.mu.Lock()
	if soon := time.Now().Add(attributesFor); s.node.names.subscription == s && s.node.names.until.After(soon) {
		s.node.names.until = soon
	}
	s.node.names.mu.Unlock()
	if handle != nil {
		_, _ = handle.Close()
	}
}

// release ends the subscriptions to a folder and all below it before it is renamed or removed: systems that are not Samba refuse that while it is open.
func (f *folders) release(n *node) {
	if n == nil {
		return
	}
	f.mu.Lock()
	var below []*subscription
	for each, s := range f.subscriptions {
		if isBelow(each, n) {
			below = append(below, s)
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

// changeNotify is the request for the next changes, on an open folder.
type changeNotify struct {
	handle  *smb2.Handle
	changes func() ([]smb2.Change, error)
}

// notifyOf returns once the server reports changes of the folder at path. If n is not nil, that must still be this folder.
func notifyOf(s *Share, use client.Needs, path string, isTree bool, n *node) (changeNotify, error) {
	return client.Do(context.Background(), s.client, use, func(t client.Attempt) (changeNotify, error) {
		if t.IsShared() {
			// In the only session: an open folder could not be renamed.
			return changeNotify{}, errTooMany
		}
		opened, err := t.Share.OpenFolder(path)
		if err != nil {
			return changeNotify{}, err
		}
		if n != nil && !n.IsRoot() && !n.isSame(infoOn(t.Conn, opened.FileStat)) {
			err = syscall.ESTALE
		}
		var changes func() ([]smb2.Change, error)
		if err == nil {
			changes, err = opened.Watch(isTree)
		}
		if err != nil {
			_, _ = opened.Close()
		}
		return changeNotify{opened.Handle, changes}, err
	}, nil)
}
