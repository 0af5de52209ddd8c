package mount

import (
	"context"
	"errors"
	"log"
	"sync"
	"sync/atomic"
	"syscall"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
)

// The most that one request copies, so that a program that copies can be killed.
const copiedAtMost = 16 << 20

var _ fs.NodeCopyFileRanger = (*node)(nil)

// copies is what is known of the server's own copying.
type copies struct {
	limits atomic.Pointer[smb2.CopyLimits]
	// The server that has none.
	without atomic.Pointer[client.Conn]
	say     sync.Once
}

// CopyFileRange lets the server copy. With ENOTSUP the kernel copies by bytes.
func (n *node) CopyFileRange(ctx context.Context, in fs.FileHandle, offIn uint64, _ *fs.Inode, out fs.FileHandle, offOut, length, _ uint64) (uint32, syscall.Errno) {
	from, isFile := in.(*handle)
	to, isFileToo := out.(*handle)
	if !isFile || !isFileToo {
		return 0, syscall.ENOTSUP
	}
	defer to.node.wrote()
	copied, err := to.copyFrom(ctx, from, int64(offIn), int64(offOut), int(min(length, copiedAtMost)))
	return uint32(copied), errnoOf(err)
}

func (h *handle) copyFrom(ctx context.Context, from *handle, offIn, offOut int64, length int) (int, error) {
	turn, err := h.node.order.enter(ctx, offOut+int64(length) > h.node.size())
	if err != nil {
		return 0, err
	}
	defer turn.leave()
	return onWriter(ctx, h, func(t client.Attempt, file *smb2.Handle) (int, error) {
		defer turn.begin()()
		from, leave := from.inUse()
		defer leave()
		h.node.locks.writing(nil, 0)
		source, err := from.openedOn(t.Conn)
		if err != nil {
			return 0, err
		}
		at, err := lookBy(t, source)
		if err != nil {
			return 0, err
		}
		left := min(int64(length), at.seen.EndOfFile-offIn)
		if left <= 0 {
			return 0, nil
		}
		if err := h.checkRepeated(t, file); err != nil {
			return 0, err
		}
		copied, err := h.node.share.copies.copy(t, source, file, offIn, offOut, int(left))
		if copied > 0 {
			h.wroteOn(t, offOut+int64(copied))
		}
		return copied, err
	})
}

func (c *copies) copy(t client.Attempt, source, file *smb2.Handle, offIn, offOut int64, length int) (int, error) {
	if c.without.Load() == t.Conn {
		return 0, syscall.ENOTSUP
	}
	limits := smb2.UsualCopyLimits
	if known := c.limits.Load(); known != nil {
		limits = *known
	}
	copied, limits, err := file.CopyFrom(source, offIn, offOut, length, limits)
	c.limits.Store(&limits)
	if errors.Is(err, smb2.ErrNoCopy) {
		c.without.Store(t.Conn)
		c.say.Do(func() { log.Print("the server copies no files by itself: their bytes cross the network") })
		return 0, syscall.ENOTSUP
	}
	switch errnoOf(err) {
	case syscall.EACCES, syscall.EINVAL, syscall.EXDEV:
		// By bytes it may be allowed; else that says why it is not.
		err = syscall.ENOTSUP
	}
	return copied, err
}
