package vfs

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rclone/rclone/fs"
)

// reserver is implemented by remotes that create a file only if there is none,
// in one step, and fail with os.ErrExist otherwise
type reserver interface {
	Reserve(ctx context.Context, remote string) (fs.Object, error)
}

// reserve takes the name of a new file on the remote, where other clients may
// want it, too: with O_EXCL one of them gets it. What it creates there is
// empty, and only holds the name until the file is sent. cancel gives the name
// back if the file cannot be opened here.
func (f *File) reserve(d *Dir) (o fs.Object, cancel func(), err error) {
	cancel = func() {}
	remote, ok := d.Fs().(reserver)
	if !ok {
		return nil, cancel, nil
	}
	o, err = remote.Reserve(f.ctx, f.CachePath())
	if errors.Is(err, os.ErrExist) {
		d.forgetListing()
		return nil, cancel, EEXIST
	}
	if err != nil {
		return nil, cancel, err
	}
	return o, func() { _ = o.Remove(f.ctx) }, nil
}

// forgetListing lets the next look show what another client has made
func (d *Dir) forgetListing() {
	d.mu.Lock()
	d.read = time.Time{}
	d.mu.Unlock()
}
