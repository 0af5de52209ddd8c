package mount

import (
	"errors"
	"log"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// How long after an error the server is asked again to report changes.
const reportAgainAfter = 2 * time.Second

var reportedAtMost = 256

// reporter has the folders whose changes by other clients are reported to programs on this machine.
type reporter struct {
	share *Share

	mu          sync.Mutex
	folders     map[*node]*reportedFolder
	beyondLimit []string // watched folders beyond the limit
	missing     string   // the feature that the server lacks
	ended       chan struct{}
}

// Unreported is nil if all changes are reported.
func (s *Share) Unreported() *client.Unreported {
	r := &s.reporter
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beyondLimit) == 0 && r.missing == "" {
		return nil
	}
	return &client.Unreported{Folders: slices.Clone(r.beyondLimit), Missing: r.missing}
}

// beginReporting starts reports. In a read-only mount there are none, as the kernel refuses the repeater's calls.
func (s *Share) beginReporting(device uint64) {
	s.reporter = reporter{share: s, folders: map[*node]*reportedFolder{}, ended: make(chan struct{})}
	s.repeats.share, s.repeats.device = s, device
	if s.ReadOnly {
		return
	}
	s.watchers.begin(s, device)
	for _, each := range s.Watch {
		safely.Go(safely.Again(func() { s.reporter.watchTree(strings.Trim(path.Clean("/"+each), "/")) }))
	}
}

func (s *Share) endReporting() {
	s.watchers.end()
	close(s.reporter.ended)
	s.repeats.turn.Lock()
	defer s.repeats.turn.Unlock()
	s.repeats.end()
}

// setWatched sets which inodes programs watch now: folders, or files in them.
func (r *reporter) setWatched(inodes []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := map[*node]bool{}
	var over []string
	for _, each := range inodes {
		n := r.share.folderOf(each)
		switch {
		case n == nil || wanted[n]:
		case len(wanted) == reportedAtMost:
			if !r.share.isConfigured(n) {
				over = append(over, n.Path(nil))
			}
		default:
			wanted[n] = true
		}
	}
	isNew := len(over) > 0 && len(r.beyondLimit) == 0
	r.beyondLimit = over
	for n, each := range r.folders {
		if !wanted[n] && !each.isConfigured {
			r.drop(each)
		}
	}
	for n := range wanted {
		if each := r.folders[n]; each == nil || each.isConfigured {
			if each != nil {
				r.drop(each)
			}
			r.add(n, false)
		}
	}
	if isNew {
		safely.Go(func() { r.share.client.Journal(client.Event{Is: "unheard", Path: over[0]}) })
	}
}

// isConfigured: the folder is a configured one, or below one.
func (s *Share) isConfigured(n *node) bool {
	return slices.ContainsFunc(s.Watch, func(each string) bool {
		return strings.HasPrefix("/"+n.Path(nil)+"/", strings.TrimSuffix(path.Clean("/"+each), "/")+"/")
	})
}

// add: the caller holds mu.
func (r *reporter) add(n *node, isConfigured bool) *reportedFolder {
	if isConfigured && len(r.folders) >= reportedAtMost {
		for _, other := range r.folders {
			if other.isConfigured {
				r.drop(other)
				break
			}
		}
	}
	each := &reportedFolder{node: n, isConfigured: isConfigured, pending: map[string]smb2.Change{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	r.folders[n] = each
	n.reported.Store(each)
	safely.Go(safely.Again(each.run))
	return each
}

// drop: the caller holds mu.
func (r *reporter) drop(each *reportedFolder) {
	delete(r.folders, each.node)
	each.node.reported.CompareAndSwap(each, nil)
	close(each.ended)
}

// setMissing records and logs what the server lacks; empty: nothing.
func (r *reporter) setMissing(what string) {
	r.mu.Lock()
	isNew := r.missing != what
	r.missing = what
	r.mu.Unlock()
	if isNew && what != "" {
		log.Printf("changes by other clients are not reported: %s", what)
		r.share.client.Journal(client.Event{Is: "unheard", Text: what})
	}
}

// missingFeature says why the server reports no changes; empty: it may do so later.
func missingFeature(err error) string {
	switch {
	case errors.Is(err, errTooMany):
		return "takes only one connection"
	case smb.StatusOf(err) == invalidParameter || errnoOf(err) == syscall.ENOTSUP:
		return "does not report changes"
	}
	return ""
}

// folderOf is the folder with that inode number, or the folder of the file with it; nil: the kernel knows neither.
func (s *Share) folderOf(inode uint64) *node {
	if inode == s.root.StableAttr().Ino {
		return s.root
	}
	s.known.mu.Lock()
	// A file without an id at the server is known under 0.
	all := slices.Concat(s.known.nodes[inode], s.known.nodes[0])
	s.known.mu.Unlock()
	for _, each := range all {
		if each.StableAttr().Ino != inode {
			continue
		}
		if each.isFolder() {
			return each
		}
		if parent, _ := each.folder(); parent != nil {
			return parent
		}
	}
	return nil
}

// watchTree reports all changes below a configured folder.
func (r *reporter) watchTree(folder string) {
	for isAgain := false; ; isAgain = true {
		err := r.followTree(folder, isAgain)
		if errors.Is(err, syscall.ENOTSUP) {
			return
		}
		select {
		case <-r.ended:
			return
		case <-time.After(reportAgainAfter):
		}
	}
}

// followTree returns when the server reports no further changes, or the connection has ended.
func (r *reporter) followTree(folder string, isAgain bool) error {
	onServer, err := r.share.mapping.pathOnServer(folder)
	if err != nil {
		return err
	}
	begun, err := notifyOf(r.share, client.Needs{Session: client.Files, NoWait: true}, onServer, true, nil)
	if err == nil {
		defer begun.handle.Close()
		r.setMissing("")
		if isAgain {
			r.reportTree(folder, nil)
		}
	}
	for err == nil {
		var changed []smb2.Change
		if changed, err = begun.changes(); err == nil {
			begun.changes, err = begun.handle.Watch(true)
			r.reportTree(folder, changed)
		}
	}
	if what := missingFeature(err); what != "" {
		r.setMissing(what)
		return syscall.ENOTSUP
	}
	return err
}

// reportTree passes on changes below a folder; without any: everything may have changed.
func (r *reporter) reportTree(folder string, changed []smb2.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(changed) == 0 {
		for _, each := range r.folders {
			each.notice(nil)
		}
		return
	}
	for _, each := range changed {
		names := strings.Split(strings.ReplaceAll(each.Name, `\`, "/"), "/")
		last := len(names) - 1
		at := r.share.root
		for name := range strings.SplitSeq(folder, "/") {
			if name != "" && at != nil {
				at = at.childOf(name)
			}
		}
		for _, name := range names[:last] {
			if at != nil {
				at = at.childOf(r.share.mapping.fromServer(name))
			}
		}
		if at == nil || !at.isFolder() {
			// The kernel does not know that folder, so no program watches it.
			continue
		}
		each.Name = names[last]
		at.names.changedBy(r.share, []smb2.Change{each})
		folder := r.folders[at]
		if folder == nil {
			folder = r.add(at, true)
		}
		if folder.isConfigured {
			folder.notice([]smb2.Change{each})
		}
	}
}
