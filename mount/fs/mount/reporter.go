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

// A server that is away is asked again to report changes.
const reportAgainAfter = 2 * time.Second

var reportedAtMost = 256

// reporter has the folders that programs here watch, and reports the changes of other clients in them.
type reporter struct {
	share *Share

	mu      sync.Mutex
	folders map[*node]*reportedFolder
	over    []string // watched folders beyond the limit
	missing string   // why nothing is reported
	ended   chan struct{}
}

// Unreported is nil if all changes are reported.
func (s *Share) Unreported() *client.Unreported {
	h := &s.reporter
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.over) == 0 && h.missing == "" {
		return nil
	}
	return &client.Unreported{Folders: slices.Clone(h.over), Missing: h.missing}
}

// beginReporting starts reports. None can be made in a mount that refuses changes.
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

// setWatched takes the inodes that programs watch now: folders, or files in them.
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
	isNew := len(over) > 0 && len(h.over) == 0
	h.over = over
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

// isNamed: all changes in the folder are reported because of a name in the configuration.
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

// lacks says once what the server lacks.
func (h *reporter) lacks(what string) {
	h.mu.Lock()
	isNew := h.missing != what
	h.missing = what
	h.mu.Unlock()
	if isNew && what != "" {
		log.Printf("changes of other clients are not heard: %s", what)
		h.share.client.Journal(client.Event{Is: "unreported", Text: what})
	}
}

// lacking says what a server lacks that does not report changes; empty: it may do so later.
func lacking(err error) string {
	switch {
	case errors.Is(err, errTooMany):
		return "takes only one connection"
	case smb.StatusOf(err) == invalidParameter || errnoOf(err) == syscall.ENOTSUP:
		return "does not report changes"
	}
	return ""
}

// folderOf is the folder with that inode, or in which a file has it; nil: the kernel knows none.
func (s *Share) folderOf(inode uint64) *node {
	if inode == s.root.StableAttr().Ino {
		return s.root
	}
	s.known.mu.Lock()
	// A file without an id at the server has a separate number here.
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

// watchTree follows all changes below a folder that a person has named, whether a program watches it or not.
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

// followTree returns when the server, or its connection, reports nothing more.
func (h *reporter) followTree(folder string, isAgain bool) error {
	onServer, err := h.share.characters.pathOnServer(folder)
	if err != nil {
		return err
	}
	begun, err := beginWatch(h.share, client.Needs{Session: client.Files, NoWait: true}, onServer, true, nil)
	if err == nil {
		defer begun.handle.Close()
		h.lacks("")
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
	if what := lacking(err); what != "" {
		h.lacks(what)
		return syscall.ENOTSUP
	}
	return err
}

// reportTree passes on changes below a folder; none: any change.
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
			// The kernel does not know that folder: no program watches it.
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

// begun is a folder that the server has begun to report on.
type begun struct {
	handle  *smb2.Handle
	changes func() ([]smb2.Change, error)
}

// beginWatch returns once the server watches what is at path, if it is still that folder; nil: any.
func beginWatch(s *Share, use client.Needs, path string, isTree bool, n *node) (begun, error) {
	return client.Do(context.Background(), s.client, use, func(t client.Attempt) (begun, error) {
		if t.IsShared() {
			// The only session: an open folder could not be renamed.
			return begun{}, errTooMany
		}
		opened, err := t.Share.OpenFolder(path)
		if err != nil {
			return begun{}, err
		}
		if n != nil && !n.IsRoot() && !n.isSame(foundOn(t.Conn, opened.Seen)) {
			err = syscall.ESTALE
		}
		var changes func() ([]smb2.Change, error)
		if err == nil {
			changes, err = opened.Watch(isTree)
		}
		if err != nil {
			_, _ = opened.Close()
		}
		return begun{opened.Handle, changes}, err
	}, nil)
}
