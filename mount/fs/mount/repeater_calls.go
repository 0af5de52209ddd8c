package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// How FUSE requests of the repeater are answered: as if they had been executed, without a request to the server, which has the change already. A call
// that no report has announced gets EPERM (repeats.accept).

// repeatedHandle is a file that the repeater has open, which it can only close.
type repeatedHandle struct{}

// lookupRepeated answers the lookup that comes before a call: a name that the call creates does not exist yet.
func (n *node) lookupRepeated(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	r := &n.share.repeats
	r.mu.Lock()
	isNew, info, expected := r.absent == call{folder: n, name: name}, r.at, r.expected
	r.mu.Unlock()
	if isNew {
		return nil, syscall.ENOENT
	}
	child := n.childOf(name)
	if child == nil {
		// The kernel does not know the file that the call changes or removes: only its report does.
		if len(expected) == 0 || expected[0].folder != n || expected[0].name != name || info.stat == nil {
			return nil, syscall.ENOENT
		}
		child = n.child(ctx, name, info).Operations().(*node)
	}
	child.fill(&out.Attr)
	return child.EmbeddedInode(), 0
}

// createRepeated answers a call that creates a file or folder.
func (n *node) createRepeated(ctx context.Context, do, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	info, errno := n.share.repeats.accept(call{do: do, folder: n, name: name})
	if errno != 0 {
		return nil, errno
	}
	child := n.child(ctx, name, info)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

// acceptFileCall accepts a call on the file n: a report names its folder and its name there.
func (n *node) acceptFileCall(do string) syscall.Errno {
	parent, name := n.folder()
	if parent == nil {
		return syscall.EPERM
	}
	return parent.acceptNameCall(do, name)
}

// acceptNameCall accepts a call on a name in the folder n.
func (n *node) acceptNameCall(do, name string) syscall.Errno {
	_, errno := n.share.repeats.accept(call{do: do, folder: n, name: name})
	return errno
}
