package mount

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
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

// last is which file this is, and its attributes, as the server sent them last.
func (n *node) last() (fileIdentity, *smb2.FileStat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity, n.stat
}

func (n *node) isSame(info fileInfo) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity.isSame(info, n.stat, n.times.wrote)
}

// isFileOf: both nodes are the same file, by two names.
func (n *node) isFileOf(other *node) bool {
	mine, _ := n.last()
	its, _ := other.last()
	return mine.id == its.id && mine.server == its.server && mine.isFolder == its.isFolder && mine.created == its.created
}

func (n *node) id() uint64 {
	identity, _ := n.last()
	return identity.id
}

func (n *node) isFolder() bool {
	identity, _ := n.last()
	return identity.isFolder
}

func (n *node) size() int64 {
	_, stat := n.last()
	return stat.EndOfFile
}

func (n *node) handles() []*handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.open))
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

// OnForget: the kernel has forgotten the node.
func (n *node) OnForget() { n.share.known.remove(n) }
