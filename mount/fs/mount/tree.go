package mount

import (
	"context"
	"hash/fnv"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

// node is a file or folder that the kernel knows.
type node struct {
	fs.Inode
	share *Share
	// The entries of this folder, as a listing has shown them.
	names names
	// Changes of this file wait for each other.
	order order
	// The ranges that programs here have locked.
	locks locks

	mu      sync.Mutex
	self    self
	seen    *smb2.FileStat
	times   times
	symlink symlink
	open    map[*handle]struct{} // until programs have closed them
	opened  fs.Place             // the name by which it was opened first
	closing int                  // handles that programs have closed and the server not yet
	hidden  []string             // where its names are since they were removed while it was open
	changed time.Time            // when it was last changed from here
	known   time.Time            // when the server last said how it is; zero: it is to be asked again
	// The server breaks it before another client changes the file; nil: it granted none.
	lease      smb2.Lease
	leaseOn    *client.Conn
	leasedKey  smb2.LeaseKey
	leasedPath string

	isForgetting atomic.Bool
	// Set while programs watch this folder.
	reported atomic.Pointer[reportedFolder]
	pages    pages
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
	_ fs.NodeOnForgetter    = (*node)(nil)
	_ fs.NodeGetlker        = (*node)(nil)
	_ fs.NodeSetlker        = (*node)(nil)
	_ fs.NodeSetlkwer       = (*node)(nil)
	_ fs.FileReader         = (*handle)(nil)
	_ fs.FileWriter         = (*handle)(nil)
	_ fs.FileFsyncer        = (*handle)(nil)
	_ fs.FileFlusher        = (*handle)(nil)
	_ fs.FileAllocater      = (*handle)(nil)
	_ fs.FileReleaser       = (*handle)(nil)
	_ fs.FileReaddirenter   = (*listing)(nil)
	_ fs.FileLookuper       = (*listing)(nil)
	_ fs.FileSeekdirer      = (*listing)(nil)
	_ fs.FileFsyncdirer     = (*listing)(nil)
	_ fs.FileReleasedirer   = (*listing)(nil)
)

func (n *node) isSame(at found) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self.isSame(at, n.seen)
}

func (n *node) isFolder() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self.isFolder
}

// isFileOf: both nodes are one file, known by two names.
func (n *node) isFileOf(other *node) bool {
	n.mu.Lock()
	mine := n.self
	n.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	return mine.id == other.self.id && mine.epoch == other.self.epoch && mine.isFolder == other.self.isFolder && mine.created == other.self.created
}

func (n *node) size() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen.EndOfFile
}

func (n *node) id() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self.id
}

// learn takes over what the server shows of the file.
func (n *node) learn(at found) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.symlink.learn(at)
	n.known = time.Now()
	if n.seen == nil {
		n.self, n.seen = at.self(), at.seen
		return
	}
	n.self = n.self.next(at)
	links := n.seen.NumberOfLinks
	if n.seen = at.seen; n.seen.NumberOfLinks == 0 {
		// A listing does not know it.
		seen := *at.seen
		seen.NumberOfLinks, n.seen = links, &seen
	}
}

// saw is learn for a file that is known: bytes that were read of it are dropped before the kernel gets to know that it has changed.
func (n *node) saw(at found) {
	n.mu.Lock()
	before, wrote := n.seen, n.times.wrote
	n.mu.Unlock()
	n.learn(at)
	seen := at.seen
	isChanged := !before.ChangeTime.Equal(seen.ChangeTime) || !before.LastWriteTime.Equal(seen.LastWriteTime)
	if before.EndOfFile != seen.EndOfFile || isChanged && wrote.IsZero() {
		n.dropRead()
	}
}

// wrote notes a change from here: bytes that were read by any of its names are dropped.
func (n *node) wrote() {
	now := time.Now()
	n.share.written.Store(now.UnixNano())
	n.mu.Lock()
	n.changed = now
	n.mu.Unlock()
	n.dropRead()
	for _, twin := range n.share.known.twinsOf(n) {
		twin.dropRead()
		safely.Go(func() { twin.dropPages(0) })
	}
}

