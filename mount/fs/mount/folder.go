package mount

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const (
	// After this number of lookups in a folder, each within a second of the one before, the folder is listed instead; in a large folder after more:
	// a listing must not take longer than the lookups. In the time of one request listedPerRequest entries are listed.
	missesBefore     = 4
	listedPerRequest = 16
	// How long a folder with too many entries is not listed for lookups.
	tooLargeFor = time.Minute
	// Listings with more entries, in one folder and in all, are not kept in memory.
	cachedAtMost      = 20_000
	cachedInAllAtMost = 60_000
	// How long a listing is used while the server reports changes of the folder.
	subscribedFor = time.Minute
	// How many changed names are remembered, for listings in flight.
	changedAtMost = 1_000
)

// names is the cached listing of a folder. It is used for a second and the time that the listing took, or, while the server reports changes
// of the folder, for subscribedFor.
type names struct {
	mu                sync.Mutex
	entries           map[string]fileInfo // zero: the name has changed since
	folded            map[string]struct{}
	counted           int64 // in folders.cachedEntries
	askedAt           time.Time
	until             time.Time
	unsubscribedUntil time.Time // until then it is used without a subscription
	isWhole           bool      // entries are all that were there
	hasNoLocalChange  bool      // no program on this machine has changed a name since
	subscription      *subscription
	listing           chan struct{} // closed at the end of the listing in flight
	// When names have changed, and all of them: an older listing is outdated for these names.
	changedAt    map[string]time.Time
	allChangedAt time.Time
	// The ids of files that a program on this machine has removed, until the server confirms or restores them (removeName).
	removed map[string]uint64

	misses   int
	missedAt time.Time
	// How many entries the last listing had; when the folder may be listed for lookups again.
	size       int
	largeUntil time.Time
}

// forget: that name has changed.
func (f *names) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteChange(name)
}

// noteChange: the caller holds mu.
func (f *names) noteChange(name string) {
	now := time.Now()
	if len(f.changedAt) >= changedAtMost {
		f.changedAt, f.allChangedAt = nil, now
	}
	if f.changedAt == nil {
		f.changedAt = map[string]time.Time{}
	}
	f.changedAt[name] = now
	if f.entries != nil {
		f.invalidate(name)
	}
}

// forgetRemoved: no deletion of that name is pending. It is free, or the server has a file of that name again.
func (f *names) forgetRemoved(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.removed, name)
}

// hasChangedSince: a listing of that time is outdated for that name.
func (f *names) hasChangedSince(asked time.Time, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.allChangedAt.Before(asked) || !f.changedAt[name].Before(asked)
}

// invalidate: the caller holds mu.
func (f *names) invalidate(name string) {
	f.hasNoLocalChange = false
	f.entries[name] = fileInfo{}
	f.folded[strings.ToLower(name)] = struct{}{}
}

// drop drops the listing. The caller holds mu.
func (f *names) drop(s *Share) {
	s.folders.cachedEntries.Add(-f.counted)
	f.entries, f.folded, f.counted, f.isWhole, f.hasNoLocalChange = nil, nil, 0, false, false
}

// isValid: the caller holds mu.
func (f *names) isValid() bool { return f.entries != nil && time.Now().Before(f.until) }

// get returns a name's entry; isAbsent: the folder has no such name, in any spelling.
func (f *names) get(name string) (info fileInfo, ok, isAbsent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isValid() {
		return fileInfo{}, false, false
	}
	if info, ok = f.entries[name]; ok {
		// The server does not report changes of a nested folder's attributes.
		isTrue := info.stat != nil && (!info.stat.IsDir() || time.Now().Before(f.unsubscribedUntil))
		return info, isTrue, false
	}
	_, isOtherSpelling := f.folded[strings.ToLower(name)]
	// A server may also have a short name (8.3) for a file, and accents in two forms.
	isSure := f.isWhole && !isOtherSpelling && isASCII(name) && !strings.Contains(name, "~")
	return fileInfo{}, false, isSure
}

// countMiss counts lookups that the cache cannot answer, and returns whether to list the folder.
func (f *names) countMiss() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.missedAt) > time.Second {
		f.misses = 0
	}
	f.misses, f.missedAt = f.misses+1, now
	if f.misses < max(missesBefore, f.size/listedPerRequest) || now.Before(f.largeUntil) {
		return false
	}
	f.misses = 0
	return true
}

// setTooLarge: a listing would not be kept.
func (f *names) setTooLarge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.largeUntil = time.Now().Add(tooLargeFor)
}

// lookup finds a name in the cached listing or at the server. Many lookups make it list the folder.
func (n *node) lookup(ctx context.Context, name string) (fileInfo, error) {
	for isListed := false; ; isListed = true {
		if info, ok := n.listed(name); ok {
			return info, nil
		}
		if _, _, isAbsent := n.names.get(name); isAbsent {
			return fileInfo{}, syscall.ENOENT
		}
		child := n.childOf(name)
		if isListed || child != nil && child.isBusy() || !n.names.countMiss() || n.listNow(ctx) != nil {
			return atName(ctx, n, name, reading, statAt)
		}
	}
}

