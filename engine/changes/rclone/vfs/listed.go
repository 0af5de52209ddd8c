package vfs

import (
	"time"

	"github.com/rclone/rclone/fs"
)

// setListed sets what a listing tells of the file. One that was asked for
// before the file was sent may tell of the file before: what is opened next
// would be taken for a change by another client.
func (f *File) setListed(o fs.Object, asked time.Time) {
	f.mu.RLock()
	isOlder := !asked.IsZero() && asked.Before(f.sent)
	f.mu.RUnlock()
	if !isOlder {
		f.setObjectNoUpdate(o)
	}
}
