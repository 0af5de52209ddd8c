package main

import (
	"context"
	"errors"
	"hash/fnv"
	iofs "io/fs"
	"path"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// identity says which file it is, also after a restart of the server. The server gives ids again, hence the creation time.
type identity struct {
	server  [16]byte
	id      uint64
	created int64
}

func identityOf(c *connection, seen *smb2.FileStat) identity {
	return identity{c.session.ServerGuid(), seen.FileId, seen.CreationTime.UnixNano()}
}

// node is a file or folder that the kernel knows.
type node struct {
	fs.Inode
	share *fileSystem
	// Held while bytes are appended, from whichever handle.
	appending sync.Mutex

	mu      sync.Mutex
	is      identity
	seen    *smb2.FileStat
	open    map[*handle]struct{} // until the server has closed them
	removed string               // where it is since it was removed while it was open
	written time.Time            // when it was last changed from here
}

var (
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeMknoder        = (*node)(nil)
	_ fs.NodeStatfser       = (*node)(nil)
	_ fs.FileReader         = (*handle)(nil)
	_ fs.FileWriter         = (*handle)(nil)
	_ fs.FileFsyncer        = (*handle)(nil)
	_ fs.FileReleaser       = (*handle)(nil)
	_ fs.FileReaddirenter   = (*listing)(nil)
	_ fs.FileLookuper       = (*listing)(nil)
	_ fs.FileSeekdirer      = (*listing)(nil)
	_ fs.FileFsyncdirer     = (*listing)(nil)
)

// isAbsent: the server has no such name. Some servers that are not Samba or Windows answer an open with NO_SUCH_FILE.
func isAbsent(err error) bool { return errors.Is(err, iofs.ErrNotExist) || statusOf(err) == noSuchFile }

func (n *node) size() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen.EndOfFile
}

// isSame: what was found is the file or folder that this node is. Samba has the earliest of a file's times as its creation time, if it was not
// made over SMB: that becomes another of these times when the earliest one changes. A folder is the same if its id is: no bytes depend on it.
func (n *node) isSame(at found) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.is.server != n.is.server || at.is.id != n.is.id || at.seen.IsDir() != n.seen.IsDir() {
		return false
	}
	if at.seen.IsDir() {
		return true
	}
	for _, one := range []time.Time{n.seen.LastWriteTime, n.seen.ChangeTime, n.seen.LastAccessTime} {
		if at.is.created == one.UnixNano() {
			return true
		}
	}
	return at.is.created == n.is.created
}

func (n *node) found() found {
	n.mu.Lock()
	defer n.mu.Unlock()
	return found{n.is, n.seen}
}

func (n *node) handles() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*handle, 0, len(n.open))
	for h := range n.open {
		all = append(all, h)
	}
	return all
}

// saw: what was read ahead of a file that has changed is dropped before the kernel hears of the change.
func (n *node) saw(at found) {
	n.mu.Lock()
	before, seen := n.seen, at.seen
	n.is, n.seen = at.is, seen
	n.mu.Unlock()
	if !before.LastWriteTime.Equal(seen.LastWriteTime) || before.EndOfFile != seen.EndOfFile || !before.ChangeTime.Equal(seen.ChangeTime) {
		n.changed()
	}
}

// wrote notes a change from here.
func (n *node) wrote() {
	now := time.Now()
	n.share.written.Store(now.UnixNano())
	n.mu.Lock()
	n.written = now
	n.mu.Unlock()
	n.changed()
}

// isListed: what a listing of that time says of the node is still true.
func (n *node) isListed(asked time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open) == 0 && n.written.Before(asked)
}

// changed: nothing that was read ahead is true any more.
func (n *node) changed() {
	for _, h := range n.handles() {
		h.ahead.drop()
	}
}

func (f *fileSystem) fill(out *fuse.Attr, seen *smb2.FileStat) {
	out.Mode, out.Uid, out.Gid = syscall.S_IFREG|f.fileMode, f.uid, f.gid
	if seen.IsDir() {
		out.Mode = syscall.S_IFDIR | f.dirMode
	}
	out.Size = uint64(seen.EndOfFile)
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = chunkAtMost
	out.Nlink = 1
	out.SetTimes(&seen.LastAccessTime, &seen.LastWriteTime, &seen.ChangeTime)
}

// childOf is what the kernel knows at that name; nil: nothing.
func (n *node) childOf(name string) *node {
	if child := n.GetChild(name); child != nil {
		return child.Operations().(*node)
	}
	return nil
}

// child is the node for what the server has at that name: the one that the kernel has, also after a rename, if it is that file.
//
// The generation tells files apart that have one id, as in snapshots within a share, and an id that was given again.
func (n *node) child(ctx context.Context, name string, at found) *fs.Inode {
	if old := n.childOf(name); old != nil && old.isSame(at) {
		old.saw(at)
		return old.EmbeddedInode()
	}
	is, seen := at.is, at.seen
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path.Join(n.Path(nil), name)))
	_, _ = hash.Write(is.server[:])
	attr := fs.StableAttr{Mode: syscall.S_IFREG, Ino: is.id, Gen: hash.Sum64() ^ uint64(is.created)}
	if seen.IsDir() {
		attr.Mode = syscall.S_IFDIR
	}
	// 1 is the root's, and the highest one means that there is none.
	if attr.Ino <= 1 || attr.Ino == ^uint64(0) {
		attr.Ino = hash.Sum64() | 1<<63
	}
	return n.NewInode(ctx, &node{share: n.share, is: is, seen: seen}, attr)
}

type found struct {
	is   identity
	seen *smb2.FileStat
}

func lookAt(c *connection, path string) (found, error) {
	seen, err := c.share.Look(path)
	if err != nil {
		return found{}, err
	}
	return found{identityOf(c, seen), seen}, nil
}

func (n *node) look(ctx context.Context, path string) (found, error) {
	return ask(ctx, n.share.files, func(c *connection) (found, error) { return lookAt(c, path) })
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at, err := inFolder(ctx, n, name, n.share.files, lookAt)
	if err != nil {
		return nil, errnoOf(err)
	}
	n.share.fill(&out.Attr, at.seen)
	return n.child(ctx, name, at), 0
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	var at found
	var err error
	if h, ok := f.(*handle); ok {
		at, err = h.look(ctx)
	} else {
		at, err = atPath(ctx, n, n.share.files, lookAt)
		if err == nil && !n.isSame(at) && !n.IsRoot() {
			err = syscall.ESTALE
		}
	}
	if err != nil {
		return errnoOf(err)
	}
	n.saw(at)
	n.share.fill(&out.Attr, at.seen)
	return 0
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := ask(ctx, n.share.files, func(c *connection) (smb2.FileFsInfo, error) { return c.share.Statfs("") })
	if err != nil {
		return errnoOf(err)
	}
	out.Bsize = uint32(space.BlockSize())
	out.Frsize = out.Bsize
	out.Blocks, out.Bfree, out.Bavail = space.TotalBlockCount(), space.FreeBlockCount(), space.AvailableBlockCount()
	out.NameLen = nameAtMost
	return 0
}
