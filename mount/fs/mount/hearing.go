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

	"mountaineer/mount/fs/link"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// A server that is away is asked again to report changes.
const heardAgain = 2 * time.Second

var heardAtMost = 256

// hearing has the folders that programs here watch: what other clients change in them is told.
type hearing struct {
	share *Share

	mu      sync.Mutex
	folders map[*node]*heard
	over    []string // watched, and more than are heard
	missing string   // why nothing is heard
	ended   chan struct{}
}

// Unheard is nil if all is heard.
func (s *Share) Unheard() *link.Unheard {
	h := &s.hearing
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.over) == 0 && h.missing == "" {
		return nil
	}
	return &link.Unheard{Folders: slices.Clone(h.over), Missing: h.missing}
}

// begin hears from now on. Nothing can be told in a mount that refuses changes.
func (s *Share) beginHearing(device uint64) {
	s.hearing = hearing{share: s, folders: map[*node]*heard{}, ended: make(chan struct{})}
	s.repeats.share, s.repeats.device = s, device
	if s.ReadOnly {
		return
	}
	s.watchers.begin(s, device)
	for _, each := range s.Watch {
		safely.Go(safely.Again(func() { s.hearing.hearTree(strings.Trim(path.Clean("/"+each), "/")) }))
	}
}

func (s *Share) endHearing() {
	s.watchers.end()
	close(s.hearing.ended)
	s.repeats.turn.Lock()
	defer s.repeats.turn.Unlock()
	s.repeats.end()
}

// hear takes over which inodes programs watch: folders, or files in them.
func (h *hearing) hear(inodes []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := map[*node]bool{}
	var over []string
	for _, each := range inodes {
		n := h.share.folderOf(each)
		switch {
		case n == nil || wanted[n]:
		case len(wanted) == heardAtMost:
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
		safely.Go(func() { h.share.link.Note(link.Event{Is: "unheard", Path: over[0]}) })
	}
}

// isNamed: all that changes in the folder is heard because of a name in the configuration.
func (s *Share) isNamed(n *node) bool {
	return slices.ContainsFunc(s.Watch, func(each string) bool {
		return strings.HasPrefix("/"+n.Path(nil)+"/", strings.TrimSuffix(path.Clean("/"+each), "/")+"/")
	})
}

// add: the caller holds mu.
func (h *hearing) add(n *node, isNamed bool) *heard {
	if isNamed && len(h.folders) >= heardAtMost {
		for _, other := range h.folders {
			if other.isNamed {
				h.drop(other)
				break
			}
		}
	}
	each := &heard{node: n, isNamed: isNamed, pending: map[string]smb2.Change{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	h.folders[n] = each
	n.heard.Store(each)
	safely.Go(safely.Again(each.run))
	return each
}

// drop: the caller holds mu.
func (h *hearing) drop(each *heard) {
	delete(h.folders, each.node)
	each.node.heard.CompareAndSwap(each, nil)
	close(each.ended)
}

// lacks says once what the server lacks.
func (h *hearing) lacks(what string) {
	h.mu.Lock()
	isNew := h.missing != what
	h.missing = what
	h.mu.Unlock()
	if isNew && what != "" {
		log.Printf("changes of other clients are not heard: %s", what)
		h.share.link.Note(link.Event{Is: "unheard", Text: what})
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
	// What has no id at the server has a number of its own here.
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

// hearTree hears of all changes below a folder that a person has named, whoever watches it.
func (h *hearing) hearTree(folder string) {
	for isAgain := false; ; isAgain = true {
		err := h.followTree(folder, isAgain)
		if errors.Is(err, syscall.ENOTSUP) {
			return
		}
		select {
		case <-h.ended:
			return
		case <-time.After(heardAgain):
		}
	}
}

// followTree returns when the server, or its connection, reports nothing more.
func (h *hearing) followTree(folder string, isAgain bool) error {
	onServer, err := h.share.characters.pathOnServer(folder)
	if err != nil {
		return err
	}
	begun, err := beginWatch(h.share, link.Use{Session: link.Files, NoWait: true}, onServer, true, nil)
	if err == nil {
		defer begun.handle.Close()
		h.lacks("")
		if isAgain {
			h.tellTree(folder, nil)
		}
	}
	for err == nil {
		var changed []smb2.Change
		if changed, err = begun.changes(); err == nil {
			begun.changes, err = begun.handle.Watch(true)
			h.tellTree(folder, changed)
		}
	}
	if what := lacking(err); what != "" {
		h.lacks(what)
		return syscall.ENOTSUP
	}
	return err
}

// tellTree notes changes below a folder; none: nobody knows which.
func (h *hearing) tellTree(folder string, changed []smb2.Change) {
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
			// The kernel does not know that folder: nobody watches it.
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
func beginWatch(s *Share, use link.Use, path string, isTree bool, n *node) (begun, error) {
	return link.Do(context.Background(), s.link, use, func(t link.Try) (begun, error) {
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
