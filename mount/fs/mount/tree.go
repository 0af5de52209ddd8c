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
	// Orders the changes of this file.
	order order
	// The ranges that programs on this machine have locked.
	locks locks

	mu        sync.Mutex
	identity  fileIdentity
	stat      *smb2.FileStat
	times     times
	symlink   symlink
	open      map[*handle]struct{} // until the kernel releases them
	openedAs  fs.Place             // the name by which the first of them was opened
	closing   int                  // handles that the kernel has released and the server not closed yet
	hidden    []string             // its hidden names: it was removed or replaced while it was open
	changedAt time.Time            // when a program on this machine last changed it
	statAt    time.Time            // when the server sent stat; zero: it has to be read again
	// nil: the server granted none, or has broken it.
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

func (n *node) isSame(info fileInfo) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity.isSame(info, n.stat)
}

func (n *node) isFolder() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity.isFolder
}

// isFileOf: both nodes are the same file, by two names.
func (n *node) isFileOf(other *node) bool {
	n.mu.Lock()
	mine := n.identity
	n.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	return mine.id == other.identity.id && mine.epoch == other.identity.epoch && mine.isFolder == other.identity.isFolder && mine.created == other.identity.created
}

func (n *node) size() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stat.EndOfFile
}

func (n *node) id() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity.id
}

// learn stores the attributes that the server has sent.
func (n *node) learn(info fileInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.symlink.learn(info)
	n.statAt = time.Now()
	if n.stat == nil {
		n.identity, n.stat = info.identity(), info.stat
		return
	}
	n.identity = n.identity.next(info)
	links := n.stat.NumberOfLinks
	if n.stat = info.stat; n.stat.NumberOfLinks == 0 {
		// Listings do not have it.
		stat := *info.stat
		stat.NumberOfLinks, n.stat = links, &stat
	}
}

// refresh is learn for a file with known attributes. If it has changed, bytes that were read ahead are dropped before the kernel learns that.
func (n *node) refresh(info fileInfo) {
	n.mu.Lock()
	before, wrote := n.stat, n.times.wrote
	n.mu.Unlock()
	n.learn(info)
	stat := info.stat
	isChanged := !before.ChangeTime.Equal(stat.ChangeTime) || !before.LastWriteTime.Equal(stat.LastWriteTime)
	if before.EndOfFile != stat.EndOfFile || isChanged && wrote.IsZero() {
		n.dropRead()
	}
}

// contentChanged: a program on this machine has changed the content. Bytes that were read ahead by any of its names are dropped.
func (n *node) contentChanged() {
	now := time.Now()
	n.share.lastChange.Store(now.UnixNano())
	n.mu.Lock()
	n.changedAt = now
	n.mu.Unlock()
	n.dropRead()
	for _, twin := range n.share.known.twinsOf(n) {
		twin.dropRead()
		safely.Go(func() { twin.dropPages(0) })
	}
}

// nameChanged: a program on this machine has changed that name in the folder.
func (n *node) nameChanged(name string) {
	now := time.Now()
	n.share.lastChange.Store(now.UnixNano())
	n.names.forget(name)
	if reported := n.reported.Load(); reported != nil {
		reported.localChange(name)
	}
	if n.IsRoot() {
		n.share.client.RootChanged()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changedAt = now
}

// writeAnswered: the server has answered a write that ends there, or a resize to that length.
func (n *node) writeAnswered(c *client.Conn, end int64, isResize bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// As precise as the server keeps it.
	n.times.wrote = time.Now().Add(c.ClockAhead).Truncate(100)
	if isResize || end > n.stat.EndOfFile {
		stat := *n.stat
		stat.EndOfFile = end
		n.stat = &stat
	}
}

// isUnchangedSince: no program on this machine has changed or opened the node since then, so that a listing of that time is true.
func (n *node) isUnchangedSince(asked time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open) == 0 && n.closing == 0 && n.changedAt.Before(asked)
}

