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

// Shorter writes come in a buffer that the library uses again whatever becomes of them.
const copiedBelow = 128

// Write returns once the server has the bytes. It may keep running after the program that wrote was killed: a short write has its own copy, and the
// buffer of a longer one that failed is not used again.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	defer h.node.pages.begin()()
	if len(data) < copiedBelow {
		data = bytes.Clone(data)
	}
	n, err := h.writeInOrder(ctx, data, off, h.appends && !isFromPages(ctx))
	if at := h.timed.Load(); at != 0 && time.Now().UnixNano()-at > int64(timesSlack) {
		// A descriptor was closed, and this one stays open.
		h.setWriteTime(ctx)
	}
	h.node.wrote()
	if n > 0 {
		return uint32(n), 0
	}
	return 0, errnoOf(err)
}

// writeInOrder: a write that grows the file is exclusive, so that fallocate never makes it shorter again.
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
			if err := h.checkRepeated(t, file); err != nil {
				return 0, err
			}
			h.node.locks.writing(data, off)
			n, err := writeAll(file, data, off)
			h.wroteOn(t, off+int64(n))
			return n, err
		}
	}
	return onWriter(ctx, h, func(t client.Attempt, file *smb2.Handle) (int, error) {
		defer turn.begin()()
		return op(t, file)
	})
}

// wroteOn notes what the server has answered.
func (h *handle) wroteOn(t client.Attempt, end int64) {
	h.node.answered(t.Conn, end)
	h.node.locks.wrote(end)
	started := t.Server().Started
	h.unsynced.CompareAndSwap(nil, &started)
}

// checkRepeated: the server has not ended the session in which the write was tried before, and may do it at any time. It is repeated only if
// nothing has happened to the file since our last answer.
func (h *handle) checkRepeated(t client.Attempt, file *smb2.Handle) error {
	if !t.IsRetry || !t.IsUncertain {
		return nil
	}
	at, err := lookBy(t, file)
	if err != nil {
		return err
	}
	n := h.node
	n.mu.Lock()
	known := n.seen
	isSure := n.times.wrote.IsZero()
	n.mu.Unlock()
	if isSure && at.seen.EndOfFile == known.EndOfFile && at.seen.ChangeTime.Equal(known.ChangeTime) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lose(syscall.EIO, "changed")
	return syscall.EIO
}

// writeAll: a server may take less at once.
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

// appendOp writes at the server's end of the file, wherever the kernel believes it to be (off).
func (h *handle) appendOp(data []byte, off int64) func(client.Attempt, *smb2.Handle) (int, error) {
	end, written := int64(-1), 0
	return func(t client.Attempt, file *smb2.Handle) (int, error) {
		at, err := lookBy(t, file)
		if err != nil {
			return 0, err
		}
		if end >= 0 {
			// A try before this one had no answer.
			if t.IsUncertain {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.lose(syscall.EIO, "changed")
				return 0, syscall.EIO
			}
			if written, err = h.whatIsThere(t, data, end); err != nil {
				return 0, err
			}
		}
		if end < 0 || written == 0 {
			end = at.seen.EndOfFile
		}
		h.node.locks.writing(data[written:], end+int64(written))
		n, err := writeAll(file, data[written:], end+int64(written))
		n += written
		if n == 0 && smb.StatusOf(err) == lockConflict {
			end = -1
			return 0, err
		}
		h.wroteOn(t, end+int64(n))
		if err == nil && end != off {
			// The kernel has put the bytes elsewhere in its pages; it holds them until it has this answer.
			safely.Go(func() { h.node.dropPages(min(end, off)) })
		}
		return n, err
	}
}

// whatIsThere: how much of data the file has at off and nothing else behind it; 0: other bytes.
func (h *handle) whatIsThere(t client.Attempt, data []byte, off int64) (int, error) {
	file, leave, err := h.reader(t)
	if err != nil {
		return 0, err
	}
	defer leave()
	return sameAt(file, data, off)
}

// sameAt is how much of data the file has at off; 0: other bytes.
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

// reader may read the file: the lock handle, or a handle that is opened for it only.
func (h *handle) reader(t client.Attempt) (file *smb2.Handle, leave func(), err error) {
	by, leave := h.inUseTo(smb2.AccessRead)
	if by != h {
		file, err = by.openedOn(t.Conn)
		return file, leave, err
	}
	leave()
	opened, err := h.node.reopen(h.life, t.Conn, smb2.AccessRead)
	return opened.Handle, func() { _, _ = opened.Close() }, err
}

// Fsync returns once the bytes are on the server's disk, as far as its settings go. SMB has it only for handles that may write.
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
		// No program here has written to it.
		return 0
	}
	return errnoOf(err)
}

// sync fails once if the server was started again since something was written: what it had only in memory is gone.
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

// writer is that handle or another open one that may write, if there is one: the file may no longer have a name.
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
