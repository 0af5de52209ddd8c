package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// How calls of the repeater are answered: as if they had been executed, without a request to the server.

// repeatedHandle is a file that the repeater has open, which it can only close.
type repeatedHandle struct{}

func (n *node) lookupRepeated(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	r := &n.share.repeats
	r.mu.Lock()
	isAbsent, info, expected := r.absent == call{folder: n, name: name}, r.at, r.expected
	r.mu.Unlock()
	if isAbsent {
		return nil, syscall.ENOENT
	}
	child := n.childOf(name)
	if child == nil {
		// The kernel does not know the file that has changed or is removed.
		if len(expected) == 0 || expected[0].folder != n || expected[0].name != name || info.stat == nil {
			return nil, syscall.ENOENT
		}
		child = n.child(ctx, name, info).Operations().(*node)
	}
	child.fill(&out.Attr)
	return child.EmbeddedInode(), 0
}

// newRepeated answers a call that creates a file or folder.
func (n *node) newRepeated(ctx context.Context, do, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	info, errno := n.share.repeats.consume(call{do: do, folder: n, name: name})
	if errno != 0 {
		return nil, errno
	}
	child := n.child(ctx, name, info)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

// consumeForFile is consume for a call on a file, which has no name.
func (n *node) consumeForFile(do string) syscall.Errno {
	parent, name := n.folder()
	if parent == nil {
		return syscall.EPERM
	}
	_, errno := n.share.repeats.consume(call{do: do, folder: parent, name: name})
	return errno
}

// consumeForName is consume for a call on a name.
func (n *node) consumeForName(do, name string) syscall.Errno {
	_, errno := n.share.repeats.consume(call{do: do, folder: n, name: name})
	return errno
}
