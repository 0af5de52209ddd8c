package mount

import (
	"context"
	"hash/fnv"
	"path"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

// Lookup finds the node of a name, or makes one: a file has one node for each spelling of its name.

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

func (n *node) statPath(ctx context.Context, path string) (fileInfo, error) {
	return query(ctx, n.share, func(t client.Attempt) (fileInfo, error) { return statAt(t, path) })
}

// child is the node of the file that the server has at that name: the one that the kernel knows there or by another name of the file, or a new
// one.
func (n *node) child(ctx context.Context, name string, info fileInfo) *fs.Inode {
	n.names.forgetRemoved(name)
	if old := n.childOf(name); old != nil && old.isSame(info) {
		old.refresh(info)
		return old.EmbeddedInode()
	}
	attr := n.attrFor(name, info)
	// The library would answer a known node with that attr in place of a new one, also that of an earlier file with the same id and name.
	for known := n.share.known.find(info.stat.FileId, attr); known != nil; known = n.share.known.find(info.stat.FileId, attr) {
		if known.isSame(info) {
			known.refresh(info)
			return known.EmbeddedInode()
		}
		attr.Gen++
	}
	child := &node{share: n.share}
	child.storeStat(info)
	inode := n.NewInode(ctx, child, attr)
	n.share.known.add(child, info.stat.FileId)
	return inode
}

// attrFor is what identifies a node to the library. Generations distinguish files with the same id: those of snapshots, and later files that got
// the id again. A different spelling of a name is a separate node with the same inode number: with the same node, the kernel would take a
// change of the spelling for a rename of a file over itself, and do nothing.
func (n *node) attrFor(name string, info fileInfo) fs.StableAttr {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte{byte(info.server)})
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
