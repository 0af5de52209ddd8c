package vfs

import "github.com/rclone/rclone/fs"

// pinner is implemented by objects that can tell another file of their name
type pinner interface {
	NewPin() any
	Pinned(to any) fs.Object
}

// object returns the remote's file, at the name that it has now. All that is
// opened of it is the same file. Call with the lock held.
func (fh *ReadFileHandle) object() fs.Object {
	o := fh.file.getObject()
	p, ok := o.(pinner)
	if !ok {
		return o
	}
	if fh.pin == nil {
		fh.pin = p.NewPin()
	}
	return p.Pinned(fh.pin)
}
