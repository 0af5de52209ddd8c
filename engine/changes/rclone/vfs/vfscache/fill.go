package vfscache

import (
	"os"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/file"
)

// _fill brings what the cache file lacks of the remote's file. Without that,
// zeros would be sent in its place: after the rename of a folder, or where
// the remote did not answer when the file was loaded.
//
// call with the lock held, and the file open
func (item *Item) _fill() error {
	if item._present() {
		return nil
	}
	if item.o == nil {
		var o fs.Object
		var err error
		name := item.name
		unlockMutexForCall(&item.mu, func() { o, err = item.c.fremote.NewObject(item.c.ctx, name) })
		if isMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		item.o = o
	}
	return item._ensure(0, item.info.Size)
}

// _fillClosed is _fill for a file that may be closed
//
// call with the lock held
func (item *Item) _fillClosed() error {
	if item.fd != nil {
		return item._fill()
	}
	if item._present() || !item._exists() {
		return nil
	}
	fd, err := file.OpenFile(item.c.toOSPath(item.name), os.O_RDWR, 0600)
	if err != nil {
		return err
	}
	item.fd = fd
	item.closing = make(chan struct{}) // who opens it waits
	err = item._fill()
	downloaders := item.downloaders
	item.downloaders = nil
	if downloaders != nil {
		unlockMutexForCall(&item.mu, func() { _ = downloaders.Close(nil) })
	}
	if closeErr := fd.Close(); err == nil {
		err = closeErr
	}
	item.fd = nil
	item._setModTime(item.info.ModTime)
	close(item.closing)
	item.closing = nil
	return err
}
