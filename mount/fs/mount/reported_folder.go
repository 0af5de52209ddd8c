package mount

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
)

const (
	// Changes that the server reports within this time are checked together.
	reportTogether = 100 * time.Millisecond
	// A server reports a write again 2 s later, when it updates the time.
	localFor = 3 * time.Second
	// For more names than this the folder is listed.
	statAtMost = 32
	// While a request waits for longer, the kernel may have a folder locked, and nothing is reported.
	quietFor = time.Second
)

// reportedFolder is a folder whose changes are reported to programs that watch it (inotify). The server's change notices only say which names to
// check; the difference between the entries before and now is reported. So if a notice is lost, a listing finds the same changes.
type reportedFolder struct {
	node *node
	// It is below a configured folder, and no program watches it: entries are only known of names that have changed.
	isConfigured bool
	wake         chan struct{}
	ended        chan struct{}
	hasBefore    atomic.Bool // before is complete, or cannot be
	// Only used by the goroutine of run. isWhole: before has all entries; suppressed: changed locally, not to be reported.
	before     map[string]entry
	isWhole    bool
	suppressed map[string]struct{}

	mu       sync.Mutex
	pending  map[string]smb2.Change // the first change of each name
	mustList bool
	local    map[string]time.Time // when programs on this machine last changed a name
}

// entry is what the server has at a name.
type entry struct {
	id               uint64
	size             int64
	changed, written time.Time
	isFolder         bool
}

func entryOf(stat *smb2.FileStat) entry {
	return entry{stat.FileId, stat.EndOfFile, stat.ChangeTime, stat.LastWriteTime, stat.IsDir()}
}

func (e entry) fileInfo() fileInfo {
	attributes := uint32(0)
	if e.isFolder {
		attributes = folderAttribute
	}
	return fileInfo{stat: &smb2.FileStat{FileId: e.id, EndOfFile: e.size, ChangeTime: e.changed, LastWriteTime: e.written, FileAttributes: attributes}}
}

const folderAttribute = 0x10

// notice: the server reports changes of these names; without names, any may have changed.
func (f *reportedFolder) notice(changed []smb2.Change) {
	f.mu.Lock()
	for _, each := range changed {
		each.Name = f.node.share.mapping.fromServer(each.Name)
		if _, isKnown := f.pending[each.Name]; !isKnown && !isHidden(each.Name) {
			f.pending[each.Name] = each
		}
	}
	f.mustList = f.mustList || len(changed) == 0
	f.limitPending()
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// localChange: a program on this machine has changed that name, which the kernel has reported already.
func (f *reportedFolder) localChange(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.local == nil {
		f.local = map[string]time.Time{}
	}
	f.local[name] = time.Now()
}

func (f *reportedFolder) isLocal(name string) bool {
	f.mu.Lock()
	at, isLocal := f.local[name]
	f.mu.Unlock()
	if isLocal && time.Since(at) < localFor {
		return true
	}
	child := f.node.childOf(name)
	return child != nil && child.isWritten()
}

// isWritten: a program on this machine writes it, or has just changed it.
func (n *node) isWritten() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.changedAt) < localFor {
		return true
	}
	for h := range n.open {
		if h.isDirty.Load() {
			return true
		}
	}
	return false
}

// run reports changes until the folder is dropped.
func (f *reportedFolder) run() {
	var s *subscription
	defer func() {
		if s != nil {
			s.end()
		}
	}()
	for {
		var retry, localDue <-chan time.Time
		var ended <-chan struct{} // of s
		switch {
		case f.isConfigured:
		case s == nil:
			var err error
			if s, err = f.node.share.folders.subscribe(f.node, f.notice); err != nil {
				f.node.share.reporter.setMissing(missingFeature(err))
				s, retry = nil, time.After(reportAgainAfter)
			} else {
				ended = s.ended
				f.notice(nil)
			}
		default:
			ended = s.ended
		}
		if len(f.suppressed) > 0 {
			localDue = time.After(localFor)
		}
		select {
		case <-f.ended:
			return
		case <-f.node.share.reporter.ended:
			return
		case <-retry:
		case <-ended:
			if lack := missingFeature(s.why); lack != "" {
				f.node.share.reporter.setMissing(lack)
				return
			}
			s = nil
			time.Sleep(reportTogether)
		case <-localDue:
			f.adoptLocal()
		case <-f.wake:
			time.Sleep(reportTogether)
			if !f.check() {
				time.Sleep(reportAgainAfter)
				f.notice([]smb2.Change{})
			}
		}
	}
}

