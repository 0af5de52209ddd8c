package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// How the calls of the repeater are answered: from memory, and as if they had been done.

// repeatedHandle is what the repeater has open. It can do nothing with it but close it.
type repeatedHandle struct{}

func (n *node) lookupRepeated(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	r := &n.share.repeats
	r.mu.Lock()
	isAbsent, at, expected := r.absent == call{folder: n, name: name}, r.at, r.expected
	r.mu.Unlock()
	if isAbsent {
		return nil, syscall.ENOENT
	}
	child := n.childOf(name)
	if child == nil {
		// The kernel does not know what has changed or gone.
		if len(expected) == 0 || expected[0].folder != n || expected[0].name != name || at.seen == nil {
			return nil, syscall.ENOENT
		}
		child = n.child(ctx, name, at).Operations().(*node)
	}
	child.fill(&out.Attr)
	return child.EmbeddedInode(), 0
}

// newRepeated is what another client has made there.
func (n *node) newRepeated(ctx context.Context, do, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at, errno := n.share.repeats.take(call{do: do, folder: n, name: name})
	if errno != 0 {
		return nil, errno
	}
	child := n.child(ctx, name, at)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

// takeOf is take for a call on a file, which has no name in it.
func (n *node) takeOf(do string) syscall.Errno {
	parent, name := n.folder()
	if parent == nil {
		return syscall.EPERM
	}
	_, errno := n.share.repeats.take(call{do: do, folder: parent, name: name})
	return errno
}

// takeIn is take for a call on a name.
func (n *node) takeIn(do, name string) syscall.Errno {
	_, errno := n.share.repeats.take(call{do: do, folder: n, name: name})
	return errno
}
