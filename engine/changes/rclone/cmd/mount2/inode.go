//go:build linux || (darwin && amd64)

package mount2

import (
	"hash/fnv"
	"sync"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/rclone/rclone/vfs"
)

const rootIno = 1

// inodes gives each node that the kernel knows an inode number of its own.
//
// The number follows from the path where the node was first seen, so that it is the same after a remount and readdir
// can tell it before anyone looks the node up. A node keeps it when it is renamed. If a node that went elsewhere, or
// that is deleted and still open, has the number of the path, the next one is taken.
type inodes struct {
	mu    sync.Mutex
	nodes map[uint64]*Node
}

// numberOf returns the number of a node that is first seen at a path. Called with the lock.
func (i *inodes) numberOf(path string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	for {
		ino := hash.Sum64()
		// go-fuse keeps the highest for itself, and programs take 0 for a deleted entry.
		if _, taken := i.nodes[ino]; !taken && ino > rootIno && ino != ^uint64(0) {
			return ino
		}
		_, _ = hash.Write([]byte{0})
	}
}

// nodeOf returns the node of a file or folder, which is made if the kernel knows none.
func (i *inodes) nodeOf(fsys *FS, vfsNode vfs.Node) *Node {
	if node, ok := vfsNode.Aux(fsys).(*Node); ok {
		return node
	}
	// The path is asked for without the lock, because a folder that is being listed does not tell it.
	path := vfsNode.Path()
	i.mu.Lock()
	defer i.mu.Unlock()
	if node, ok := vfsNode.Aux(fsys).(*Node); ok {
		return node
	}
	node := &Node{node: vfsNode, fsys: fsys, ino: i.numberOf(path)}
	i.nodes[node.ino] = node
	vfsNode.SetAux(fsys, node)
	return node
}

// peek returns the number that a look-up of the file or folder gives.
func (i *inodes) peek(fsys *FS, vfsNode vfs.Node) uint64 {
	if node, ok := vfsNode.Aux(fsys).(*Node); ok {
		return node.ino
	}
	path := vfsNode.Path()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.numberOf(path)
}

// forget is called when the kernel knows a node no more.
func (i *inodes) forget(node *Node) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.nodes[node.ino] == node {
		delete(i.nodes, node.ino)
		node.node.SetAux(node.fsys, nil)
	}
}

// stable identifies a node for go-fuse. The generation tells nodes apart that have had the same inode number.
func (n *Node) stable(mode uint32) fusefs.StableAttr {
	return fusefs.StableAttr{Mode: mode, Ino: n.ino, Gen: n.node.Inode()}
}

// parentIno returns the number of the folder that a node is in; the root is in itself.
func (n *Node) parentIno() uint64 {
	_, parent := n.Parent()
	if parent == nil {
		return n.ino
	}
	return parent.StableAttr().Ino
}

// HoldsNode keeps the VFS node for as long as the kernel knows this one.
func (n *Node) HoldsNode() {}

var _ = (vfs.Holder)((*Node)(nil))

// OnForget is called when the kernel knows the node no more.
func (n *Node) OnForget() {
	n.fsys.inodes.forget(n)
}

var _ = (fusefs.NodeOnForgetter)((*Node)(nil))