// listed is a name's entry in the cached listing, if it is not outdated.
func (n *node) listed(name string) (fileInfo, bool) {
	info, ok, _ := n.names.get(name)
	if !ok || isHidden(name) {
		return fileInfo{}, false
	}
	n.names.mu.Lock()
	asked := n.names.askedAt
	n.names.mu.Unlock()
	child := n.childOf(name)
	return info, child == nil || child.isUnchangedSince(asked) && child.isSame(info)
}

// listedByParent returns the node's attributes from the listing of its folder, as lookup does.
func (n *node) listedByParent() (fileInfo, bool) {
	parent, name := n.folder()
	if parent == nil {
		return fileInfo{}, false
	}
	if info, ok := parent.listed(name); ok {
		return info, true
	}
	if n.isBusy() || !parent.names.countMiss() || parent.listNow(context.Background()) != nil {
		return fileInfo{}, false
	}
	return parent.listed(name)
}

var (
	errTooMany = errors.New("a folder with too many entries to be kept")
	errNoIds   = errors.New("the server lists files without their ids")
)

// listNow lists the folder, or waits for the listing in flight.
func (n *node) listNow(ctx context.Context) error {
	if n.share.listsNoIds.Load() {
		return errNoIds
	}
	f := &n.names
	f.mu.Lock()
	if under := f.listing; under != nil {
		f.mu.Unlock()
		_, err := client.Await(ctx, Killed, under, time.Time{})
		return err
	}
	done := make(chan struct{})
	f.listing = done
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.listing = nil
		f.mu.Unlock()
		close(done)
	}()
	s := n.share.folders.toListed(n)
	asked := time.Now()
	all, err := query(ctx, n.share, func(t client.Attempt) ([]fileInfo, error) {
		path, err := n.serverPath()
		if err != nil {
			return nil, err
		}
		return listAll(t, path, cachedAtMost)
	})
	if errors.Is(err, errTooMany) {
		f.setTooLarge()
	}
	if err != nil {
		return err
	}
	n.storeListing(all, asked, true, s)
	return nil
}

// listAll returns the entries of a folder.
func listAll(t client.Attempt, path string, atMost int) (all []fileInfo, err error) {
	folder, err := t.Share.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	for err == nil {
		var page []*smb2.FileStat
		page, err = folder.List()
		for _, each := range page {
			all = append(all, infoOn(t.Conn, each))
		}
		if len(all) > atMost {
			err = errTooMany
		}
	}
	// While it is open, it could not be removed.
	_, e := folder.Close()
	if errors.Is(err, io.EOF) {
		err = e
	}
	return all, err
}

// storeListing caches a listing.
func (n *node) storeListing(all []fileInfo, asked time.Time, isWhole bool, s *subscription) {
	f := &n.names
	entries, folded := make(map[string]fileInfo, len(all)), make(map[string]struct{}, len(all))
	for _, each := range all {
		if each.lacksId() {
			n.share.listsNoIds.Store(true)
			return
		}
		name := n.share.mapping.fromServer(each.stat.FileName)
		entries[name] = each
		folded[strings.ToLower(name)] = struct{}{}
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(n.share)
	f.size = len(all)
	if !f.allChangedAt.Before(asked) {
		return
	}
	counted := int64(len(entries))
	if n.share.folders.cachedEntries.Add(counted) > cachedInAllAtMost {
		n.share.folders.cachedEntries.Add(-counted)
		return
	}
	f.entries, f.folded, f.counted, f.askedAt, f.isWhole, f.hasNoLocalChange = entries, folded, counted, asked, isWhole, true
	for name, at := range f.changedAt {
		if !at.Before(asked) {
			f.invalidate(name)
		}
	}
	for name, id := range f.removed {
		if each, ok := entries[name]; ok && each.stat != nil && each.stat.FileId == id {
			f.invalidate(name)
		} else if f.changedAt[name].Before(asked) {
			delete(f.removed, name)
		}
	}
	f.unsubscribedUntil = now.Add(now.Sub(asked) + attributesFor)
	f.until = f.unsubscribedUntil
	if f.subscription = s; s != nil && s.isIntactSince(asked) {
		f.until = now.Add(subscribedFor)
	}
	time.AfterFunc(time.Until(f.until)+attributesFor, safely.Of(func() { n.dropOld() }))
}

// dropOld frees the listing once it is no longer valid.
func (n *node) dropOld() {
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	if n.names.entries != nil && !n.names.isValid() {
		n.names.drop(n.share)
	}
}

// changedBy: the server reports changes of these names; without names, any may have changed.
func (f *names) changedBy(s *Share, changed []smb2.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(changed) == 0 {
		f.drop(s)
		f.changedAt, f.allChangedAt = nil, time.Now()
		return
	}
	for _, each := range changed {
		f.noteChange(s.mapping.fromServer(each.Name))
	}
	if len(f.entries) > 2*cachedAtMost {
		f.drop(s)
	}
}
