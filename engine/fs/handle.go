package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// identity says which file it is, also after a restart of the server. The server gives ids again, hence the creation time.
type identity struct {
	server  [16]byte
	id      uint64
	created int64
}

func identityOf(c *connection, seen *smb2.FileStat) identity {
	return identity{c.session.ServerGuid(), seen.FileId, seen.CreationTime.UnixNano()}
}

// handle is an open file: a handle on the server, and after a loss of the connection another one on the same file.
type handle struct {
	node  *node
	life  context.Context
	end   context.CancelFunc
	ahead readAhead

	// Held while it is opened; only what runs on a connection waits for it, and ends with that.
	mu       sync.Mutex
	file     *smb2.File
	on       *connection
	gone     bool // its path leads to no file or another one
	released bool
}

func openHandle(ctx context.Context, n *node) (*handle, error) {
	h := &handle{node: n}
	h.life, h.end = context.WithCancel(context.Background())
	file, err := ask(ctx, n.server, h.opened)
	if err != nil {
		h.release()
		return nil, err
	}
	h.ahead.size = int64(file.MaxReadSize())
	return h, nil
}

// opened returns the file on that connection.
func (h *handle) opened(c *connection) (*smb2.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.released:
		return nil, syscall.EBADF
	case h.gone:
		return nil, syscall.ESTALE
	case h.on == c:
		return h.file, nil
	}
	file, seen, err := c.open(h.node.path())
	if err == nil && identityOf(c, seen) != h.node.is {
		_ = file.Close()
		err = syscall.ESTALE
	}
	if h.on != nil && errors.Is(err, fs.ErrNotExist) {
		err = syscall.ESTALE
	}
	if err != nil {
		h.gone = errors.Is(err, syscall.ESTALE)
		return nil, err
	}
	h.file, h.on = file, c
	return file, nil
}

func (c *connection) open(path string) (*smb2.File, *smb2.FileStat, error) {
	file, err := c.share.Open(path)
	if err != nil {
		return nil, nil, err
	}
	seen, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, seen.(*smb2.FileStat), nil
}

// release: nobody waits for the server's answer.
func (h *handle) release() {
	h.end()
	h.ahead.drop()
	go func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.released = true
		if h.file != nil {
			_ = h.file.Close()
		}
	}()
}

func (h *handle) look(ctx context.Context) (*smb2.FileStat, error) {
	return ask(ctx, h.node.server, func(c *connection) (*smb2.FileStat, error) {
		file, err := h.opened(c)
		if err != nil {
			return nil, err
		}
		seen, err := file.Stat()
		if err != nil {
			return nil, err
		}
		return seen.(*smb2.FileStat), nil
	})
}

// readAt fills block as far as the file goes. It goes on when a reader is interrupted, until the handle is released.
func (h *handle) readAt(block []byte, off int64) (int, error) {
	var began time.Time
	for {
		c, err := h.node.server.connected(h.life)
		if err != nil {
			return 0, err
		}
		file, err := h.opened(c)
		n := 0
		if err == nil {
			n, err = file.ReadAt(block, off)
		}
		if !isLoss(err) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if err := h.node.server.lostFor(c, &began); err != nil {
			return 0, err
		}
	}
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, fs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return syscall.EINVAL
	}
	switch statusOf(err) {
	case 0xC0000033, 0xC0000039, 0xC0000056: // OBJECT_NAME_INVALID, OBJECT_PATH_SYNTAX_BAD, DELETE_PENDING
		return syscall.ENOENT
	case 0xC0000103: // NOT_A_DIRECTORY
		return syscall.ENOTDIR
	case 0xC0000043, 0xC0000054: // SHARING_VIOLATION, FILE_LOCK_CONFLICT
		return syscall.EACCES
	case 0xC00000BB: // NOT_SUPPORTED
		return syscall.ENOTSUP
	}
	return syscall.EIO
}