// hasChanged notes a change of a name in this folder from here.
func (n *node) hasChanged(name string) {
	now := time.Now()
	n.share.written.Store(now.UnixNano())
	n.names.forget(name)
	if reported := n.reported.Load(); reported != nil {
		reported.ownChange(name)
	}
	if n.IsRoot() {
		n.share.client.RootChanged()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed = now
}

// answered notes a write that the server has answered.
func (n *node) answered(c *client.Conn, end int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// As exactly as the server keeps it.
	n.times.wrote = time.Now().Add(c.ClockAhead).Truncate(100)
	if end > n.seen.EndOfFile {
		seen := *n.seen
		seen.EndOfFile = end
		n.seen = &seen
	}
}

// isListed: what a listing of that time says of the node is still true.
func (n *node) isListed(asked time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open) == 0 && n.closing == 0 && n.changed.Before(asked)
}

// isBusy: no listing would be true for long.
func (n *node) isBusy() bool { return !n.isListed(time.Now().Add(-attributesFor)) }

func (n *node) handles() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*handle, 0, len(n.open))
	for h := range n.open {
		all = append(all, h)
	}
	return all
}

// dropRead drops the bytes that were read ahead.
func (n *node) dropRead() {
	for _, h := range n.handles() {
		h.ahead.drop()
	}
}

// forgetSoon has the bytes that a program reads now of a file without a lease read again after a second.
func (n *node) forgetSoon() {
	if n.isForgetting.Swap(true) {
		return
	}
	time.AfterFunc(attributesFor, safely.Of(func() {
		n.isForgetting.Store(false)
		n.dropRead()
		n.dropPages(0)
	}))
}

// OnForget: the kernel no longer knows it.
func (n *node) OnForget() { n.share.known.remove(n) }

func (n *node) fill(out *fuse.Attr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.share.fill(out, n.seen, n.times.shown(n.seen))
	if n.self.isLink {
		out.Mode, out.Size = syscall.S_IFLNK|0o777, uint64(len(n.symlink.target))
	}
	out.Ino = n.StableAttr().Ino
}

func (s *Share) fill(out *fuse.Attr, seen *smb2.FileStat, written time.Time) {
	out.Mode, out.Uid, out.Gid = syscall.S_IFREG|s.FileMode, s.Uid, s.Gid
	if seen.IsDir() {
		out.Mode = syscall.S_IFDIR | s.DirMode
	} else if seen.FileAttributes&readOnly != 0 {
		out.Mode &^= 0o222
	}
	out.Size = uint64(seen.EndOfFile)
	out.Blocks = uint64(seen.AllocationSize+511) / 512
	if out.Blocks == 0 {
		// Some servers keep small files without a block, and programs take that for a file of zeros.
		out.Blocks = (out.Size + 511) / 512
	}
	out.Blksize = chunkAtMost
	out.Nlink = max(1, seen.NumberOfLinks)
	if seen.IsDir() {
		out.Nlink = 1
	}
	changed := seen.ChangeTime
	if written.After(changed) {
		changed = written
	}
	out.SetTimes(&seen.LastAccessTime, &written, &changed)
}

// childOf is what the kernel knows at that name; nil: nothing.
func (n *node) childOf(name string) *node {
	if child := n.GetChild(name); child != nil {
		known, _ := child.Operations().(*node)
		return known
	}
	return nil
}

// folder is the one that the kernel knows this file in, and its name there; nil: none, or not one of the share.
func (n *node) folder() (folder *node, name string) {
	name, inode := n.EmbeddedInode().Parent()
	if inode != nil {
		folder, _ = inode.Operations().(*node)
	}
	return folder, name
}

// child is the node for what the server has at that name: the one that the kernel has, also after a rename, if it is that file; or that of
// another name of the file, if it has several; or a new one.
func (n *node) child(ctx context.Context, name string, at found) *fs.Inode {
	if old := n.childOf(name); old != nil && old.isSame(at) {
		old.saw(at)
		return old.EmbeddedInode()
	}
	attr := n.attrFor(name, at)
	child := &node{share: n.share}
	child.learn(at)
	inode := n.NewInode(ctx, child, attr)
	if known := inode.Operations().(*node); known != child {
		known.saw(at)
	} else {
		n.share.known.add(child, at.seen.FileId)
	}
	return inode
}

