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
	isNamed   bool
	wake      chan struct{}
	ended     chan struct{}
	hasBefore atomic.Bool // before is complete, or cannot be
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

func entryOf(seen *smb2.FileStat) entry {
	return entry{seen.FileId, seen.EndOfFile, seen.ChangeTime, seen.LastWriteTime, seen.IsDir()}
}

func (e entry) found() found {
	attributes := uint32(0)
	if e.isFolder {
		attributes = folderAttribute
	}
	return found{stat: &smb2.FileStat{FileId: e.id, EndOfFile: e.size, ChangeTime: e.changed, LastWriteTime: e.written, FileAttributes: attributes}}
}

const folderAttribute = 0x10

// notice: the server reports changes of these names; without names, any may have changed.
func (h *reportedFolder) notice(changed []smb2.Change) {
	h.mu.Lock()
	for _, each := range changed {
		each.Name = h.node.share.characters.fromServer(each.Name)
		if _, isKnown := h.pending[each.Name]; !isKnown && !isHidden(each.Name) {
			h.pending[each.Name] = each
		}
	}
	h.mustList = h.mustList || len(changed) == 0
	h.limit()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// localChange: a program on this machine has changed that name, which the kernel has reported already.
func (h *reportedFolder) localChange(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.local == nil {
		h.local = map[string]time.Time{}
	}
	h.local[name] = time.Now()
}

func (h *reportedFolder) isLocal(name string) bool {
	h.mu.Lock()
	at, isOwn := h.local[name]
	h.mu.Unlock()
	if isOwn && time.Since(at) < localFor {
		return true
	}
	child := h.node.childOf(name)
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
func (h *reportedFolder) run() {
	var w *watch
	defer func() {
		if w != nil {
			w.end()
		}
	}()
	for {
		var lost, again <-chan time.Time
		var over <-chan struct{}
		switch {
		case h.isNamed:
		case w == nil:
			var err error
			if w, err = h.node.share.folders.subscribe(h.node, h.notice); err != nil {
				h.node.share.reporter.setMissing(missingFeature(err))
				w, lost = nil, time.After(reportAgainAfter)
			} else {
				over = w.ended
				h.notice(nil)
			}
		default:
			over = w.ended
		}
		if len(h.suppressed) > 0 {
			again = time.After(localFor)
		}
		select {
		case <-h.ended:
			return
		case <-h.node.share.reporter.ended:
			return
		case <-lost:
		case <-over:
			if lack := missingFeature(w.why); lack != "" {
				h.node.share.reporter.setMissing(lack)
				return
			}
			w = nil
			time.Sleep(reportTogether)
		case <-again:
			h.adoptLocal()
		case <-h.wake:
			time.Sleep(reportTogether)
			if !h.check() {
				time.Sleep(reportAgainAfter)
				h.notice([]smb2.Change{})
			}
		}
	}
}

// check reports the changes; false: it has to be called again later.
func (h *reportedFolder) check() bool {
	if h.node.share.client.OldestWait() > quietFor {
		return false
	}
	h.mu.Lock()
	pending, mustList := h.pending, h.mustList
	h.pending, h.mustList = map[string]smb2.Change{}, false
	h.mu.Unlock()
	if h.suppressed == nil {
		h.suppressed, h.before = map[string]struct{}{}, map[string]entry{}
	}
	for name := range pending {
		if h.isLocal(name) {
			h.suppressed[name] = struct{}{}
			delete(pending, name)
		}
	}
	if mustList && !h.isNamed && !h.isWhole {
		if h.readAll(); h.isWhole && len(pending) == 0 {
			return true
		}
		mustList = !h.isWhole
		h.forgetChanged(pending)
	}
	now, isWhole, err := h.readNow(pending, mustList)
	if err != nil {
		h.checkLater(pending, mustList)
		return errors.Is(err, client.ErrNoRoute) || isAbsent(err)
	}
	if isWhole && h.isWhole {
		for name := range h.before {
			pending[name] = smb2.Change{}
		}
		for name := range now {
			pending[name] = smb2.Change{}
		}
		h.suppressLocal(pending)
	}
	isReported := h.report(pending, now)
	if h.isNamed && !h.isWhole && isReported {
		// From now on all entries are known.
		h.readAll()
	}
	return isReported
}

// forgetChanged turns the new entries of these names into what they were before the change, as far as that is known.
func (h *reportedFolder) forgetChanged(changed map[string]smb2.Change) {
	for name, each := range changed {
		_, isThere := h.before[name]
		delete(h.before, name)
		if !each.IsNew && (isThere || each.IsGone) {
			h.before[name] = h.unknownEntry(name)
		}
	}
}

// unknownEntry is the entry of a name that existed: only whether it was a folder may be known.
func (h *reportedFolder) unknownEntry(name string) entry {
	child := h.node.childOf(name)
	return entry{isFolder: child != nil && child.isFolder()}
}

// suppressLocal suppresses reports of those names that programs on this machine have changed.
func (h *reportedFolder) suppressLocal(names map[string]smb2.Change) {
	for name := range names {
		h.mu.Lock()
		_, isOwn := h.local[name]
		h.mu.Unlock()
		if isOwn || h.isLocal(name) {
			h.suppressed[name] = struct{}{}
		}
	}
}

func (h *reportedFolder) readAll() {
	now, isWhole, err := h.readNow(nil, true)
	defer h.hasBefore.Store(true)
	if h.isWhole = err == nil && isWhole; h.isWhole {
		h.before = map[string]entry{}
		for name, at := range now {
			h.before[name] = entryOf(at.stat)
		}
	}
}

func (h *reportedFolder) checkLater(pending map[string]smb2.Change, mustList bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mustList = h.mustList || mustList
	for name, each := range pending {
		h.pending[name] = each
	}
	h.limit()
}

// limit replaces too many pending names by a listing. The caller holds mu.
func (h *reportedFolder) limit() {
	if len(h.pending) > cachedAtMost {
		h.pending, h.mustList = map[string]smb2.Change{}, true
	}
}

// adoptLocal takes local changes into before, without a report.
func (h *reportedFolder) adoptLocal() {
	names := map[string]smb2.Change{}
	for name := range h.suppressed {
		if !h.isLocal(name) {
			names[name] = smb2.Change{}
		}
	}
	if len(names) == 0 {
		return
	}
	now, _, err := h.readNow(names, false)
	if err != nil {
		return
	}
	h.mu.Lock()
	for name := range h.local {
		if time.Since(h.local[name]) > localFor {
			delete(h.local, name)
		}
	}
	h.mu.Unlock()
	for name := range names {
		delete(h.suppressed, name)
		delete(h.before, name)
		if at, isThere := now[name]; isThere {
			h.before[name] = entryOf(at.stat)
		}
	}
}
