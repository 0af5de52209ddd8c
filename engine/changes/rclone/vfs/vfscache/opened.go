package vfscache

import "github.com/rclone/rclone/fs"

// _stays makes o, which was sent, what the item is of: the VFS, which is told
// of it just then, may have opened the item as what it was before.
//
// call with the lock held
func (item *Item) _stays(o fs.Object) {
	if o.Remote() == item.name {
		item.o = o
	}
}
