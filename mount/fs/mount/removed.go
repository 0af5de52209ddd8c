package mount

import (
	"context"
	"syscall"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// Names that a program on this machine has removed. While another client has such a file or folder open, Samba only marks it (DELETE_PENDING): the
// name is still listed, and not free.

const (
	// For so long a creation waits for the name, and a removal for the folder to be empty. Then it fails with EBUSY. Other machines' mounts close a
	// removed folder that they watch within a tenth of a second.
	removedWithin = 3 * time.Second
	removedEvery  = 20 * time.Millisecond
)

// removeName removes the file or folder of that name, and remembers it.
func (n *node) removeName(ctx context.Context, name, path string, isFolder bool, child *node) error {
	err := onceEmpty(ctx, child, func() error { return n.share.remove(ctx, path, isFolder, child) })
	if err == nil && child != nil {
		f, id := &n.names, child.id()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.removed == nil || len(f.removed) >= changedAtMost {
			f.removed = map[string]uint64{}
		}
		f.removed[name] = id
	}
	return err
}

// confirmRemoval asks the server about an entry of a listing that a program on this machine has removed, and returns whether it is still to be left
// out. A folder is restored if another client puts a file into it before the last one closes it.
func (n *node) confirmRemoval(ctx context.Context, name string, listed fileInfo, use client.Needs) bool {
	n.names.mu.Lock()
	id, ok := n.names.removed[name]
	n.names.mu.Unlock()
	if !ok || id != listed.stat.FileId {
		return false
	}
	_, err := atName(ctx, n, name, use, statAt)
	if err == nil {
		n.names.isThere(name)
	}
	return smb.StatusOf(err) == deletePending || isAbsent(err)
}

// removal says how far the server is with a name that was removed here.
type removal int

const (
	notRemoved removal = iota
	removalPending
	removalOver // since the last call
)

// removalOf asks the server about that name.
func (n *node) removalOf(ctx context.Context, name string) removal {
	f := &n.names
	f.mu.Lock()
	_, ok := f.removed[name]
	f.mu.Unlock()
	if !ok {
		return notRemoved
	}
	_, err := atName(ctx, n, name, reading, statAt)
	if smb.StatusOf(err) == deletePending {
		return removalPending
	}
	f.isThere(name)
	if isAbsent(err) {
		return removalOver
	}
	return notRemoved
}

// removalWithin lists the folder n: only names that were removed here may be left in it.
func (n *node) removalWithin(ctx context.Context) removal {
	all, err := atPath(ctx, n, reading, func(t client.Attempt, path string) ([]fileInfo, error) { return listAll(t, path, changedAtMost) })
	if err != nil {
		return notRemoved
	}
	f := &n.names
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, each := range all {
		if id, ok := f.removed[n.share.characters.fromServer(each.stat.FileName)]; !ok || id != each.stat.FileId {
			return notRemoved
		}
	}
	return removalPending
}

// onceRemoved calls change, and calls it again if that failed because of a removal that is not over yet.
func onceRemoved[T any](ctx context.Context, change func() (T, error), removal func(error) removal) (T, error) {
	for until := time.Now().Add(removedWithin); ; {
		changed, err := change()
		if err == nil {
			return changed, nil
		}
		switch removal(err) {
		case notRemoved:
			return changed, err
		case removalPending:
			if time.Now().After(until) {
				return changed, syscall.EBUSY
			}
			if _, err = client.Await(ctx, Killed, time.After(removedEvery), time.Time{}); err != nil {
				return changed, err
			}
		}
	}
}

// onceFree creates that name in the folder n once it is free.
func onceFree[T any](ctx context.Context, n *node, name string, create func() (T, error)) (T, error) {
	return onceRemoved(ctx, create, func(error) removal { return n.removalOf(ctx, name) })
}

// onceEmpty removes a folder once no removed name is left in it.
func onceEmpty(ctx context.Context, folder *node, remove func() error) error {
	_, err := onceRemoved(ctx, func() (struct{}, error) { return struct{}{}, remove() }, func(err error) removal {
		if folder == nil || errnoOf(err) != syscall.ENOTEMPTY {
			return notRemoved
		}
		return folder.removalWithin(ctx)
	})
	return err
}
