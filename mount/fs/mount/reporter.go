package mount

import (
	"context"
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
	h := &s.reporter
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.beyondLimit) == 0 && h.missing == "" {
		return nil
	}
	return &client.Unreported{Folders: slices.Clone(h.beyondLimit), Missing: h.missing}
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
func (h *reporter) setWatched(inodes []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := map[*node]bool{}
	var over []string
	for _, each := range inodes {
		n := h.share.folderOf(each)
		switch {
		case n == nil || wanted[n]:
		case len(wanted) == reportedAtMost:
			if !h.share.isNamed(n) {
				over = append(over, n.Path(nil))
			}
		default:
			wanted[n] = true
		}
	}
	isNew := len(over) > 0 && len(h.beyondLimit) == 0
	h.beyondLimit = over
	for n, each := range h.folders {
		if !wanted[n] && !each.isNamed {
			h.drop(each)
		}
	}
	for n := range wanted {
		if each := h.folders[n]; each == nil || each.isNamed {
			if each != nil {
				h.drop(each)
			}
			h.add(n, false)
		}
	}
	if isNew {
		safely.Go(func() { h.share.client.Journal(client.Event{Is: "unreported", Path: over[0]}) })
	}
}

// isNamed: the folder is a configured one, or below one.
func (s *Share) isNamed(n *node) bool {
	return slices.ContainsFunc(s.Watch, func(each string) bool {
		return strings.HasPrefix("/"+n.Path(nil)+"/", strings.TrimSuffix(path.Clean("/"+each), "/")+"/")
	})
}

// add: the caller holds mu.
func (h *reporter) add(n *node, isNamed bool) *reportedFolder {
	if isNamed && len(h.folders) >= reportedAtMost {
		for _, other := range h.folders {
			if other.isNamed {
				h.drop(other)
				break
			}
		}
	}
	each := &reportedFolder{node: n, isNamed: isNamed, pending: map[string]smb2.Change{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	h.folders[n] = each
	n.reported.Store(each)
	safely.Go(safely.Again(each.run))
	return each
}

// drop: the caller holds mu.
func (h *reporter) drop(each *reportedFolder) {
	delete(h.folders, each.node)
	each.node.reported.CompareAndSwap(each, nil)
	close(each.ended)
}

// setMissing records and logs what the server lacks; empty: nothing.
func (h *reporter) setMissing(what string) {
	h.mu.Lock()
	isNew := h.missing != what
	h.missing = what
	h.mu.Unlock()
	if isNew && what != "" {
		log.Printf("changes by other clients are not reported: %s", what)
		h.share.client.Journal(client.Event{Is: "unreported", Text: what})
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
func (h *reporter) watchTree(folder string) {
	for isAgain := false; ; isAgain = true {
		err := h.followTree(folder, isAgain)
		if errors.Is(err, syscall.ENOTSUP) {
			return
		}
		select {
		case <-h.ended:
			return
		case <-time.After(reportAgainAfter):
		}
	}
}

// followTree returns when the server reports no further changes, or the connection has ended.
func (h *reporter) followTree(folder string, isAgain bool) error {
	onServer, err := h.share.characters.pathOnServer(folder)
	if err != nil {
		return err
	}
	begun, err := watchOnServer(h.share, client.Needs{Session: client.Files, NoWait: true}, onServer, true, nil)
	if err == nil {
		defer begun.handle.Close()
		h.setMissing("")
		if isAgain {
			h.reportTree(folder, nil)
		}
	}
	for err == nil {
		var changed []smb2.Change
		if changed, err = begun.changes(); err == nil {
			begun.changes, err = begun.handle.Watch(true)
			h.reportTree(folder, changed)
		}
	}
	if what := missingFeature(err); what != "" {
		h.setMissing(what)
		return syscall.ENOTSUP
	}
	return err
}

// reportTree passes on changes below a folder; without any: everything may have changed.
func (h *reporter) reportTree(folder string, changed []smb2.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(changed) == 0 {
		for _, each := range h.folders {
			each.notice(nil)
		}
		return
	}
	for _, each := range changed {
		names := strings.Split(strings.ReplaceAll(each.Name, `\`, "/"), "/")
		last := len(names) - 1
		at := h.share.root
		for name := range strings.SplitSeq(folder, "/") {
			if name != "" && at != nil {
				at = at.childOf(name)
			}
		}
		for _, name := range names[:last] {
			if at != nil {
				at = at.childOf(h.share.characters.fromServer(name))
			}
		}
		if at == nil || !at.isFolder() {
			// The kernel does not know that folder, so no program watches it.
			continue
		}
		each.Name = names[last]
		at.names.changedBy(h.share, []smb2.Change{each})
		folder := h.folders[at]
		if folder == nil {
			folder = h.add(at, true)
		}
		if folder.isNamed {
			folder.notice([]smb2.Change{each})
		}
	}
}

// serverWatch is a folder of which the server reports changes: the next ones are the result of changes.
type serverWatch struct {
	handle  *smb2.Handle
	changes func() ([]smb2.Change, error)
}

// watchOnServer returns once the server watches the folder at path. If n is not nil, that must still be this folder.
func watchOnServer(s *Share, use client.Needs, path string, isTree bool, n *node) (serverWatch, error) {
	return client.Do(context.Background(), s.client, use, func(t client.Attempt) (serverWatch, error) {
		if t.IsShared() {
			// In the only session: an open folder could not be renamed.
			return serverWatch{}, errTooMany
		}
		opened, err := t.Share.OpenFolder(path)
		if err != nil {
			return serverWatch{}, err
		}
		if n != nil && !n.IsRoot() && !n.isSame(foundOn(t.Conn, opened.FileStat)) {
			err = syscall.ESTALE
		}
		var changes func() ([]smb2.Change, error)
		if err == nil {
			changes, err = opened.Watch(isTree)
		}
		if err != nil {
			_, _ = opened.Close()
		}
		return serverWatch{opened.Handle, changes}, err
	}, nil)
}