// isBusy: it is open or has just been changed, so that a listing would soon be outdated.
func (n *node) isBusy() bool { return !n.isUnchangedSince(time.Now().Add(-attributesFor)) }

func (n *node) handles() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*handle, 0, len(n.open))
	for h := range n.open {
		all = append(all, h)
	}
	return all
}

// dropRead drops bytes that were read ahead.
func (n *node) dropRead() {
	for _, h := range n.handles() {
		h.ahead.drop()
	}
}

// forgetSoon drops the bytes that are read now after a second: the file has no lease.
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

// OnForget: the kernel has forgotten the node.
func (n *node) OnForget() { n.share.known.remove(n) }

func (n *node) fill(out *fuse.Attr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.share.fill(out, n.stat, n.times.shown(n.stat))
	if n.identity.isLink {
		out.Mode, out.Size = syscall.S_IFLNK|0o777, uint64(len(n.symlink.target))
	}
	out.Ino = n.StableAttr().Ino
}

func (s *Share) fill(out *fuse.Attr, stat *smb2.FileStat, written time.Time) {
	out.Mode, out.Uid, out.Gid = syscall.S_IFREG|s.FileMode, s.Uid, s.Gid
	if stat.IsDir() {
		out.Mode = syscall.S_IFDIR | s.DirMode
	} else if stat.FileAttributes&readOnly != 0 {
		out.Mode &^= 0o222
	}
	out.Size = uint64(stat.EndOfFile)
	out.Blocks = uint64(stat.AllocationSize+511) / 512
	if out.Blocks == 0 {
		// Some servers store small files in no block, which programs would take for a sparse file.
		out.Blocks = (out.Size + 511) / 512
	}
	out.Blksize = chunkAtMost
	out.Nlink = max(1, stat.NumberOfLinks)
	if stat.IsDir() {
		out.Nlink = 1
	}
	changed := stat.ChangeTime
	if written.After(changed) {
		changed = written
	}
	out.SetTimes(&stat.LastAccessTime, &written, &changed)
}

// childOf is the node that the kernel knows at that name; nil: none.
func (n *node) childOf(name string) *node {
	if child := n.GetChild(name); child != nil {
		known, _ := child.Operations().(*node)
		return known
	}
	return nil
}

// folder is the folder in which the kernel knows this file, and its name there; nil: none, or the folder of snapshots.
func (n *node) folder() (folder *node, name string) {
	name, inode := n.EmbeddedInode().Parent()
	if inode != nil {
		folder, _ = inode.Operations().(*node)
	}
	return folder, name
}

// child is the node of the file that the server has at that name: the one that the kernel knows there or by another name of the file, or a new
// one.
func (n *node) child(ctx context.Context, name string, info fileInfo) *fs.Inode {
	if old := n.childOf(name); old != nil && old.isSame(info) {
		old.refresh(info)
		return old.EmbeddedInode()
	}
	attr := n.attrFor(name, info)
	child := &node{share: n.share}
	child.learn(info)
	inode := n.NewInode(ctx, child, attr)
	if known := inode.Operations().(*node); known != child {
		known.refresh(info)
	} else {
		n.share.known.add(child, info.stat.FileId)
	}
	return inode
}

// attrFor is what identifies a node to the library. Generations distinguish files with the same id: those of snapshots, and later files that got
// the id again. A different spelling of a name is a separate node with the same inode number: with the same node, the kernel would take a
// change of the spelling for a rename of a file over itself, and do nothing.
func (n *node) attrFor(name string, info fileInfo) fs.StableAttr {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte{byte(info.epoch)})
	full := path.Join(n.Path(nil), name)
	isVersion := strings.HasPrefix(full, versionsFolder+"/")
	if info.stat.NumberOfLinks < 2 || info.stat.IsDir() || isVersion || n.hasOtherSpelling(name, info) {
		_, _ = hash.Write([]byte(full))
	}
	attr := fs.StableAttr{Mode: syscall.S_IFREG, Ino: info.stat.FileId, Gen: hash.Sum64() ^ uint64(info.identity().created)}
	if info.stat.IsDir() {
		attr.Mode = syscall.S_IFDIR
	} else if info.isLink() {
		attr.Mode = syscall.S_IFLNK
	}
	if attr.Ino = inoOf(attr.Ino, hash.Sum64()); isVersion {
		attr.Ino = inoOfVersion(full)
	}
	return attr
}

