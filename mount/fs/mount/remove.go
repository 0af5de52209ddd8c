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
		return n.takeIn(goneFolder, name)
	}
	path, err := n.at(name)
	if err != nil {
		return errnoOf(err)
	}
	child := n.childOf(name)
	if child != nil {
		child.released(ctx)
	}
	n.share.folders.release(child)
	err = n.share.remove(ctx, path, true, child)
	n.hasChanged(name)
	return errnoOf(err)
}

// Unlink removes a file. One that is open stays under a hidden name, until it is closed.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if isRepeated(ctx) {
		return n.takeIn(goneFile, name)
	}
	path, err := n.at(name)
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
		err = n.share.remove(ctx, path, false, child)
	}
	if child != nil {
		// It has one name less.
		child.askAgain()
	}
	n.hasChanged(name)
	return errnoOf(err)
}

// isOpen waits for the server to close what programs have closed.
func (n *node) isOpen(ctx context.Context) bool {
	return len(n.handles()) > 0 || !n.released(ctx)
}

// remove removes what is at path, if it is still what the kernel knows.
func (s *Share) remove(ctx context.Context, path string, isFolder bool, known *node) error {
	_, err := change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		if t.IsRetry && known != nil {
			at, err := lookAt(t, path)
			if isAbsent(err) || smb.StatusOf(err) == deletePending || err == nil && !known.isSame(at) {
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

// deleteReadOnly is for a file with the attribute that keeps DOS programs from removing it.
func deleteReadOnly(t client.Attempt, path string, isFolder bool, denied error) error {
	seen, err := t.Share.Look(path)
	if err == nil && seen.FileAttributes&readOnly == 0 {
		err = denied
	}
	if err == nil {
		_, err = t.Share.SetAttributes(path, seen.FileAttributes&^readOnly)
	}
	if err == nil {
		err = t.Share.Delete(path, isFolder)
	}
	return err
}

// hide plays op with a new name for a file that stays open, and says which it was: in a hidden folder of the root; or of a folder below,
// if the root is closed to this user or is another disk; or in the file's own folder, which cannot be removed before it then. The name is
// noted before it is used: what a killed program leaves there is removed by the next mount.
func (s *Share) hide(ctx context.Context, path string, n *node, op func(t client.Attempt, hidden string) error) (hidden string, err error) {
	mark := rand.Text()
	for _, folder := range foldersAbove(path) {
		hidden = removedFolder + "/" + mark
		if folder != "" {
			hidden = folder + "/" + hidden
		}
		if err = s.tryHide(ctx, hidden, n, op, true); err == nil || !isPlace(err) {
			return hidden, err
		}
	}
	if hidden = removedPrefix + mark; folderOf(path) != "" {
		hidden = folderOf(path) + "/" + hidden
	}
	return hidden, s.tryHide(ctx, hidden, n, op, false)
}

// foldersAbove are the root and the folders below it on the way to path, without the one that path is in, unless that is the root.
func foldersAbove(path string) []string {
	folders := []string{""}
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts)-1; i++ {
		folders = append(folders, strings.Join(parts[:i], "/"))
	}
	return folders
}

// isPlace: another folder may do.
func isPlace(err error) bool {
	switch errnoOf(err) {
	case syscall.EACCES, syscall.EXDEV, syscall.EROFS, syscall.ENOENT, syscall.EPERM, syscall.EINVAL, syscall.ENOTSUP, syscall.EEXIST, syscall.ENOTDIR:
		return true
	}
	return false
}

// tryHide also makes the hidden folder that is needed.
func (s *Share) tryHide(ctx context.Context, hidden string, n *node, op func(t client.Attempt, hidden string) error, isInFolder bool) error {
	if err := s.hidden.add(hidden, n.id()); err != nil {
		return syscall.EIO
	}
	_, err := change(ctx, s, client.Names, func(t client.Attempt) (struct{}, error) {
		if t.IsRetry {
			if at, err := lookAt(t, hidden); err == nil && n.isSame(at) {
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

// addHidden: the file has lost a name, and has that one instead.
func (n *node) addHidden(hidden string) {
	n.mu.Lock()
	n.hidden = append(n.hidden, hidden)
	n.mu.Unlock()
	n.share.behind.Go(safely.Of(n.closedOne))
}

// removeHidden removes a file that no program has open now.
func (s *Share) removeHidden(path string, n *node) {
	if err := s.remove(context.Background(), path, false, n); err != nil && !isAbsent(err) {
		return
	}
	s.hidden.remove(path)
	if folder := folderOf(path); strings.HasSuffix(folder, removedFolder) {
		// It stays while it holds others.
		_ = s.remove(context.Background(), folder, true, nil)
	}
}

// removeLeftovers removes what an earlier program of this mount has left, unless another client has it open.
func (s *Share) removeLeftovers() (struct{}, error) {
	for _, each := range s.hidden.leftovers() {
		_, err := change(context.Background(), s, client.Names, func(t client.Attempt) (struct{}, error) {
			seen, err := t.Share.Look(each.Path)
			if err == nil && seen.FileId != each.Id {
				// Not what was put there.
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
	return struct{}{}, nil
}
