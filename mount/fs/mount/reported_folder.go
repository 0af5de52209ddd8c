package mount

import (
	"cmp"
	"context"
	"errors"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
)

const (
	// Notices that come together are one change.
	reportTogether = 100 * time.Millisecond
	// A server reports a change from here again when it updates the time of a write, 2 s later.
	ownFor = 3 * time.Second
	// How many names are looked up one by one; for more the folder is listed.
	lookedAtMost = 32
	// While a program waits for this long, the kernel may have a folder locked, and nothing is reported.
	quietFor = time.Second
)

// reportedFolder is a folder that programs here watch. They get the difference between its entries before and now: the server's notices only say
// which names to check, so that a lost notice means only one more listing.
type reportedFolder struct {
	node *node
	// A person has named it or a folder above: earlier entries are known only of names that have changed since.
	isNamed bool
	wake    chan struct{}
	ended   chan struct{}
	knows   atomic.Bool // the entries before
	// Only the goroutine of run has these.
	before     map[string]entry
	isWhole    bool
	suppressed map[string]struct{}

	mu       sync.Mutex
	pending  map[string]smb2.Change // the first of each name
	mustList bool
	own      map[string]time.Time // names that were changed from here
}

// entry is what a name in a folder was.
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
	return found{seen: &smb2.FileStat{FileId: e.id, EndOfFile: e.size, ChangeTime: e.changed, LastWriteTime: e.written, FileAttributes: attributes}}
}

const folderAttribute = 0x10

// notice: these names have changed; none: any of them.
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

// ownChange: that name is changed from here, and the kernel reports it without help.
func (h *reportedFolder) ownChange(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own == nil {
		h.own = map[string]time.Time{}
	}
	h.own[name] = time.Now()
}

func (h *reportedFolder) isOwn(name string) bool {
	h.mu.Lock()
	at, isOwn := h.own[name]
	h.mu.Unlock()
	if isOwn && time.Since(at) < ownFor {
		return true
	}
	child := h.node.childOf(name)
	return child != nil && child.isWritten()
}

// isWritten: it is changed from here.
func (n *node) isWritten() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.changed) < ownFor {
		return true
	}
	for h := range n.open {
		if h.isDirty.Load() {
			return true
		}
	}
	return false
}

// run report until the folder is given up.
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
				h.node.share.reporter.lacks(lacking(err))
				w, lost = nil, time.After(reportAgainAfter)
			} else {
				over = w.ended
				h.notice(nil)
			}
		default:
			over = w.ended
		}
		if len(h.suppressed) > 0 {
			again = time.After(ownFor)
		}
		select {
		case <-h.ended:
			return
		case <-h.node.share.reporter.ended:
			return
		case <-lost:
		case <-over:
			if lack := lacking(w.why); lack != "" {
				h.node.share.reporter.lacks(lack)
				return
			}
			w = nil
			time.Sleep(reportTogether)
		case <-again:
			h.takeOwn()
		case <-h.wake:
			time.Sleep(reportTogether)
			if !h.look() {
				time.Sleep(reportAgainAfter)
				h.notice([]smb2.Change{})
			}
		}
	}
}

// look reports the changes; false: it is to be called again later.
func (h *reportedFolder) look() bool {
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
		if h.isOwn(name) {
			h.suppressed[name] = struct{}{}
			delete(pending, name)
		}
	}
	if mustList && !h.isNamed && !h.isWhole {
		if h.takeAll(); h.isWhole && len(pending) == 0 {
			return true
		}
		mustList = !h.isWhole
		h.undo(pending)
	}
	now, isWhole, err := h.seen(pending, mustList)
	if err != nil {
		h.later(pending, mustList)
		return errors.Is(err, client.ErrNoRoute) || isAbsent(err)
	}
	if isWhole && h.isWhole {
		for name := range h.before {
			pending[name] = smb2.Change{}
		}
		for name := range now {
			pending[name] = smb2.Change{}
		}
		h.suppressOwn(pending)
	}
	isReported := h.report(pending, now)
	if h.isNamed && !h.isWhole && isReported {
		// From now on it is known what is there.
		h.takeAll()
	}
	return isReported
}

// undo forgets of these names what they are since they have changed.
func (h *reportedFolder) undo(changed map[string]smb2.Change) {
	for name, each := range changed {
		_, isThere := h.before[name]
		delete(h.before, name)
		if !each.IsNew && (isThere || each.IsGone) {
			child := h.node.childOf(name)
			h.before[name] = entry{isFolder: child != nil && child.isFolder()}
		}
	}
}

// suppressOwn suppresses the reports of those names that were changed from here since they were last taken over.
func (h *reportedFolder) suppressOwn(names map[string]smb2.Change) {
	for name := range names {
		h.mu.Lock()
		_, isOwn := h.own[name]
		h.mu.Unlock()
		if isOwn || h.isOwn(name) {
			h.suppressed[name] = struct{}{}
		}
	}
}

func (h *reportedFolder) takeAll() {
	now, isWhole, err := h.seen(nil, true)
	defer h.knows.Store(true)
	if h.isWhole = err == nil && isWhole; h.isWhole {
		h.before = map[string]entry{}
		for name, at := range now {
			h.before[name] = entryOf(at.seen)
		}
	}
}

func (h *reportedFolder) later(pending map[string]smb2.Change, mustList bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mustList = h.mustList || mustList
	for name, each := range pending {
		h.pending[name] = each
	}
	h.limit()
}