// inoOf is id unless that is reserved: 1 is the root, the highest number means none.
func inoOf(id, otherwise uint64) uint64 {
	if id <= 1 || id == ^uint64(0) {
		return otherwise | 1<<63
	}
	return id
}

func (n *node) hasOtherSpelling(name string, info fileInfo) bool {
	for other, child := range n.Children() {
		if known, ok := child.Operations().(*node); ok && other != name && isSpelling(other, name) && known.isSame(info) {
			return true
		}
	}
	return false
}

func (n *node) statPath(ctx context.Context, path string) (fileInfo, error) {
	return query(ctx, n.share, func(t client.Attempt) (fileInfo, error) { return statAt(t, path) })
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if isRepeated(ctx) {
		return n.lookupRepeated(ctx, name, out)
	}
	info, err := n.lookup(ctx, name)
	if err == nil {
		info, err = n.resolved(ctx, name, info)
	}
	if err != nil {
		errno := errnoOf(err)
		if errno == syscall.ENOENT && name == versionsFolder {
			return n.versionsOf(ctx, name, out)
		}
		if errno == syscall.ENOENT && len(name) > nameAtMost {
			// No file of that name can exist.
			errno = syscall.ENAMETOOLONG
		}
		return nil, errno
	}
	child := n.child(ctx, name, info)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if left := n.statValidFor(); left > 0 {
		n.fill(&out.Attr)
		out.SetTimeout(left)
		return 0
	}
	if n.IsRoot() && !n.share.isMounted.Load() || isRepeated(ctx) {
		n.fill(&out.Attr)
		return 0
	}
	info, err := n.freshStat(ctx)
	if parent, name := n.folder(); err == nil && parent != nil {
		info, err = parent.resolved(ctx, name, info)
	}
	if err == nil && !n.isSame(info) && !n.IsRoot() {
		err = syscall.ESTALE
	}
	if err != nil {
		return errnoOf(err)
	}
	n.refresh(info)
	n.fill(&out.Attr)
	return 0
}

// statValidFor is how much longer stat may be used; 0: it is too old, or from before the last change by this machine.
func (n *node) statValidFor() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.identity.isFolder || n.statAt.Before(n.changedAt) {
		return 0
	}
	return attributesFor - time.Since(n.statAt)
}

// freshStat reads the attributes by a handle if the file is open, else by its name, which may belong to a different file now.
func (n *node) freshStat(ctx context.Context) (fileInfo, error) {
	handles := n.handles()
	for _, h := range handles {
		if h.isOpened() {
			return h.stat(ctx)
		}
	}
	if info, ok := n.listedByParent(); ok {
		return info, nil
	}
	return atPath(ctx, n, reading, func(t client.Attempt, path string) (fileInfo, error) {
		info, err := statAt(t, path)
		if err == nil && !n.isSame(info) && !n.IsRoot() || len(handles) > 0 && isAbsent(err) {
			err = syscall.ESTALE
		}
		return info, err
	})
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := atPath(ctx, n, reading, func(t client.Attempt, path string) (smb2.FileFsInfo, error) { return t.Share.Space(path) })
	if err != nil {
		return errnoOf(err)
	}
	out.Bsize = uint32(space.BlockSize())
	out.Frsize = out.Bsize
	out.Blocks, out.Bfree, out.Bavail = space.TotalBlockCount(), space.FreeBlockCount(), space.AvailableBlockCount()
	out.NameLen = nameAtMost
	return 0
}
