package mount

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/identity"
)

// known has the nodes that the kernel knows, by the id of their file.
type known struct {
	mu    sync.Mutex
	nodes map[uint64][]*node
}

func (k *known) add(n *node, id uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nodes == nil {
		k.nodes = map[uint64][]*node{}
	}
	if !slices.Contains(k.nodes[id], n) {
		k.nodes[id] = append(k.nodes[id], n)
	}
}

// find returns a node with that attr; nil: there is none.
func (k *known) find(id uint64, attr fs.StableAttr) *node {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, each := range k.nodes[id] {
		if each.StableAttr() == attr {
			return each
		}
	}
	return nil
}

func (k *known) remove(n *node) {
	id := n.id()
	k.mu.Lock()
	defer k.mu.Unlock()
	left := slices.DeleteFunc(k.nodes[id], func(each *node) bool { return each == n })
	if len(left) == 0 {
		delete(k.nodes, id)
	} else {
		k.nodes[id] = left
	}
}

// othersOf are other nodes of the same file: other spellings of its name, or hard links.
func (k *known) othersOf(n *node) []*node {
	id := n.id()
	k.mu.Lock()
	same := k.nodes[id]
	if len(same) == 0 || len(same) == 1 && same[0] == n {
		k.mu.Unlock()
		return nil
	}
	same = slices.Clone(same)
	k.mu.Unlock()
	return slices.DeleteFunc(same, func(each *node) bool { return each == n || !each.isFileOf(n) })
}

// entries are files by which the server is recognized: the open ones, then those that have been unchanged for longest.
func (k *known) entries() []identity.Entry {
	k.mu.Lock()
	nodes := slices.Concat(slices.Collect(maps.Values(k.nodes))...)
	k.mu.Unlock()
	var open, others []identity.Entry
	for _, each := range nodes {
		path, err := each.serverPath()
		if err != nil || path == "" || isVersion(path) {
			continue
		}
		each.mu.Lock()
		entry := identity.EntryOf(path, each.stat)
		isOpen := len(each.open) > 0
		if !each.times.wrote.IsZero() {
			// The server's time is unknown.
			entry.Written = 0
		}
		each.mu.Unlock()
		switch {
		case isOpen:
			open = append(open, entry)
		case !entry.Folder:
			others = append(others, entry)
		}
	}
	slices.SortFunc(others, func(a, b identity.Entry) int { return cmp.Compare(a.Written, b.Written) })
	all := append(open, others...)
	return all[:min(len(all), identity.EntriesAtMost)]
}

// isSpelling: for a server that ignores case or the form of accents, the names may be the same.
func isSpelling(one, other string) bool {
	if strings.EqualFold(one, other) {
		return true
	}
	return !isASCII(one) && !isASCII(other)
}

func isASCII(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