// attrFor distinguishes the node from others. The generation does so for files that have one id, as in snapshots within a share, and for an id
// that was given again. Another spelling of a name is a separate node with the same number: with one inode, the kernel would take a change
// of the spelling for a rename of a file over itself, and do nothing.
func (n *node) attrFor(name string, at found) fs.StableAttr {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte{byte(at.epoch)})
	full := path.Join(n.Path(nil), name)
	isVersion := strings.HasPrefix(full, versionsFolder+"/")
	if at.seen.NumberOfLinks < 2 || at.seen.IsDir() || isVersion || n.hasOtherSpelling(name, at) {
		_, _ = hash.Write([]byte(full))
	}
	attr := fs.StableAttr{Mode: syscall.S_IFREG, Ino: at.seen.FileId, Gen: hash.Sum64() ^ uint64(at.self().created)}
	if at.seen.IsDir() {
		attr.Mode = syscall.S_IFDIR
	} else if at.isLink() {
		attr.Mode = syscall.S_IFLNK
	}
	if attr.Ino = inoOf(attr.Ino, hash.Sum64()); isVersion {
		attr.Ino = inoOfVersion(full)
	}
	return attr
}

// inoOf: 1 is the root's, and the highest number means that there is none.
func inoOf(id, otherwise uint64) uint64 {
	if id <= 1 || id == ^uint64(0) {
		return otherwise | 1<<63
	}
	return id
}

func (n *node) hasOtherSpelling(name string, at found) bool {
	for other, child := range n.Children() {
		if known, ok := child.Operations().(*node); ok && other != name && isSpelling(other, name) && known.isSame(at) {
			return true
		}
	}
	return false
}

func (n *node) look(ctx context.Context, path string) (found, error) {
	return ask(ctx, n.share, func(t client.Attempt) (found, error) { return lookAt(t, path) })
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if isRepeated(ctx) {
		return n.lookupRepeated(ctx, name, out)
	}
	at, err := n.find(ctx, name)
	if err == nil {
		at, err = n.resolved(ctx, name, at)
	}
	if err != nil {
		errno := errnoOf(err)
		if errno == syscall.ENOENT && name == versionsFolder {
			return n.versionsOf(ctx, name, out)
		}
		if errno == syscall.ENOENT && len(name) > nameAtMost {
			// No file of that name could be made.
			errno = syscall.ENAMETOOLONG
		}
		return nil, errno
	}
	child := n.child(ctx, name, at)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if left := n.knownFor(); left > 0 {
		n.fill(&out.Attr)
		out.SetTimeout(left)
		return 0
	}
	if n.IsRoot() && !n.share.isMounted.Load() || isRepeated(ctx) {
		n.fill(&out.Attr)
		return 0
	}
	at, err := n.lookAgain(ctx)
	if parent, name := n.folder(); err == nil && parent != nil {
		at, err = parent.resolved(ctx, name, at)
	}
	if err == nil && !n.isSame(at) && !n.IsRoot() {
		err = syscall.ESTALE
	}
	if err != nil {
		return errnoOf(err)
	}
	n.saw(at)
	n.fill(&out.Attr)
	return 0
}

// knownFor is how much longer that is true which the server has said of a file since it was last changed from here.
func (n *node) knownFor() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.self.isFolder || n.known.Before(n.changed) {
		return 0
	}
	return attributesFor - time.Since(n.known)
}

// lookAgain reads the attributes by a handle if there is one, else by the name, which may be another file's by now.
func (n *node) lookAgain(ctx context.Context) (found, error) {
	handles := n.handles()
	for _, h := range handles {
		if h.isOpened() {
			return h.look(ctx)
		}
	}
	if at, ok := n.listedByParent(); ok {
		return at, nil
	}
	return atPath(ctx, n, looking, func(t client.Attempt, path string) (found, error) {
		at, err := lookAt(t, path)
		if err == nil && !n.isSame(at) && !n.IsRoot() || len(handles) > 0 && isAbsent(err) {
			err = syscall.ESTALE
		}
		return at, err
	})
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := atPath(ctx, n, looking, func(t client.Attempt, path string) (smb2.FileFsInfo, error) { return t.Share.Space(path) })
	if err != nil {
		return errnoOf(err)
	}
	out.Bsize = uint32(space.BlockSize())
	out.Frsize = out.Bsize
	out.Blocks, out.Bfree, out.Bavail = space.TotalBlockCount(), space.FreeBlockCount(), space.AvailableBlockCount()
	out.NameLen = nameAtMost
	return 0
}
