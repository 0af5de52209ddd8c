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
	// The names of one folder that are asked for, one soon after the other, before the folder is listed instead; in a large folder more: a
	// listing must not take longer than the single requests. listedPerRequest entries are listed in the time of one request.
	missesBefore     = 4
	listedPerRequest = 16
	// A folder with too many entries is not listed for names again before.
	tooLargeFor = time.Minute
	// A folder with more entries is not kept in memory, nor are all folders together.
	keptAtMost    = 20_000
	keptAllAtMost = 60_000
	// How long the listing of a folder is believed whose changes the server reports.
	watchedFor = time.Minute
	// The changed names of one folder that are remembered for the listings in flight.
	changedAtMost = 1_000
)

// names is what a listing of a folder has shown. It is believed as long as the listing took and a second, or until the server reports a change.
type names struct {
	mu      sync.Mutex
	entries map[string]found // by name here; zero: it has changed since
	folded  map[string]struct{}
	counted int64 // those of the share's limit
	asked   time.Time
	until   time.Time
	fresh   time.Time // until then the listing is believed even without a watch
	isWhole bool      // nothing else was there
	isOwn   bool      // nothing was changed from here since
	watch   *watch
	listing chan struct{} // closed when the listing in flight has ended
	// A listing that was asked for before says nothing of these names, and nothing at all if it was before unknown.
	changed map[string]time.Time
	unknown time.Time

	misses   int
	missedAt time.Time
	// How many there were last; not to be listed for names before then.
	size       int
	largeUntil time.Time
}

// forget: something has happened to that name.
func (f *names) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(name)
}

// note remembers that a name has changed. The caller holds mu.
func (f *names) note(name string) {
	now := time.Now()
	if len(f.changed) >= changedAtMost {
		f.changed, f.unknown = nil, now
	}
	if f.changed == nil {
		f.changed = map[string]time.Time{}
	}
	f.changed[name] = now
	if f.entries != nil {
		f.mark(name)
	}
}

// hasChangedSince: a listing that was asked for then says nothing of that name.
func (f *names) hasChangedSince(asked time.Time, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.unknown.Before(asked) || !f.changed[name].Before(asked)
}

// mark: the listed attributes of that name are no longer true. The caller holds mu.
func (f *names) mark(name string) {
	f.isOwn = false
	f.entries[name] = found{}
	f.folded[strings.ToLower(name)] = struct{}{}
}

// drop forgets all names. The caller holds mu.
func (f *names) drop(s *Share) {
	s.folders.kept.Add(-f.counted)
	f.entries, f.folded, f.counted, f.isWhole, f.isOwn = nil, nil, 0, false, false
}

// isValid: the caller holds mu.
func (f *names) isValid() bool { return f.entries != nil && time.Now().Before(f.until) }

// get returns what the listing says of a name; isAbsent: there is none, in any spelling.
func (f *names) get(name string) (at found, ok, isAbsent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isValid() {
		return found{}, false, false
	}
	if at, ok = f.entries[name]; ok {
		// Changes in a folder below are not reported here.
		isTrue := at.seen != nil && (!at.seen.IsDir() || time.Now().Before(f.fresh))
		return at, isTrue, false
	}
	_, isOtherSpelling := f.folded[strings.ToLower(name)]
	// A server may know a file by a short name of eight characters, and accents in two forms.
	isSure := f.isWhole && !isOtherSpelling && isASCII(name) && !strings.Contains(name, "~")
	return found{}, false, isSure
}

// missed counts names that had to be asked for, and says whether to list the folder.
func (f *names) missed() bool {
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

// tooLarge: a listing of it would not be kept.
func (f *names) tooLarge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.largeUntil = time.Now().Add(tooLargeFor)
}

// find looks for a name in the folder: in what a listing has shown, or at the server. Who asks for many names has the folder listed.
func (n *node) find(ctx context.Context, name string) (found, error) {
	for isListed := false; ; isListed = true {
		if at, ok := n.listed(name); ok {
			return at, nil
		}
		if _, _, isAbsent := n.names.get(name); isAbsent {
			return found{}, syscall.ENOENT
		}
		child := n.childOf(name)
		if isListed || child != nil && child.isBusy() || !n.names.missed() || n.listNow(ctx) != nil {
			return inFolder(ctx, n, name, looking, lookAt)
		}
	}
}