// check reports the changes; false: it has to be called again later.
func (f *reportedFolder) check() bool {
	if f.node.share.client.OldestWait() > quietFor {
		return false
	}
	f.mu.Lock()
	pending, mustList := f.pending, f.mustList
	f.pending, f.mustList = map[string]smb2.Change{}, false
	f.mu.Unlock()
	if f.suppressed == nil {
		f.suppressed, f.before = map[string]struct{}{}, map[string]entry{}
	}
	for name := range pending {
		if f.isLocal(name) {
			f.suppressed[name] = struct{}{}
			delete(pending, name)
		}
	}
	if mustList && !f.isConfigured && !f.isWhole {
		// The first listing: there is nothing to compare it with but the notices that came before it.
		if f.readAll(); f.isWhole && len(pending) == 0 {
			return true
		}
		mustList = !f.isWhole
		f.forgetChanged(pending)
	}
	now, isWhole, err := f.readNow(pending, mustList)
	if err != nil {
		f.checkLater(pending, mustList)
		return errors.Is(err, client.ErrNoRoute) || isAbsent(err)
	}
	if isWhole && f.isWhole {
		for name := range f.before {
			pending[name] = smb2.Change{}
		}
		for name := range now {
			pending[name] = smb2.Change{}
		}
		f.suppressLocal(pending)
	}
	isReported := f.report(pending, now)
	if f.isConfigured && !f.isWhole && isReported {
		// A configured folder in which something changes is read whole once.
		f.readAll()
	}
	return isReported
}

// forgetChanged turns the new entries of these names into what they were before the change, as far as that is known.
func (f *reportedFolder) forgetChanged(changed map[string]smb2.Change) {
	for name, each := range changed {
		_, isThere := f.before[name]
		delete(f.before, name)
		if !each.IsNew && (isThere || each.IsGone) {
			f.before[name] = f.unknownEntry(name)
		}
	}
}

// unknownEntry is the entry of a name that existed: only whether it was a folder may be known.
func (f *reportedFolder) unknownEntry(name string) entry {
	child := f.node.childOf(name)
	return entry{isFolder: child != nil && child.isFolder()}
}

// suppressLocal suppresses reports of those names that programs on this machine have changed.
func (f *reportedFolder) suppressLocal(names map[string]smb2.Change) {
	for name := range names {
		f.mu.Lock()
		_, isLocal := f.local[name]
		f.mu.Unlock()
		if isLocal || f.isLocal(name) {
			f.suppressed[name] = struct{}{}
		}
	}
}

func (f *reportedFolder) readAll() {
	now, isWhole, err := f.readNow(nil, true)
	defer f.hasBefore.Store(true)
	if f.isWhole = err == nil && isWhole; f.isWhole {
		f.before = map[string]entry{}
		for name, info := range now {
			f.before[name] = entryOf(info.stat)
		}
	}
}

func (f *reportedFolder) checkLater(pending map[string]smb2.Change, mustList bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mustList = f.mustList || mustList
	for name, each := range pending {
		f.pending[name] = each
	}
	f.limitPending()
}

// limitPending replaces too many pending names by a listing. The caller holds mu.
func (f *reportedFolder) limitPending() {
	if len(f.pending) > cachedAtMost {
		f.pending, f.mustList = map[string]smb2.Change{}, true
	}
}

// adoptLocal takes local changes into before, without a report.
func (f *reportedFolder) adoptLocal() {
	names := map[string]smb2.Change{}
	for name := range f.suppressed {
		if !f.isLocal(name) {
			names[name] = smb2.Change{}
		}
	}
	if len(names) == 0 {
		return
	}
	now, _, err := f.readNow(names, false)
	if err != nil {
		return
	}
	f.mu.Lock()
	for name := range f.local {
		if time.Since(f.local[name]) > localFor {
			delete(f.local, name)
		}
	}
	f.mu.Unlock()
	for name := range names {
		delete(f.suppressed, name)
		delete(f.before, name)
		if info, isThere := now[name]; isThere {
			f.before[name] = entryOf(info.stat)
		}
	}
}
