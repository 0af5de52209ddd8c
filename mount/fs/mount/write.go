package mount

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// A write goes to the server in parts of this size.
const partAtMost = 256 << 10

// Shorter writes come in a buffer that the library reuses even after a failure.
const copiedBelow = 128

// Write returns once the server has the bytes. An attempt may still run after the program was killed and Write has failed: a short write has its own
// copy, and the library does not reuse the buffer of a longer one that failed.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	defer h.node.pages.begin()()
	if len(data) < copiedBelow {
		data = bytes.Clone(data)
	}
	n, err := h.writeInOrder(ctx, data, off, h.appends && !isFromPages(ctx))
	if at := h.timeSetAt.Load(); at != 0 && time.Now().UnixNano()-at > int64(timesSlack) {
		// A descriptor was closed, which has set the time, and this one is still open.
		h.setWriteTime(ctx)
	}
	h.node.contentChanged()
	if n > 0 {
		return uint32(n), 0
	}
	return 0, errnoOf(err)
}

// writeInOrder writes in a turn. A write that grows the file is exclusive: a resize at the same time could cut off its bytes.
func (h *handle) writeInOrder(ctx context.Context, data []byte, off int64, isAppended bool) (n int, err error) {
	isGrowing := isAppended || off+int64(len(data)) > h.node.size()
	turn, err := h.node.order.enter(ctx, isGrowing)
	if err != nil {
		return 0, err
	}
	defer turn.leave()
	var op func(t client.Attempt, file *smb2.Handle) (int, error)
	if isAppended {
		op = h.appendOp(data, off)
	} else {
		op = func(t client.Attempt, file *smb2.Handle) (int, error) {
			if err := h.checkRetry(t, file); err != nil {
				return 0, err
			}
			h.node.locks.rememberBytes(data, off)
			sent := time.Now()
			n, err := writeAll(file, data, off)
			h.wroteOn(t, sent, off, n, err)
			return n, err
		}
	}
	return onWriter(ctx, h, func(t client.Attempt, file *smb2.Handle) (int, error) {
		defer turn.begin()()
		return op(t, file)
	})
}

// wroteOn: a write was sent at that time, of which the server has confirmed n bytes at off. One without an answer also counts: it may still take effect.
func (h *handle) wroteOn(t client.Attempt, sent time.Time, off int64, n int, err error) {
	end := off + int64(n)
	if n == 0 {
		end = 0 // The file has not grown.
	}
	at := time.Now()
	if smb.IsLoss(err) {
		at = sent
	}
	h.node.writeAnswered(t.Conn, at, end, false)
	h.node.locks.growKnown(end)
	started := t.Server().Started
	h.unsynced.CompareAndSwap(nil, &started)
}

// checkRetry fails if a retry could overwrite a newer write: the server has not ended the session of the attempt before, so that this may still
// take effect. It passes if the file is unchanged since the last answer.
func (h *handle) checkRetry(t client.Attempt, file *smb2.Handle) error {
	if !t.IsRetry || !t.IsUncertain {
		return nil
	}
	info, err := statBy(t, file)
	if err != nil {
		return err
	}
	n := h.node
	n.mu.Lock()
	known := n.stat
	isSure := n.times.wrote.IsZero()
	n.mu.Unlock()
	if isSure && info.stat.EndOfFile == known.EndOfFile && info.stat.ChangeTime.Equal(known.ChangeTime) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLost(syscall.EIO, "changed")
	return syscall.EIO
}

// writeAll writes all of data, of which a server may accept less per request.
func writeAll(file *smb2.Handle, data []byte, off int64) (n int, err error) {
	for n < len(data) && err == nil {
		var m int
		if m, err = file.Write(data[n:], off+int64(n), partAtMost); m == 0 && err == nil {
			err = syscall.EIO
		}
		n += m
	}
	return n, err
}

