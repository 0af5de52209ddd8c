package mount

import (
	"context"
	"maps"
	"slices"
	"syscall"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// A file or folder that a program on this machine removes while another client has it open is only marked by Samba (STATUS_DELETE_PENDING). Until
// that client closes it, its name is still listed, no file can be created with it, and the folder around it is not empty for the server.
//
// names.removed has the names that programs on this machine have removed (removeName). Listings leave them out (confirmDeletion); what creates a name
// waits until it is free (createOnceFree), what removes a folder waits until it is empty (removeOnceEmpty), and what renames one waits for the deletions in
// it (awaitDeletionsBelow).

const (
	// How long a creation or a removal waits before it fails with EBUSY. Other machines' mounts close a removed folder that they watch within a
	// tenth of a second.
	deletedWithin = 3 * time.Second
	deletedEvery  = 20 * time.Millisecond
)

// removeName removes the file or folder of that name, and adds it to names.removed.
func (n *node) removeName(ctx context.Context, name, path string, isFolder bool, child *node) error {
	err := removeOnceEmpty(ctx, child, func() error { return n.share.remove(ctx, path, isFolder, child) })
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

// confirmDeletion asks the server about a listed entry that is in names.removed, and returns whether listings still leave it out. The server has a
// folder again if another client puts a file into it before the last one closes it.
func (n *node) confirmDeletion(ctx context.Context, name string, listed fileInfo, use client.Needs) bool {
	id, isRemoved := n.names.removedId(name)
	if !isRemoved || id != listed.stat.FileId {
		return false
	}
	err := n.askName(ctx, name, use)
	if err == nil {
		n.names.forgetRemoved(name)
	}
	return smb.StatusOf(err) == deletePending || isAbsent(err)
}

// askName asks the server about that name. Not as atName, which waits for renames and removals in flight: the caller may be one of them. If it still has
// the removed file it is asked again: Samba answers so for a moment while it deletes one that the last client has closed.
func (n *node) askName(ctx context.Context, name string, use client.Needs) error {
	path, err := n.pathOfName(name)
	if err != nil {
		return err
	}
	id, isRemoved := n.names.removedId(name)
	for isAgain := false; ; isAgain = true {
		info, err := client.Do(ctx, n.share.client, use, func(t client.Attempt) (fileInfo, error) { return statAt(t, path) }, nil)
		if err != nil || isAgain || !isRemoved || info.stat.FileId != id {
			return err
		}
		if _, err = client.Await(ctx, Killed, time.After(deletedEvery), time.Time{}); err != nil {
			return err
		}
	}
}

// deletion is how far the server is with a name that was removed here.
type deletion int

const (
	noDeletion      deletion = iota // the name was not removed, or the server has it again
	deletionPending                 // another client has it open, or it has just closed it
	deletionDone                    // the name has become free since it was last asked for
)

// deletionOf asks the server about that name, after its creation has failed with that error. It may also have been removed on another machine, or by
// another spelling.
func (n *node) deletionOf(ctx context.Context, name string, failed error) deletion {
	f := &n.names
	_, isOurs := f.removedId(name)
	wasPending := smb.StatusOf(failed) == deletePending
	if !isOurs && !wasPending {
		return noDeletion
	}
	err := n.askName(ctx, name, reading)
	switch {
	case smb.StatusOf(err) == deletePending:
		return deletionPending
	case err == nil:
		f.forgetRemoved(name)
		return noDeletion
	case !isAbsent(err):
		return noDeletion
	case isOurs:
		f.forgetRemoved(name)
		return deletionDone
	}
	return deletionPending
}

// deletionsIn lists the folder n: its removal waits only for names that were removed here, if nothing else is left in it. deletionDone: it is empty.
func (n *node) deletionsIn(ctx context.Context) deletion {
	path, err := n.serverPath()
	if err != nil {
		return noDeletion
	}
	all, err := query(ctx, n.share, func(t client.Attempt) ([]fileInfo, error) { return listAll(t, path, changedAtMost) })
	switch {
	case err != nil || !n.hasRemovedAll(all):
		return noDeletion
	case len(all) == 0:
		return deletionDone
	case n.confirmDeletion(ctx, n.share.mapping.fromServer(all[0].stat.FileName), all[0], reading):
		return deletionPending
	}
	// Another file has its name and its number.
	return noDeletion
}

// awaitDeletionsBelow waits until the server has deleted what was removed in the folder n and below. Samba deletes by the path that it knows: after a
// rename of the folder that would be a new file, if there is one.
func (n *node) awaitDeletionsBelow(ctx context.Context) error {
	for until := time.Now().Add(deletedWithin); n.hasDeletionBelow(ctx); {
		if time.Now().After(until) {
			return syscall.EBUSY
		}
		if _, err := client.Await(ctx, Killed, time.After(deletedEvery), time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) hasDeletionBelow(ctx context.Context) bool {
	if len(n.names.removedNow()) > 0 {
		// A listing forgets the names that it does not have.
		_ = n.listNow(ctx)
	}
	for _, name := range n.names.removedNow() {
		if n.deletionOf(ctx, name, nil) == deletionPending {
			return true
		}
	}
	for _, each := range n.Children() {
		if child, ok := each.Operations().(*node); ok && child.isFolder() && child.hasDeletionBelow(ctx) {
			return true
		}
	}
	return false
}

// removedId is the id of the file or folder of that name that was removed here.
func (f *names) removedId(name string) (id uint64, isRemoved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, isRemoved = f.removed[name]
	return id, isRemoved
}

// removedNow are the names that were removed here, and of which the server has said nothing since.
func (f *names) removedNow() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.removed))
}

// hasRemovedAll: all of these files of the folder n were removed here.
func (n *node) hasRemovedAll(listed []fileInfo) bool {
	f := &n.names
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, each := range listed {
		if id, ok := f.removed[n.share.mapping.fromServer(each.stat.FileName)]; !ok || id != each.stat.FileId {
			return false
		}
	}
	return true
}

// retryWhilePending calls change, and calls it again as long as it fails because of a deletion. blockedBy says which one its error is due to.
func retryWhilePending[T any](ctx context.Context, change func() (T, error), blockedBy func(error) deletion) (T, error) {
	for until := time.Now().Add(deletedWithin); ; {
		changed, err := change()
		if err == nil {
			return changed, nil
		}
		switch blockedBy(err) {
		case noDeletion:
			return changed, err
		case deletionPending:
			if time.Now().After(until) {
				return changed, syscall.EBUSY
			}
			if _, err = client.Await(ctx, Killed, time.After(deletedEvery), time.Time{}); err != nil {
				return changed, err
			}
		}
	}
}

// createOnceFree runs create, which creates that name in the folder n, once the name is free.
func createOnceFree[T any](ctx context.Context, n *node, name string, create func() (T, error)) (T, error) {
	return retryWhilePending(ctx, create, func(err error) deletion { return n.deletionOf(ctx, name, err) })
}

// removeOnceEmpty runs remove, which removes that folder (or a file), once no removed name is left in it.
func removeOnceEmpty(ctx context.Context, folder *node, remove func() error) error {
	wasEmpty := false
	_, err := retryWhilePending(ctx, func() (struct{}, error) { return struct{}{}, remove() }, func(err error) deletion {
		// The server does not list all files (Samba's veto files): no wait empties such a folder.
		if folder == nil || errnoOf(err) != syscall.ENOTEMPTY || wasEmpty {
			return noDeletion
		}
		deletion := folder.deletionsIn(ctx)
		wasEmpty = deletion == deletionDone
		return deletion
	})
	return err
}
