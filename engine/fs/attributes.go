package main

import (
	"context"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Setattr changes length and times. Modes and owners are configured: a change of them succeeds, and nothing happens, because cp -p, tar and
// rsync would else fail for each file.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	h := n.writer(f)
	if size, ok := in.GetSize(); ok {
		if err := n.resize(ctx, h, int64(size)); err != nil {
			return errnoOf(err)
		}
	}
	if accessed, written := timesIn(in); !accessed.IsZero() || !written.IsZero() {
		if err := n.setTimes(ctx, h, accessed, written); err != nil {
			return errnoOf(err)
		}
	}
	var current fs.FileHandle
	if h != nil {
		current = h
	}
	errno := n.Getattr(ctx, current, out)
	out.SetTimeout(attributesFor)
	return errno
}

// writer is that handle or another open one that may write, if there is one: the file may have no name any more.
func (n *node) writer(f fs.FileHandle) *handle {
	if h, ok := f.(*handle); ok && h.access&smb2.AccessWrite == smb2.AccessWrite {
		return h
	}
	for _, h := range n.handles() {
		if h.access&smb2.AccessWrite == smb2.AccessWrite && !h.isReleased() {
			return h
		}
	}
	return nil
}

func (n *node) resize(ctx context.Context, h *handle, size int64) (err error) {
	n.changed()
	if h != nil {
		_, err = onFile(ctx, h, func(_ *connection, file *smb2.File) (struct{}, error) { return struct{}{}, file.Truncate(size) })
	} else {
		_, err = atPath(ctx, n, n.share.files, func(c *connection, path string) (*smb2.FileStat, error) { return c.share.Resize(path, size) })
	}
	n.wrote()
	return err
}

func timesIn(in *fuse.SetAttrIn) (accessed, written time.Time) {
	if at, ok := in.GetATime(); ok {
		accessed = at
	}
	if at, ok := in.GetMTime(); ok {
		written = at
	}
	return accessed, written
}

// setTimes also learns what the file's creation time is from now on: some servers have one that follows from the others.
func (n *node) setTimes(ctx context.Context, h *handle, accessed, written time.Time) error {
	if h != nil {
		_, err := onFile(ctx, h, func(_ *connection, file *smb2.File) (struct{}, error) {
			return struct{}{}, file.SetTimes(accessed, written)
		})
		n.wrote()
		return err
	}
	at, err := atPath(ctx, n, n.share.files, func(c *connection, path string) (found, error) {
		seen, err := c.share.SetTimes(path, accessed, written)
		if err != nil {
			return found{}, err
		}
		return found{identityOf(c, seen), seen}, nil
	})
	if err == nil {
		n.saw(at)
	}
	n.wrote()
	return err
}
