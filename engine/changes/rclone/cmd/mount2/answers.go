//go:build linux || (darwin && amd64)

package mount2

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/rclone/rclone/vfs"
)

// RENAME_NOREPLACE of renameat2(2)
const renameNoReplace = 1

// mayRename returns why an entry must not be renamed. A folder may take the place of an empty one alone: the VFS would
// move its files into the other.
func mayRename(oldDir *vfs.Dir, oldName string, newDir *vfs.Dir, newName string, flags uint32) syscall.Errno {
	if flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	old, err := oldDir.Stat(oldName)
	if err != nil {
		return translateError(err)
	}
	target, err := newDir.Stat(newName)
	if err == vfs.ENOENT || target == old {
		return 0
	} else if err != nil {
		return translateError(err)
	}
	if flags == renameNoReplace {
		return syscall.EEXIST
	}
	if target.IsDir() {
		return translateError(target.Remove())
	}
	return 0
}

// Fsync of a folder: all of it is done at once. Without this, fsync of a folder fails.
func (n *Node) Fsync(ctx context.Context, f fusefs.FileHandle, flags uint32) syscall.Errno {
	if file, ok := f.(*FileHandle); ok {
		return file.Fsync(ctx, flags)
	}
	return 0
}

var _ = (fusefs.NodeFsyncer)((*Node)(nil))

// Link refuses hard links as other file systems without them do.
func (n *Node) Link(ctx context.Context, target fusefs.InodeEmbedder, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

var _ = (fusefs.NodeLinker)((*Node)(nil))
