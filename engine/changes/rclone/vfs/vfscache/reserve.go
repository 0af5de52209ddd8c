package vfscache

import "github.com/rclone/rclone/fs"

// SetReserved notes that what the remote has at the path of this new file is
// empty, and only holds the name. It counts as not sent: renamed alone, it
// would replace what is at the new path by nothing. Call Dirty next.
func (item *Item) SetReserved(o fs.Object) {
	item.mu.Lock()
	item.info.Reserved = true
	item.info.Fingerprint = fs.Fingerprint(item.c.ctx, o, item.c.opt.FastFingerprint)
	item.mu.Unlock()
}

// IsReserved returns whether the remote only holds the name of this file
func (c *Cache) IsReserved(name string) bool {
	item := c.DirtyItem(name)
	if item == nil {
		return false
	}
	item.mu.Lock()
	defer item.mu.Unlock()
	return item.info.Reserved
}

// EndReserved is called when the remote holds the name no longer
func (c *Cache) EndReserved(name string) {
	if item := c.DirtyItem(name); item != nil {
		item.mu.Lock()
		if item.info.Reserved {
			item.info.Reserved = false
			item.info.Fingerprint = ""
		}
		item.mu.Unlock()
	}
}
