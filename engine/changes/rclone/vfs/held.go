package vfs

// Holder is implemented by values of SetAux whose node must stay the one of its path.
type Holder interface {
	HoldsNode()
}

// heldItems returns the directory entries that are not forgotten with a directory.
//
// The kernel keeps working folders and open files. If their directory had other nodes for them from then on, what is
// made through the one would not be seen through the other, and the kernel would drop what it keeps of them.
func heldItems(items map[string]Node) map[string]Node {
	held := make(map[string]Node)
	for name, node := range items {
		if node.(interface{ isHeld() bool }).isHeld() {
			held[name] = node
		}
	}
	return held
}

func (a *aux) isHeld() bool {
	entries := a.entries.Load()
	if entries == nil {
		return false
	}
	for _, entry := range *entries {
		if _, ok := entry.value.(Holder); ok {
			return true
		}
	}
	return false
}
