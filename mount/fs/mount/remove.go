package mount

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"syscall"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if isRepeated(ctx) {
		return n.acceptNameCall(goneFolder, name)
	}
	path, err := n.pathOfName(name)
	if err != nil {
		return errnoOf(err)
	}
	child := n.childOf(name)
	if child != nil {
		child.awaitCloses(ctx)
	}
	n.share.folders.release(child)
	err = n.removeName(ctx, name, path, true, child)
	n.nameChanged(name)
	return errnoOf(err)
}

// Unlink removes a file. An open one is renamed to a hidden name until its last close.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if isRepeated(ctx) {
		return n.acceptNameCall(goneFile, name)
	}
	path, err := n.pathOfName(name)
	if err != nil {
		return errnoOf(err)
	}
	child := n.childOf(name)
	if child != nil && child.isOpen(ctx) {
		var hidden string
		hidden, err = n.share.hide(ctx, path, child, func(t client.Attempt, hidden string) error { return t.Share.Move(path, hidden, false) })
		if err == nil {
			child.addHidden(hidden)
		}
	} else {
		err = n.removeName(ctx, name, path, false, child)
	}
	if child != nil {
		// Its number of links is outdated.
		child.forgetStat()
	}
	n.nameChanged(name)
	return errnoOf(err)
}

// isOpen also waits for closes under way.
func (n *node) isOpen(ctx context.Context) bool {
	return len(n.handles()) > 0 || !n.awaitCloses(ctx)
}

// remove removes the file or folder at path. A retry leaves there what another client has put in its place.
func (s *Share) remove(ctx context.Context, path string, isFolder bool, known *node) error {
	_, err := change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		if t.IsRetry && known != nil {
			info, err := statAt(t, path)
			if isAbsent(err) || smb.StatusOf(err) == deletePending || err == nil && !known.isSame(info) {
				return struct{}{}, nil
			}
		}
		err := t.Share.Delete(path, isFolder)
		if isDenied(err) {
			err = deleteReadOnly(t, path, isFolder, err)
		}
		if t.IsRetry && isAbsent(err) {
			err = nil
		}
		return struct{}{}, err
	}, nil)
	return err
}

// deleteReadOnly removes a file with the read-only attribute, by clearing that first.
func deleteReadOnly(t client.Attempt, path string, isFolder bool, denied error) error {
	stat, err := t.Share.StatAt(path)
	if err == nil && stat.FileAttributes&readOnly == 0 {
		err = denied
	}
	if err == nil {
		_, err = t.Share.SetAttributes(path, stat.FileAttributes&^readOnly)
	}
	if err == nil {
		err = t.Share.Delete(path, isFolder)
	}
	return err
}

// hide runs op with a hidden path for an open file, and returns that path. It tries a hidden folder in the root, then in each folder on the way to
// the file (this user may not write in the root, or it is another disk), and last a hidden name in the file's folder, which then cannot be
// removed before the file. The path is recorded first: if this program is killed, the next mount removes the file.
func (s *Share) hide(ctx context.Context, path string, n *node, op func(t client.Attempt, hidden string) error) (hidden string, err error) {
	mark := rand.Text()
	for _, folder := range foldersAbove(path) {
		hidden = removedFolder + "/" + mark
		if folder != "" {
			hidden = folder + "/" + hidden
		}
		if err = s.tryHide(ctx, hidden, n, op, true); err == nil || !allowsOtherFolder(err) {
			return hidden, err
		}
	}
	if hidden = removedPrefix + mark; folderOf(path) != "" {
		hidden = folderOf(path) + "/" + hidden
	}
	return hidden, s.tryHide(ctx, hidden, n, op, false)
}

// foldersAbove are the root and the folders on the way to path, without the file's own folder, unless that is the root.
func foldersAbove(path string) []string {
	folders := []string{""}
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts)-1; i++ {
		folders = append(folders, strings.Join(parts[:i], "/"))
	}
	return folders
}

// allowsOtherFolder: hiding may succeed in another folder.
func allowsOtherFolder(err error) bool {
	switch errnoOf(err) {
	case syscall.EACCES, syscall.EXDEV, syscall.EROFS, syscall.ENOENT, syscall.EPERM, syscall.EINVAL, syscall.ENOTSUP, syscall.EEXIST, syscall.ENOTDIR:
		return true
	}
	return false
}

// tryHide records the path and runs op; isInFolder: it makes the hidden folder if that is missing.
func (s *Share) tryHide(ctx context.Context, hidden string, n *node, op func(t client.Attempt, hidden string) error, isInFolder bool) error {
	if err := s.hidden.add(hidden, n.id()); err != nil {
		return syscall.EIO
	}
	_, err := change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		if t.IsRetry {
			if info, err := statAt(t, hidden); err == nil && n.isSame(info) {
				return struct{}{}, nil
			}
		}
		err := op(t, hidden)
		if !isAbsent(err) || !isInFolder {
			return struct{}{}, err
		}
		if _, err := t.Share.MakeFolder(folderOf(hidden), true, time.Time{}); err != nil && !isTaken(err) {
			return struct{}{}, err
		}
		return struct{}{}, op(t, hidden)
	}, nil)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		s.hidden.remove(hidden)
	}
	return err
}

// addHidden gives the file a hidden name in place of one that it has lost.
func (n *node) addHidden(hidden string) {
	n.mu.Lock()
	n.hidden = append(n.hidden, hidden)
	n.mu.Unlock()
	n.share.background.Go(safely.Of(n.afterClose))
}

// afterClose removes the hidden names after the last close.
func (n *node) afterClose() {
	n.mu.Lock()
	isLast := len(n.open) == 0 && n.closing == 0
	hidden := n.hidden
	if isLast {
		n.hidden = nil
	}
	n.mu.Unlock()
	if !isLast {
		return
	}
	n.endLease()
	for _, path := range hidden {
		n.share.removeHidden(path, n)
	}
}

// removeHidden removes a hidden file that no program has open.
func (s *Share) removeHidden(path string, n *node) {
	if err := s.remove(context.Background(), path, false, n); err != nil && !isAbsent(err) {
		return
	}
	s.hidden.remove(path)
	if folder := folderOf(path); strings.HasSuffix(folder, removedFolder) {
		// Not while other files are in it.
		_ = s.remove(context.Background(), folder, true, nil)
	}
}

// removeLeftovers removes hidden files of an earlier program, unless another client has them open.
func (s *Share) removeLeftovers() {
	for _, each := range s.hidden.leftovers() {
		_, err := change(context.Background(), s, client.Names, func(t client.Attempt) (struct{}, error) {
			stat, err := t.Share.StatAt(each.Path)
			if err == nil && stat.FileId != each.Id {
				// It is a different file.
				return struct{}{}, nil
			}
			if err == nil {
				err = t.Share.DeleteUnused(each.Path)
			}
			if isAbsent(err) {
				err = nil
			}
			if folder := folderOf(each.Path); err == nil && strings.HasSuffix(folder, removedFolder) {
				_ = t.Share.Delete(folder, true)
			}
			return struct{}{}, err
		}, nil)
		if err == nil {
			s.hidden.remove(each.Path)
		}
	}
}