// limit: of more names than are listed, it is not known which. The caller holds mu.
func (h *reportedFolder) limit() {
	if len(h.pending) > keptAtMost {
		h.pending, h.mustList = map[string]smb2.Change{}, true
	}
}

// seen is what the server shows at these names, or all of the folder.
func (h *reportedFolder) seen(names map[string]smb2.Change, mustList bool) (now map[string]found, isWhole bool, err error) {
	now = map[string]found{}
	use := client.Needs{Session: client.Files, NoWait: true}
	if mustList || len(names) > lookedAtMost {
		all, err := atPath(context.Background(), h.node, use, func(t client.Attempt, path string) ([]found, error) { return listAll(t, path, keptAtMost) })
		if err == nil {
			for _, each := range all {
				if name := h.node.share.characters.fromServer(each.seen.FileName); !isHidden(name) {
					now[name] = each
				}
			}
			return now, true, nil
		}
		if !errors.Is(err, errTooMany) {
			return nil, false, err
		}
	}
	for name := range names {
		at, err := inFolder(context.Background(), h.node, name, use, lookAt)
		if err == nil {
			now[name] = at
		} else if !isAbsent(err) {
			return nil, false, err
		}
	}
	return now, false, nil
}

// report reports the differences of these names, and remembers the entries of now. A name whose earlier entry is unknown existed,
// unless the server has said that it is new.
func (h *reportedFolder) report(names map[string]smb2.Change, now map[string]found) bool {
	if len(h.before) > 2*keptAtMost {
		h.before, h.isWhole = map[string]entry{}, false
	}
	var gone, come, changed []string
	for name, notice := range names {
		was, wasThere := h.before[name]
		at, isThere := now[name]
		if !wasThere && !h.isWhole {
			wasThere = !notice.IsNew
			was = entry{}
			if !isThere && wasThere {
				if child := h.node.childOf(name); child != nil {
					was.isFolder = child.isFolder()
				}
				h.before[name] = was
			}
		}
		_, isSuppressed := h.suppressed[name]
		switch {
		case isSuppressed || !wasThere && !isThere:
		case wasThere && !isThere:
			gone = append(gone, name)
		case isThere && (!wasThere || was.id != 0 && was.id != at.seen.FileId):
			come = append(come, name)
		case entryOf(at.seen) != was && !at.seen.IsDir():
			changed = append(changed, name)
		}
	}
	slices.Sort(gone)
	slices.Sort(come)
	isReported := true
	for _, name := range come {
		at := now[name]
		is := report{Do: newFile, Name: name}
		if at.seen.IsDir() {
			is.Do = newFolder
		}
		i := slices.IndexFunc(gone, func(each string) bool { return h.before[each].id == at.seen.FileId && at.seen.FileId != 0 })
		if i >= 0 {
			is = report{Do: movedTo, Name: gone[i], To: name}
			gone = slices.Delete(gone, i, i+1)
		}
		isReported = h.reportOne(is, at) && isReported
	}
	for _, name := range gone {
		is := report{Do: goneFile, Name: name}
		if h.before[name].isFolder {
			is.Do = goneFolder
		}
		isReported = h.reportOne(is, h.before[name].found()) && isReported
	}
	for _, name := range changed {
		isReported = h.reportOne(report{Do: changedFile, Name: name}, now[name]) && isReported
	}
	return isReported
}

// reportOne has the kernel drop what it knows, and report the change. One that cannot be reported now is checked later.
func (h *reportedFolder) reportOne(is report, at found) bool {
	n := h.node
	is.Folder, is.At = n.Path(nil), at.seen.LastWriteTime
	name := cmp.Or(is.To, is.Name)
	child := n.childOf(name)
	if child != nil && is.Do == changedFile && child.Mode() == syscall.S_IFLNK {
		// The kernel asks for its target again, and no program can watch that here.
		_ = n.NotifyEntry(name)
		h.before[name] = entryOf(at.seen)
		return true
	}
	if child != nil && is.Do == changedFile {
		child.saw(at)
		child.dropPages(0)
	}
	err := error(syscall.EEXIST)
	for try := 0; try < 3 && errors.Is(err, syscall.EEXIST); try++ {
		if is.Do == newFile || is.Do == newFolder || is.Do == movedTo && child != nil {
			_ = n.NotifyEntry(name)
		}
		err = n.share.repeats.report(n, is, at)
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ETIMEDOUT) {
		h.later(map[string]smb2.Change{is.Name: {}, name: {}}, false)
		return false
	}
	if err != nil {
		log.Printf("a change of another client is not told: %v", err)
	}
	delete(h.before, is.Name)
	if is.Do != goneFile && is.Do != goneFolder {
		h.before[name] = entryOf(at.seen)
	}
	return true
}

// takeOwn takes over, without a report, what was changed from here.
func (h *reportedFolder) takeOwn() {
	names := map[string]smb2.Change{}
	for name := range h.suppressed {
		if !h.isOwn(name) {
			names[name] = smb2.Change{}
		}
	}
	if len(names) == 0 {
		return
	}
	now, _, err := h.seen(names, false)
	if err != nil {
		return
	}
	h.mu.Lock()
	for name := range h.own {
		if time.Since(h.own[name]) > ownFor {
			delete(h.own, name)
		}
	}
	h.mu.Unlock()
	for name := range names {
		delete(h.suppressed, name)
		delete(h.before, name)
		if at, isThere := now[name]; isThere {
			h.before[name] = entryOf(at.seen)
		}
	}
}
