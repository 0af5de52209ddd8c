package vfs

import (
	"os"
	"time"

	"github.com/rclone/rclone/vfs/vfscache"
)

// readUnsent reads from the cache what programs have written of the file and
// what is not sent yet, also for who opened the file before. The kernel has
// one page for all of them.
func (f *File) readUnsent(p []byte, off int64) (n int, isUnsent bool, err error) {
	f.mu.RLock()
	d, isUnsent := f.d, !vfscache.IsRemoved(f.leaf) && f._isUnsent()
	f.mu.RUnlock()
	if !isUnsent {
		return 0, false, nil
	}
	fh, err := newRWFileHandle(d, f, os.O_RDONLY)
	if err != nil {
		return 0, true, err
	}
	n, err = fh.ReadAt(p, off)
	if closeErr := fh.Close(); err == nil {
		err = closeErr
	}
	return n, true, err
}

// wasSent returns whether the file was sent since what is read of it was
// asked for
//
// call with the lock held
func (fh *ReadFileHandle) wasSent() bool {
	fh.file.mu.RLock()
	defer fh.file.mu.RUnlock()
	if fh.file.sent.Before(fh.asked) || fh.file.o == nil {
		return false
	}
	fh.asked = time.Now()
	fh.size = nonNegative(fh.file.o.Size())
	return true
}
