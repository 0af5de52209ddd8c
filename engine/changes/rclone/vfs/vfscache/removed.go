package vfscache

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/rclone/rclone/fs"
)

// A removed file that programs have open goes on under a name that no path
// has. So nothing of it meets a new file at the path, and nothing of it is
// noted or sent.
const removedMark = "\x00removed "

var removals atomic.Uint64

// IsRemoved returns whether this is the name of a file that was removed
func IsRemoved(name string) bool {
	return strings.HasPrefix(name, removedMark)
}

// keptAtMost bounds what a removal waits for, and what it takes of the disk
var keptAtMost int64 = 256 << 20

// Keep brings all of a file that is open into the cache, because the remote's
// is about to be removed. Of one that lacks more than keptAtMost, what it
// lacks cannot be read any more.
func (c *Cache) Keep(name string) {
	c.mu.Lock()
	item := c.item[clean(name)]
	c.mu.Unlock()
	if item == nil {
		return
	}
	item.preAccess()
	defer item.postAccess()
	item.mu.Lock()
	defer item.mu.Unlock()
	if item.opens == 0 || item.o == nil || item.info.Size-item.info.Rs.Size() > keptAtMost {
		return
	}
	if err := item._ensure(0, item.info.Size); err != nil {
		fs.Errorf(item.name, "vfs cache: removed while open, and not all of it can be read: %v", err)
	}
}

// Detach is called when the file at this path was removed or replaced. It
// returns the name under which programs that have it open go on with it.
func (c *Cache) Detach(name string) (newName string) {
	name = clean(name)
	newName = fmt.Sprintf("%s%d", removedMark, removals.Add(1))
	c.mu.Lock()
	item := c.item[name]
	delete(c.item, name)
	c.mu.Unlock()
	if item == nil {
		return newName
	}
	item.preAccess()
	defer item.postAccess()
	if item.detach(newName) {
		c.put(newName, item)
	}
	return newName
}

// detach returns whether the item is open
func (item *Item) detach(newName string) (isOpen bool) {
	item.mu.Lock()
	defer item.mu.Unlock()
	isOpen = item.opens > 0
	if !isOpen {
		item._remove("file removed")
		item.name = newName
		return false
	}
	downloaders, id := item.downloaders, item.writeBackID
	item.downloaders = nil
	item.mu.Unlock()
	item.c.writeback.Remove(id)
	if downloaders != nil {
		_ = downloaders.Close(nil)
	}
	item.mu.Lock()
	item._removeFile("file removed")
	item._removeMeta("file removed")
	item.name = newName
	item.o = nil
	item.info.Fingerprint = ""
	item.info.Dirty = true // the cleaner leaves it alone
	return true
}

// _discard ends a removed file with its last handle
//
// call with the lock held
func (item *Item) _discard() (err error) {
	downloaders := item.downloaders
	item.downloaders = nil
	item.mu.Unlock()
	if downloaders != nil {
		_ = downloaders.Close(nil)
	}
	item.c.mu.Lock()
	if item.c.item[item.name] == item {
		delete(item.c.item, item.name)
	}
	item.c.mu.Unlock()
	item.mu.Lock()
	if item.fd != nil {
		err = item.fd.Close()
		item.fd = nil
	}
	item._removeFile("file removed")
	item.info.clean()
	return err
}
