package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// A write goes to the server in parts of this size at once: while it stores one, the next is signed.
const partAtMost = 256 << 10

// Write returns once the server has the bytes. It has its own copy of them: it may go on after the program that wrote was killed.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	block := blocks.Get().(*[chunkAtMost]byte)
	own := block[:copy(block[:], data)]
	isAppended := h.appends && !isFromPages(ctx)
	var n int
	var err error
	if isAppended {
		n, err = h.append(ctx, own, off)
	} else {
		n, err = onFile(ctx, h, func(_ *connection, file *smb2.File) (int, error) {
			h.node.changed()
			return writeParts(file, own, off)
		})
	}
	if !errors.Is(err, syscall.EINTR) {
		blocks.Put(block)
	}
	h.node.wrote()
	if n > 0 {
		return uint32(n), 0
	}
	return 0, errnoOf(err)
}

// writeParts returns how many bytes from the front were written.
func writeParts(file *smb2.File, data []byte, off int64) (int, error) {
	size := min(partAtMost, file.MaxWriteSize())
	if len(data) <= size {
		return file.WriteAt(data, off)
	}
	errs := make([]error, (len(data)+size-1)/size)
	var parts sync.WaitGroup
	for i := range errs {
		parts.Go(func() {
			at := i * size
			errs[i] = safely(func() (int, error) { return file.WriteAt(data[at:min(at+size, len(data))], off+int64(at)) }).err
		})
	}
	parts.Wait()
	for i, err := range errs {
		if err != nil && isLoss(err) {
			return 0, err
		}
		if err != nil {
			return i * size, err
		}
	}
	return len(data), nil
}

// append writes at the server's end of the file, wherever the kernel believes it to be (off). It goes on after the one who asks is killed, and
// the next one begins after it.
func (h *handle) append(ctx context.Context, data []byte, off int64) (int, error) {
	answered := make(chan answer[int], 1)
	go func() {
		h.node.appending.Lock()
		defer h.node.appending.Unlock()
		answered <- safely(func() (int, error) { return h.appendNow(data, off) })
	}()
	got, err := await(ctx, answered, time.Time{})
	if err != nil {
		return 0, err
	}
	return got.value, got.err
}

func (h *handle) appendNow(data []byte, off int64) (int, error) {
	end, written := int64(-1), 0
	n, err := onFile(context.Background(), h, func(c *connection, file *smb2.File) (int, error) {
		at, err := statOf(c, file)
		if err != nil {
			return 0, err
		}
		if end >= 0 {
			// A try before this one had no answer.
			written, err = h.whatIsThere(c, data, end)
			if err != nil {
				return 0, err
			}
		}
		if end < 0 || written == 0 {
			end = at.seen.EndOfFile
		}
		h.node.changed()
		n, err := writeInOrder(file, data[written:], end+int64(written))
		return written + n, err
	})
	if end >= 0 && end != off {
		// The kernel has put the bytes elsewhere in its pages; it holds them until it has this answer.
		go h.node.NotifyContent(min(end, off), 0)
	}
	return n, err
}

// writeInOrder: a part that came without the ones before it would leave zeros, and the next try not know what is there.
func writeInOrder(file *smb2.File, data []byte, off int64) (n int, err error) {
	for size := min(partAtMost, file.MaxWriteSize()); n < len(data) && err == nil; {
		var m int
		m, err = file.WriteAt(data[n:min(n+size, len(data))], off+int64(n))
		n += m
	}
	return n, err
}

// whatIsThere: how much of data the file has at off and nothing else behind it; 0: other bytes.
func (h *handle) whatIsThere(c *connection, data []byte, off int64) (int, error) {
	path, err := h.node.where()
	if err != nil {
		return 0, err
	}
	file, _, _, err := c.share.OpenAt(path, smb2.AccessRead, smb2.MustExist)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	there := make([]byte, len(data))
	n, err := file.ReadAt(there, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if !bytes.Equal(there[:n], data[:n]) {
		return 0, nil
	}
	return n, nil
}

// Fsync: what was written is on the server's disk, as far as its settings go. SMB has it only for handles that may write.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	if writer := h.node.writer(h); writer != nil {
		_, err := onFile(ctx, writer, func(_ *connection, file *smb2.File) (struct{}, error) { return struct{}{}, file.Sync() })
		return errnoOf(err)
	}
	_, err := atPath(ctx, h.node, h.node.share.files, func(c *connection, path string) (struct{}, error) {
		file, _, _, err := c.share.OpenAt(path, smb2.AccessWrite, smb2.MustExist)
		if err != nil {
			return struct{}{}, err
		}
		defer file.Close()
		return struct{}{}, file.Sync()
	})
	if errors.Is(err, iofs.ErrPermission) {
		// Nobody here has written to it.
		return 0
	}
	return errnoOf(err)
}