// listed is what a listing says of a name, if that is still true.
func (n *node) listed(name string) (found, bool) {
	at, ok, _ := n.names.get(name)
	if !ok || isHidden(name) {
		return found{}, false
	}
	n.names.mu.Lock()
	asked := n.names.asked
	n.names.mu.Unlock()
	child := n.childOf(name)
	return at, child == nil || child.isListed(asked) && child.isSame(at)
}

// listedByParent returns the file's attributes from a listing of its folder; the folder is listed once several of its files are asked for.
func (n *node) listedByParent() (found, bool) {
	parent, name := n.folder()
	if parent == nil {
		return found{}, false
	}
	if at, ok := parent.listed(name); ok {
		return at, true
	}
	if n.isBusy() || !parent.names.missed() || parent.listNow(context.Background()) != nil {
		return found{}, false
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
	w := n.share.folders.watched(n)
	asked := time.Now()
	all, err := ask(ctx, n.share, func(t client.Attempt) ([]found, error) {
		path, err := n.where()
		if err != nil {
			return nil, err
		}
		return listAll(t, path, keptAtMost)
	})
	if errors.Is(err, errTooMany) {
		f.tooLarge()
	}
	if err != nil {
		return err
	}
	n.keep(all, asked, true, w)
	return nil
}

// listAll returns the entries of a folder.
func listAll(t client.Attempt, path string, atMost int) (all []found, err error) {
	folder, err := t.Share.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	for err == nil {
		var page []*smb2.FileStat
		page, err = folder.List()
		for _, each := range page {
			all = append(all, foundOn(t.Conn, each))
		}
		if len(all) > atMost {
			err = errTooMany
		}
	}
	// A folder that is open cannot be removed.
	_, e := folder.Close()
	if errors.Is(err, io.EOF) {
		err = e
	}
	return all, err
}

// keep remembers a listing.
func (n *node) keep(all []found, asked time.Time, isWhole bool, w *watch) {
	f := &n.names
	entries, folded := make(map[string]found, len(all)), make(map[string]struct{}, len(all))
	for _, each := range all {
		if each.lacksId() {
			n.share.listsNoIds.Store(true)
			return
		}
		name := n.share.characters.fromServer(each.seen.FileName)
		entries[name] = each
		folded[strings.ToLower(name)] = struct{}{}
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(n.share)
	f.size = len(all)
	if !f.unknown.Before(asked) {
		return
	}
	counted := int64(len(entries))
	if n.share.folders.kept.Add(counted) > keptAllAtMost {
		n.share.folders.kept.Add(-counted)
		return
	}
	f.entries, f.folded, f.counted, f.asked, f.isWhole, f.isOwn = entries, folded, counted, asked, isWhole, true
	for name, at := range f.changed {
		if !at.Before(asked) {
			f.mark(name)
		}
	}
	f.fresh = now.Add(now.Sub(asked) + attributesFor)
	f.until = f.fresh
	if f.watch = w; w != nil && w.isIntactSince(asked) {
		f.until = now.Add(watchedFor)
	}
	time.AfterFunc(time.Until(f.until)+attributesFor, safely.Of(func() { n.dropOld() }))
}

// dropOld frees listings that are no longer believed.
func (n *node) dropOld() {
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	if n.names.entries != nil && !n.names.isValid() {
		n.names.drop(n.share)
	}
}

// changedBy: another client, or the server's own system, has changed these names; none: any of them.
func (f *names) changedBy(s *Share, changed []smb2.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(changed) == 0 {
		f.drop(s)
		f.changed, f.unknown = nil, time.Now()
		return
	}
	for _, each := range changed {
		f.note(s.characters.fromServer(each.Name))
	}
	if len(f.entries) > 2*keptAtMost {
		f.drop(s)
	}
}
