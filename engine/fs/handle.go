package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// handle is an open file: a handle on the server, and after a loss of the connection another one on the same file.
type handle struct {
	node    *node
	access  smb2.Access
	appends bool
	life    context.Context
	end     context.CancelFunc
	closed  chan struct{} // once the server has closed it
	ahead   readAhead
	// It is to be opened by its new name.
	isAside atomic.Bool

	// Held while it is opened; only what runs on a connection waits for it, and ends with that.
	mu       sync.Mutex
	file     *smb2.File
	on       *connection
	before   *smb2.File // of a file that was replaced: Samba looks for some of its attributes under the old name
	gone     bool       // its path leads to no file or another one
	released bool
}

// newHandle counts as open from now on.
func newHandle(n *node, flags uint32) *handle {
	h := &handle{node: n, access: accessOf(flags), appends: flags&syscall.O_APPEND != 0, closed: make(chan struct{})}
	h.life, h.end = context.WithCancel(context.Background())
	h.ahead.size = chunkAtMost
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[*handle]struct{}{}
	}
	n.open[h] = struct{}{}
	return h
}

func accessOf(flags uint32) smb2.Access {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		return smb2.AccessRead
	case syscall.O_WRONLY:
		return smb2.AccessWrite
	}
	return smb2.AccessRead | smb2.AccessWrite
}

// on another connection it is opened again: without a truncation, and only if it is still the same file. So is one that was replaced, by its
// new name; what is under way goes on with the old handle.
func (h *handle) opened(c *connection) (*smb2.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isAside.Swap(false) && h.file != nil && h.before == nil {
		h.before, h.file, h.on = h.file, nil, nil
	}
	switch {
	case h.released:
		return nil, syscall.EBADF
	case h.gone:
		return nil, syscall.ESTALE
	case h.on == c:
		return h.file, nil
	}
	file, err := h.reopen(c)
	if h.on != nil && isAbsent(err) {
		err = syscall.ESTALE
	}
	if err != nil {
		h.gone = h.on != nil && errors.Is(err, syscall.ESTALE)
		return nil, err
	}
	h.took(c, file)
	return file, nil
}

func (h *handle) took(c *connection, file *smb2.File) {
	h.file, h.on = file, c
	h.ahead.mu.Lock()
	h.ahead.size = int64(min(file.MaxReadSize(), chunkAtMost))
	h.ahead.mu.Unlock()
}

func (h *handle) reopen(c *connection) (*smb2.File, error) {
	for {
		before := h.node.share.moves.count()
		path, err := h.node.where()
		if err != nil {
			return nil, err
		}
		file, seen, _, err := c.share.OpenAt(path, h.access, smb2.MustExist)
		if err == nil && h.node.isSame(found{identityOf(c, seen), seen}) {
			return file, nil
		}
		if err == nil {
			_ = file.Close()
			err = syscall.ESTALE
		}
		if errors.Is(err, syscall.ESTALE) || isAbsent(err) {
			if h.node.share.moves.since(h.life, before) {
				if now, gone := h.node.where(); gone == nil && now != path {
					continue
				}
			}
		}
		return nil, err
	}
}

// release: nobody waits for the server's answer but who removes the file.
func (h *handle) release() {
	h.end()
	h.ahead.drop()
	h.node.share.behind.Go(func() {
		safely(func() (struct{}, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.released = true
			if h.before != nil {
				_ = h.before.Close()
			}
			if h.file != nil && isLoss(h.file.Close()) {
				// It stays open on the server until the next session ends the lost one.
				h.node.share.files.lost(h.on)
			}
			return struct{}{}, nil
		})
		h.node.closed(h)
		close(h.closed)
	})
}

func (h *handle) Release(context.Context) syscall.Errno {
	h.release()
	return 0
}

func (h *handle) isReleased() bool { return h.life.Err() != nil }

// onFile plays op on the file, whatever connection it is on.
func onFile[T any](ctx context.Context, h *handle, op func(c *connection, file *smb2.File) (T, error)) (T, error) {
	return ask(ctx, h.node.share.files, func(c *connection) (T, error) {
		file, err := h.opened(c)
		if err != nil {
			return *new(T), err
		}
		return op(c, file)
	})
}

func (h *handle) look(ctx context.Context) (found, error) { return onFile(ctx, h, statOf) }

func statOf(c *connection, file *smb2.File) (found, error) {
	seen, err := file.Stat()
	if err != nil {
		return found{}, err
	}
	stat := seen.(*smb2.FileStat)
	return found{identityOf(c, stat), stat}, nil
}

// readAt fills block as far as the file goes. It goes on when a reader is interrupted, until the handle is released.
func (h *handle) readAt(block []byte, off int64) (int, error) {
	began := time.Now()
	for {
		c, err := h.node.share.files.connected(h.life)
		if err != nil {
			return 0, err
		}
		n, err := h.readOn(c, block, off)
		if !isLoss(err) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if err := h.node.share.files.lostFor(c, began); err != nil {
			return 0, err
		}
	}
}

func (h *handle) readOn(c *connection, block []byte, off int64) (int, error) {
	defer c.begin()()
	file, err := h.opened(c)
	if err != nil {
		return 0, err
	}
	return file.ReadAt(block, off)
}
