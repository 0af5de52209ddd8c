package mount

import (
	"context"
	"errors"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// readOnly is the DOS attribute; on folders it has no meaning.
const readOnly = 1

// Setattr changes length and times. Modes and owners are configured: a change of them does nothing but succeeds, because cp -p, tar and rsync would
// fail otherwise. Only chmod u+w has an effect: it clears the read-only attribute.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if isRepeated(ctx) {
		n.fill(&out.Attr)
		return n.acceptFileCall(changedFile)
	}
	if mode, ok := in.GetMode(); ok && mode&0o200 != 0 {
		if err := n.makeWritable(ctx); err != nil {
			return errnoOf(err)
		}
	}
	if size, ok := in.GetSize(); ok {
		if err := n.resize(ctx, n.writer(f), int64(size)); err != nil {
			return errnoOf(err)
		}
	}
	if accessed, written := n.share.timesIn(in); !accessed.IsZero() || !written.IsZero() {
		if err := n.setTimes(ctx, accessed, written); err != nil {
			return errnoOf(err)
		}
	}
	out.SetTimeout(attributesFor)
	return n.Getattr(ctx, f, out)
}

// resize changes the length by the handle h, or by path if that is nil.
func (n *node) resize(ctx context.Context, h *handle, size int64) error {
	turn, err := n.order.enter(ctx, true)
	if err != nil {
		return err
	}
	defer turn.leave()
	defer n.contentChanged()
	if h != nil {
		_, err = onWriter(ctx, h, func(t client.Attempt, file *smb2.Handle) (struct{}, error) {
			defer turn.begin()()
			if err := h.checkRetry(t, file); err != nil {
				return struct{}{}, err
			}
			n.locks.rememberBytes(nil, 0)
			return struct{}{}, n.resized(t, time.Now(), size, file.Resize(size))
		})
		return err
	}
	info, err := atPath(ctx, n, changing, func(t client.Attempt, path string) (fileInfo, error) {
		defer turn.begin()()
		if t.IsRetry && t.IsUncertain {
			return fileInfo{}, syscall.EIO
		}
		// The file may have been replaced.
		info, err := statAt(t, path)
		if err != nil {
			return fileInfo{}, err
		}
		if !n.isSame(info) {
			return fileInfo{}, syscall.ESTALE
		}
		stat, err := t.Share.Resize(path, size)
		return infoOrError(t.Conn, stat, err)
	})
	if err == nil && n.isSame(info) {
		n.storeStat(info)
	}
	return err
}

// resized: a new length was sent at that time. One without an answer also counts: it may still take effect (checkRetry).
func (n *node) resized(t client.Attempt, sent time.Time, size int64, err error) error {
	switch {
	case err == nil:
		n.writeAnswered(t.Conn, time.Now(), size, true)
	case smb.IsLoss(err):
		n.writeAnswered(t.Conn, sent, 0, false)
	}
	return err
}

// Allocate raises the length of a shorter file, as the kernel's SMB client does. SMB servers have no other fallocate operation.
func (h *handle) Allocate(ctx context.Context, off uint64, length uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.ENOTSUP
	}
	n := h.node
	turn, err := n.order.enter(ctx, true)
	if err != nil {
		return errnoOf(err)
	}
	defer turn.leave()
	end := int64(off + length)
	_, err = onWriter(ctx, h, func(t client.Attempt, file *smb2.Handle) (struct{}, error) {
		defer turn.begin()()
		info, err := statBy(t, file)
		if err != nil || info.stat.EndOfFile >= end {
			return struct{}{}, err
		}
		if err := h.checkRetry(t, file); err != nil {
			return struct{}{}, err
		}
		n.locks.rememberBytes(nil, 0)
		return struct{}{}, n.resized(t, time.Now(), end, file.Resize(end))
	})
	n.contentChanged()
	return errnoOf(err)
}

func (n *node) makeWritable(ctx context.Context) error {
	n.mu.Lock()
	attributes := n.stat.FileAttributes
	n.mu.Unlock()
	if attributes&readOnly == 0 || n.IsDir() {
		return nil
	}
	info, err := atPath(ctx, n, changing, func(t client.Attempt, path string) (fileInfo, error) {
		stat, err := t.Share.SetAttributes(path, attributes&^readOnly)
		return infoOrError(t.Conn, stat, err)
	})
	if err == nil && n.isSame(info) {
		n.storeStat(info)
	}
	return err
}

// timesIn are the times to set. The present is by the server's clock.
func (s *Share) timesIn(in *fuse.SetAttrIn) (accessed, written time.Time) {
	if at, ok := in.GetATime(); ok {
		accessed = at
	}
	if at, ok := in.GetMTime(); ok {
		written = at
	}
	now := time.Now().Add(s.client.ClockAhead())
	if changed := time.Unix(0, s.lastCloseTime.Load()); changed.After(now) {
		now = changed
	}
	if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
		accessed = now
	}
	if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		written = now
	}
	return accessed, written
}

// setTimes sets times by each handle that has written, else by path. A server that closes such a handle sets the file's time to what was set by it,
// or to the present, so closes under way are awaited first. The answer also has the creation time, which some servers derive from the others.
func (n *node) setTimes(ctx context.Context, accessed, written time.Time) error {
	n.awaitCloses(ctx)
	info, err := fileInfo{}, error(errNotOpen)
	for _, h := range n.handles() {
		// Not by handles of a locked file: a lost connection would then change its change time.
		isWanted := errors.Is(err, errNotOpen) && h.mayWrite() && n.locks.lockHandle.Load() == nil
		if !isWanted && !h.isDirty.Load() {
			continue
		}
		if set, e := h.setTimes(ctx, changing, accessed, written); !errors.Is(e, errNotOpen) {
			info, err = set, e
		}
	}
	if errors.Is(err, errNotOpen) {
		info, err = atPath(ctx, n, changing, func(t client.Attempt, path string) (fileInfo, error) {
			stat, err := t.Share.SetTimes(path, accessed, written)
			if err != nil {
				return fileInfo{}, err
			}
			info := infoOn(t.Conn, stat)
			if !n.isSame(info) && !n.IsRoot() {
				return fileInfo{}, syscall.ESTALE
			}
			return info, nil
		})
	}
	n.changed()
	if err != nil {
		return err
	}
	n.storeStat(info)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.times.set = info.at; !written.IsZero() {
		n.times.wrote = time.Time{}
	}
	return nil
}
