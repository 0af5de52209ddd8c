package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const renameNoReplace = 1

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if isRepeated(ctx) {
		if newParent.(*node) != n {
			return syscall.EPERM
		}
		_, errno := n.share.repeats.accept(call{movedTo, n, name, newName})
		return errno
	}
	if flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	into, ok := newParent.(*node)
	if !ok {
		return syscall.EROFS
	}
	from, err := n.pathOfName(name)
	if err != nil {
		return errnoOf(err)
	}
	to, err := into.pathOfName(newName)
	if err != nil {
		return errnoOf(err)
	}
	if isVersion(to) {
		return syscall.EROFS
	}
	moved, replaced := n.childOf(name), into.childOf(newName)
	if replaced != nil && moved != nil && replaced.isFileOf(moved) {
		// Only the spelling changes, on a server that ignores case.
		replaced = nil
	}
	if moved != nil && moved.isFolder() {
		if err := moved.awaitDeletionsBelow(ctx); err != nil {
			return errnoOf(err)
		}
	}
	isReplacing := flags&renameNoReplace == 0
	hidden, err := into.prepareReplace(ctx, newName, to, replaced, isReplacing)
	if err != nil {
		return errnoOf(err)
	}
	if moved != nil {
		moved.awaitCloses(ctx)
	}
	n.share.folders.release(moved)
	_, err = createOnceFree(ctx, into, newName, func() (struct{}, error) { return n.share.move(ctx, from, to, isReplacing, moved) })
	for _, each := range []*node{moved, replaced} {
		if each != nil {
			each.forgetStat()
		}
	}
	n.nameChanged(name)
	into.nameChanged(newName)
	if hidden != "" {
		n.share.endReplace(replaced, hidden, err == nil)
	}
	return n.share.mapping.createErrno(err, newName)
}

// prepareReplace removes a folder that a rename replaces, as SMB replaces not even an empty one. An open file gets a second, hidden name if the
// server has hard links; otherwise it is lost with its connection.
func (n *node) prepareReplace(ctx context.Context, name, path string, replaced *node, isReplacing bool) (hidden string, err error) {
	switch {
	case replaced == nil:
	case replaced.isFolder() && !isReplacing:
		err = syscall.EEXIST
	case replaced.isFolder():
		err = n.removeName(ctx, name, path, true, replaced)
	case isReplacing && replaced.isOpen(ctx):
		hidden, _ = n.share.hide(ctx, path, replaced, func(t client.Attempt, hidden string) error { return t.Share.Link(path, hidden) })
	}
	return hidden, err
}

// endReplace has the replaced file use its hidden name, or removes that name if the rename has failed.
func (s *Share) endReplace(replaced *node, hidden string, isRenamed bool) {
	if !isRenamed {
		s.background.Go(safely.Of(func() { s.removeHidden(hidden, nil) }))
		return
	}
	replaced.addHidden(hidden)
	for _, h := range replaced.handles() {
		// openedOn may be waiting for this rename.
		h.isReplaced.Store(true)
	}
}

// move renames from to to.
func (s *Share) move(ctx context.Context, from, to string, isReplacing bool, moved *node) (struct{}, error) {
	return change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		var tried *node
		if t.IsRetry {
			tried = moved
		}
		return struct{}{}, moveOn(t, from, to, isReplacing, tried)
	}, nil)
}

// moveOn renames. tried is the node that an earlier attempt may have moved, nil in the first: a file that another client has since put at from is
// not moved.
func moveOn(t client.Attempt, from, to string, isReplacing bool, tried *node) error {
	isMoved := func() error {
		info, err := statAt(t, to)
		if err == nil && !tried.isSame(info) {
			return syscall.ENOENT
		}
		return err
	}
	if tried != nil {
		info, err := statAt(t, from)
		switch {
		case isAbsent(err) || err == nil && !tried.isSame(info):
			return isMoved()
		case err != nil:
			return err
		}
	}
	err := t.Share.Move(from, to, false)
	if isReplacing && isTaken(err) {
		err = replaceOn(t, from, to)
	}
	if tried != nil && isAbsent(err) {
		return isMoved()
	}
	return err
}

// replaceOn renames from to to, where there is another file. If that is only waiting for its deletion, Samba would also replace it, and then delete the
// new file by its name when another client closes the old one.
func replaceOn(t client.Attempt, from, to string) error {
	if _, err := statAt(t, to); smb.StatusOf(err) == deletePending {
		return err
	}
	return t.Share.Move(from, to, true)
}
