package mount

import (
	"context"
	"errors"
	"log"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// The most that one request copies, so that a program that copies can be killed.
const copiedAtMost = 16 << 20

var _ fs.NodeCopyFileRanger = (*node)(nil)

// copies is what is known of server-side copying.
type copies struct {
	limits atomic.Pointer[smb2.CopyLimits]
	// A connection whose server has no server-side copy.
	unsupportedOn atomic.Pointer[client.Conn]
	logOnce       sync.Once
}

// CopyFileRange has the server copy. After ENOTSUP the kernel reads and writes the bytes.
func (n *node) CopyFileRange(ctx context.Context, in fs.FileHandle, offIn uint64, _ *fs.Inode, out fs.FileHandle, offOut, length, _ uint64) (uint32, syscall.Errno) {
	from, isFile := in.(*handle)
	to, isFileToo := out.(*handle)
	if !isFile || !isFileToo {
		return 0, syscall.ENOTSUP
	}
	defer to.node.contentChanged()
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
		from, release := from.acquire()
		defer release()
		h.node.locks.rememberBytes(nil, 0)
		source, err := from.openedOn(t.Conn)
		if err != nil {
			return 0, err
		}
		info, err := statBy(t, source)
		if err != nil {
			return 0, err
		}
		left := min(int64(length), info.stat.EndOfFile-offIn)
		if left <= 0 {
			return 0, nil
		}
		if err := h.checkRetry(t, file); err != nil {
			return 0, err
		}
		sent := time.Now()
		copied, err := h.node.share.copies.copy(t, source, file, offIn, offOut, int(left))
		if copied > 0 || smb.IsLoss(err) {
			h.wroteOn(t, sent, offOut, int(copied), err)
		}
		return copied, err
	})
}

func (c *copies) copy(t client.Attempt, source, file *smb2.Handle, offIn, offOut int64, length int) (int, error) {
	if c.unsupportedOn.Load() == t.Conn {
		return 0, syscall.ENOTSUP
	}
	limits := smb2.UsualCopyLimits
	if known := c.limits.Load(); known != nil {
		limits = *known
	}
	copied, limits, err := file.CopyFrom(source, offIn, offOut, length, limits)
	c.limits.Store(&limits)
	if errors.Is(err, smb2.ErrNoCopy) {
		c.unsupportedOn.Store(t.Conn)
		c.logOnce.Do(func() { log.Print("the server has no server-side copy: copied bytes cross the network") })
		return 0, syscall.ENOTSUP
	}
	switch errnoOf(err) {
	case syscall.EACCES, syscall.EINVAL, syscall.EXDEV:
		// Reading and writing may be allowed; if not, that gives the right error.
		err = syscall.ENOTSUP
	}
	return copied, err
}