// appendOp writes at the end of the file at the server. off is where the kernel believes it to be.
func (h *handle) appendOp(data []byte, off int64) func(client.Attempt, *smb2.Handle) (int, error) {
	end, written := int64(-1), 0
	return func(t client.Attempt, file *smb2.Handle) (int, error) {
		info, err := statBy(t, file)
		if err != nil {
			return 0, err
		}
		if end >= 0 {
			// A retry: the attempt before had no answer.
			if t.IsUncertain {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.setLost(syscall.EIO, "changed")
				return 0, syscall.EIO
			}
			if written, err = h.alreadyWritten(t, data, end); err != nil {
				return 0, err
			}
		}
		if end < 0 || written == 0 {
			end = info.stat.EndOfFile
		}
		h.node.locks.rememberBytes(data[written:], end+int64(written))
		sent := time.Now()
		n, err := writeAll(file, data[written:], end+int64(written))
		n += written
		if n == 0 && smb.StatusOf(err) == lockConflict {
			end = -1
			return 0, err
		}
		h.wroteOn(t, sent, end, n, err)
		if err == nil && end != off {
			// The kernel has the bytes at off in its pages, which are locked until it has this answer.
			safely.Go(func() { h.node.dropPages(min(end, off)) })
		}
		return n, err
	}
}

// alreadyWritten is how much of data the file has at off already.
func (h *handle) alreadyWritten(t client.Attempt, data []byte, off int64) (int, error) {
	file, release, err := h.reader(t)
	if err != nil {
		return 0, err
	}
	defer release()
	return sameAt(file, data, off)
}

// sameAt is how much of data the file has at off, up to its end; 0: it has different bytes.
func sameAt(file *smb2.Handle, data []byte, off int64) (n int, err error) {
	for n < len(data) {
		block, err := file.Read(len(data)-n, off+int64(n))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		isSame := bytes.HasPrefix(data[n:], block.Data)
		n += len(block.Data)
		block.Release()
		if !isSame {
			return 0, nil
		}
	}
	return n, nil
}

// reader is a server's handle that may read: of the lock handle, or one that is opened for this only.
func (h *handle) reader(t client.Attempt) (file *smb2.Handle, release func(), err error) {
	by, release := h.acquireFor(smb2.AccessRead)
	if by != h {
		file, err = by.openedOn(t.Conn)
		return file, release, err
	}
	release()
	opened, err := h.node.reopen(h.life, t.Conn, smb2.AccessRead)
	return opened.Handle, func() { _, _ = opened.Close() }, err
}

// Fsync returns once the bytes are on the server's disk, if its settings allow that. SMB flushes only by handles that may write.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	if writer := h.node.writer(h); writer != nil {
		_, err := onFile(ctx, writer, changing, func(t client.Attempt, file *smb2.Handle) (struct{}, error) {
			return struct{}{}, writer.sync(t, file)
		})
		return errnoOf(err)
	}
	_, err := atPath(ctx, h.node, changing, func(t client.Attempt, path string) (struct{}, error) {
		file, err := t.Share.OpenAt(path, smb2.AccessWrite, smb2.MustExist, h.node.leaseKey(path))
		if err != nil {
			return struct{}{}, err
		}
		defer file.Close()
		return struct{}{}, file.Sync()
	})
	if isDenied(err) {
		// This user cannot have written to it.
		return 0
	}
	return errnoOf(err)
}

// sync fails once if the server has restarted since a write: bytes that it had only in memory are lost.
func (h *handle) sync(t client.Attempt, file *smb2.Handle) error {
	since := h.unsynced.Load()
	if err := file.Sync(); err != nil {
		return err
	}
	h.unsynced.CompareAndSwap(since, nil)
	now := t.Server().Started
	if since != nil && !since.IsZero() && !now.IsZero() && !now.Equal(*since) {
		h.node.share.client.Journal(client.Event{Is: "file_lost", Path: h.node.shownPath(), Why: "unsynced"})
		return syscall.EIO
	}
	return nil
}

// writer is that handle, or another open one that may write; nil: there is none. By a handle a file can be changed that has no name left.
func (n *node) writer(f fs.FileHandle) *handle {
	if h, ok := f.(*handle); ok && h.mayWrite() {
		return h
	}
	for _, h := range n.handles() {
		if h.mayWrite() && !h.isReleased() {
			return h
		}
	}
	return nil
}
