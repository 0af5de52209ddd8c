package main

import (
	"context"
	"hash/fnv"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// What the kernel may believe without asking, so that the changes of others are seen.
var attributesFor = time.Second

// node is a file or folder at a path. Its path follows what the kernel knows, for handles that are opened again.
type node struct {
	fs.Inode
	server *server
	is     identity

	mu   sync.Mutex
	seen *smb2.FileStat
	open map[*handle]struct{}
}

var (
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeStatfser       = (*node)(nil)
	_ fs.FileReader         = (*handle)(nil)
	_ fs.FileReleaser       = (*handle)(nil)
	_ fs.FileReaddirenter   = (*listing)(nil)
	_ fs.FileLookuper       = (*listing)(nil)
	_ fs.FileSeekdirer      = (*listing)(nil)
)

func mountAt(s *server, o options) (*fuse.Server, error) {
	c, err := s.connected(context.Background())
	if err != nil {
		return nil, err
	}
	seen, err := c.share.Look("")
	if err != nil {
		return nil, err
	}
	s.options = o
	root := &node{server: s, is: identityOf(c, seen), seen: seen}
	mount, err := fs.Mount(o.folder, root, &fs.Options{
		MountOptions: fuse.MountOptions{
			FsName: o.source,
			Name:   "mountaineer-fs",
			// The kernel checks the modes.
			Options:       []string{"ro", "nosuid", "nodev", "default_permissions"},
			AllowOther:    o.allowOther,
			MaxBackground: 64,
			MaxWrite:      chunkAtMost,
			DisableXAttrs: true,
		},
		AttrTimeout:     &attributesFor,
		EntryTimeout:    &attributesFor,
		NullPermissions: true,
	})
	if err != nil {
		return nil, failure{"fuse", err}
	}
	return mount, nil
}

func (n *node) path() string { return n.Path(nil) }

func (n *node) size() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen.EndOfFile
}

// saw: what was read ahead of a file that has changed is dropped before the kernel hears of the change.
func (n *node) saw(seen *smb2.FileStat) {
	n.mu.Lock()
	before := n.seen
	n.seen = seen
	isSame := before.EndOfFile == seen.EndOfFile && before.LastWriteTime.Equal(seen.LastWriteTime) &&
		before.ChangeTime.Equal(seen.ChangeTime)
	var open []*handle
	for h := range n.open {
		open = append(open, h)
	}
	n.mu.Unlock()
	if isSame {
		return
	}
	for _, h := range open {
		h.ahead.drop()
	}
}

func (n *node) fill(out *fuse.Attr, seen *smb2.FileStat) {
	o := n.server.options
	out.Mode, out.Uid, out.Gid = o.fileMode, o.uid, o.gid
	if seen.IsDir() {
		out.Mode = o.dirMode
	}
	out.Size = uint64(seen.EndOfFile)
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = chunkAtMost
	out.Nlink = 1
	out.SetTimes(&seen.LastAccessTime, &seen.LastWriteTime, &seen.ChangeTime)
}

// child: the generation tells files apart that have one id, as in snapshots within a share, and an id that was given again.
func (n *node) child(ctx context.Context, name string, is identity, seen *smb2.FileStat) *fs.Inode {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path.Join(n.path(), name)))
	_, _ = hash.Write(is.server[:])
	attr := fs.StableAttr{Mode: syscall.S_IFREG, Ino: is.id, Gen: hash.Sum64() ^ uint64(is.created)}
	if seen.IsDir() {
		attr.Mode = syscall.S_IFDIR
	}
	// 1 is the root's, and what is above all is the highest that counts.
	if attr.Ino <= 1 {
		attr.Ino = hash.Sum64() | 1<<63
	}
	if old := n.GetChild(name); old != nil && old.StableAttr() == attr {
		old.Operations().(*node).saw(seen)
		return old
	}
	return n.NewInode(ctx, &node{server: n.server, is: is, seen: seen}, attr)
}

type found struct {
	is   identity
	seen *smb2.FileStat
}

func (n *node) look(ctx context.Context, where string) (found, error) {
	return ask(ctx, n.server, func(c *connection) (found, error) {
		seen, err := c.share.Look(where)
		if err != nil {
			return found{}, err
		}
		return found{identityOf(c, seen), seen}, nil
	})
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at, err := n.look(ctx, path.Join(n.path(), name))
	if err != nil {
		return nil, errnoOf(err)
	}
	n.fill(&out.Attr, at.seen)
	return n.child(ctx, name, at.is, at.seen), 0
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	var seen *smb2.FileStat
	var err error
	if h, ok := f.(*handle); ok {
		seen, err = h.look(ctx)
	} else {
		var at found
		at, err = n.look(ctx, n.path())
		seen = at.seen
		if err == nil && at.is != n.is && !n.IsRoot() {
			return syscall.ESTALE
		}
	}
	if err != nil {
		return errnoOf(err)
	}
	n.saw(seen)
	n.fill(&out.Attr, seen)
	return 0
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	h, err := openHandle(ctx, n)
	if err != nil {
		return nil, 0, errnoOf(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[*handle]struct{}{}
	}
	n.open[h] = struct{}{}
	return h, 0, 0
}

func (h *handle) Release(context.Context) syscall.Errno {
	h.node.mu.Lock()
	delete(h.node.open, h)
	h.node.mu.Unlock()
	h.release()
	return 0
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := ask(ctx, n.server, func(c *connection) (smb2.FileFsInfo, error) { return c.share.Statfs("") })
	if err != nil {
		return errnoOf(err)
	}
	out.Bsize = uint32(space.BlockSize())
	out.Frsize = out.Bsize
	out.Blocks, out.Bfree, out.Bavail = space.TotalBlockCount(), space.FreeBlockCount(), space.AvailableBlockCount()
	out.NameLen = 255
	return 0
}

// listing is a folder as it was when it was opened.
type listing struct {
	node    *node
	server  [16]byte
	asked   time.Time
	entries []os.FileInfo
	at      int
}

func (n *node) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	l, err := ask(ctx, n.server, func(c *connection) (*listing, error) {
		l := &listing{node: n, server: c.session.ServerGuid(), asked: time.Now()}
		folder, err := c.share.Open(n.path())
		if err != nil {
			return nil, err
		}
		l.entries, err = folder.Readdir(0)
		go folder.Close()
		return l, err
	})
	if err != nil {
		return nil, 0, errnoOf(err)
	}
	return l, 0, 0
}

func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if l.at >= len(l.entries)+2 {
		return nil, 0
	}
	l.at++
	entry := fuse.DirEntry{Off: uint64(l.at), Mode: syscall.S_IFDIR, Name: ".", Ino: l.node.StableAttr().Ino}
	if l.at == 2 {
		entry.Name = ".."
	}
	if l.at > 2 {
		seen := l.entries[l.at-3].(*smb2.FileStat)
		entry.Name, entry.Ino = seen.FileName, seen.FileId
		if !seen.IsDir() {
			entry.Mode = syscall.S_IFREG
		}
	}
	return &entry, 0
}

func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(len(l.entries)+2) {
		return syscall.EINVAL
	}
	l.at = int(off)
	return 0
}

// Lookup is asked for the entry that was read last.
func (l *listing) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	seen := l.entries[l.at-3].(*smb2.FileStat)
	if seen.FileName != name || time.Since(l.asked) > attributesFor {
		return l.node.Lookup(ctx, name, out)
	}
	l.node.fill(&out.Attr, seen)
	return l.node.child(ctx, name, identity{l.server, seen.FileId, seen.CreationTime.UnixNano()}, seen), 0
}
