package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const renameNoReplace = 1

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if isRepeated(ctx) {
		if newParent.(*node) != n {
			return syscall.EPERM
		}
		_, errno := n.share.repeats.take(call{movedTo, n, name, newName})
		return errno
	}
	if flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	into, ok := newParent.(*node)
	if !ok {
		return syscall.EROFS
	}
	from, err := n.at(name)
	if err != nil {
		return errnoOf(err)
	}
	to, err := into.at(newName)
	if err != nil {
		return errnoOf(err)
	}
	if isVersion(to) {
		return syscall.EROFS
	}
	moved, replaced := n.childOf(name), into.childOf(newName)
	if replaced != nil && moved != nil && replaced.isFileOf(moved) {
		// Another spelling of its name, on a server that ignores case.
		replaced = nil
	}
	isReplacing := flags&renameNoReplace == 0
	if replaced != nil && replaced.isFolder() {
		// SMB replaces no folder, not even an empty one.
		if !isReplacing {
			return syscall.EEXIST
		}
		if err := n.share.remove(ctx, to, true, replaced); err != nil {
			return errnoOf(err)
		}
	}
	hidden := ""
	if replaced != nil && isReplacing && !replaced.isFolder() && replaced.isOpen(ctx) {
		// A second name keeps the replaced file, if the server has hard links; otherwise it is gone when its connection is lost.
		hidden, _ = n.share.hide(ctx, to, replaced, func(t client.Attempt, hidden string) error { return t.Share.Link(to, hidden) })
	}
	if moved != nil {
		moved.released(ctx)
	}
	n.share.folders.release(moved)
	err = n.share.move(ctx, from, to, isReplacing, moved)
	for _, each := range []*node{moved, replaced} {
		if each != nil {
			each.askAgain()
		}
	}
	n.hasChanged(name)
	into.hasChanged(newName)
	switch {
	case err != nil && hidden != "":
		n.share.behind.Go(safely.Of(func() { n.share.removeHidden(hidden, nil) }))
	case hidden != "":
		replaced.addHidden(hidden)
		for _, h := range replaced.handles() {
			// A handle that is just opened again may wait for this rename.
			h.isReplaced.Store(true)
		}
	}
	return n.share.characters.createErrno(err, newName)
}

// move renames what is at from. On a server that takes only one connection it is not refused because of what is open below.
func (s *Share) move(ctx context.Context, from, to string, isReplacing bool, moved *node) error {
	_, err := change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		var tried *node
		if t.IsRetry {
			tried = moved
		}
		return struct{}{}, moveOn(t, from, to, isReplacing, tried)
	}, nil)
	return err
}

// moveOn renames. tried is what a try before this one may have moved: what another client has put in its place since then is not moved.
func moveOn(t client.Attempt, from, to string, isReplacing bool, tried *node) error {
	isMoved := func() error {
		at, err := lookAt(t, to)
		if err == nil && !tried.isSame(at) {
			return syscall.ENOENT
		}
		return err
	}
	if tried != nil {
		at, err := lookAt(t, from)
		switch {
		case isAbsent(err) || err == nil && !tried.isSame(at):
			return isMoved()
		case err != nil:
			return err
		}
	}
	err := t.Share.Move(from, to, isReplacing)
	if tried != nil && isAbsent(err) {
		return isMoved()
	}
	return err
}
