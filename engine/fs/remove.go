package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	iofs "io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	path, err := n.at(name)
	if err != nil {
		return errnoOf(err)
	}
	return errnoOf(n.share.remove(ctx, path, true, n.childOf(name)))
}

// Unlink removes a file. One that is open goes on under another name, until it is closed.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	path, err := n.at(name)
	if err != nil {
		return errnoOf(err)
	}
	child := n.childOf(name)
	if child != nil && child.isOpen(ctx) {
		return errnoOf(n.share.setAside(ctx, path, child))
	}
	return errnoOf(n.share.remove(ctx, path, false, child))
}

// isOpen waits for the server to close what programs have closed.
func (n *node) isOpen(ctx context.Context) bool {
	for _, h := range n.handles() {
		if !h.isReleased() {
			return true
		}
		if _, err := await(ctx, h.closed, time.Now().Add(closedWithin)); err != nil {
			return true
		}
	}
	return false
}

// remove removes what is at path, if it is still what the kernel knows.
func (f *fileSystem) remove(ctx context.Context, path string, isFolder bool, known *node) error {
	_, err := askAgain(ctx, f.names, func(c *connection, again bool) (struct{}, error) {
		if again && known != nil {
			at, err := lookAt(c, path)
			if isAbsent(err) || statusOf(err) == deletePending || err == nil && !known.isSame(at) {
				return struct{}{}, nil
			}
		}
		err := c.share.Delete(path, isFolder)
		if errors.Is(err, iofs.ErrPermission) && c.isReadOnly(path) && c.share.ClearReadOnly(path) == nil {
			err = c.share.Delete(path, isFolder)
		}
		if again && isAbsent(err) {
			err = nil
		}
		return struct{}{}, err
	}, nil)
	return err
}

// isReadOnly: the file has the attribute that keeps DOS programs from removing it.
func (c *connection) isReadOnly(path string) bool {
	const readOnly = 1
	seen, err := c.share.Look(path)
	return err == nil && seen.FileAttributes&readOnly != 0
}

// setAside moves an open file into a hidden folder in the share's root: a folder could not be removed, nor the name be used again, while the
// file is in it.
func (f *fileSystem) setAside(ctx context.Context, path string, n *node) error {
	aside, err := f.aside(ctx, n, func(c *connection, aside string) error { return c.share.Move(path, aside, false) })
	if err != nil {
		return err
	}
	n.isAside(aside)
	return nil
}

// aside plays op with a new name in the hidden folder, and says which it was.
func (f *fileSystem) aside(ctx context.Context, n *node, op func(c *connection, aside string) error) (string, error) {
	aside := removedFolder + "/" + markOfMachine() + "-" + rand.Text()
	_, err := askAgain(ctx, f.names, func(c *connection, again bool) (struct{}, error) {
		if again {
			if at, err := lookAt(c, aside); err == nil && n.isSame(at) {
				return struct{}{}, nil
			}
		}
		err := op(c, aside)
		if !isAbsent(err) {
			return struct{}{}, err
		}
		if _, err := c.share.MakeFolder(removedFolder, true); err != nil && !errors.Is(err, iofs.ErrExist) {
			return struct{}{}, err
		}
		return struct{}{}, op(c, aside)
	}, nil)
	return aside, err
}

// isAside: the file has no other name any more.
func (n *node) isAside(aside string) {
	n.mu.Lock()
	n.removed = aside
	isClosed := len(n.open) == 0
	n.mu.Unlock()
	if isClosed {
		n.share.behind.Go(func() { n.share.removeAside(n) })
	}
}

// closed: the server has closed the handle.
func (n *node) closed(h *handle) {
	n.mu.Lock()
	delete(n.open, h)
	isLast := len(n.open) == 0 && n.removed != ""
	n.mu.Unlock()
	if isLast {
		n.share.removeAside(n)
	}
}

func (f *fileSystem) removeAside(n *node) {
	path, err := n.where()
	if err != nil {
		return
	}
	_ = f.remove(context.Background(), path, false, n)
	// It stays while it holds others.
	_ = f.remove(context.Background(), removedFolder, true, nil)
}

// markOfMachine begins the names of what this machine removed.
func markOfMachine() string {
	id, _ := os.ReadFile("/etc/machine-id")
	host, _ := os.Hostname()
	digest := sha256.Sum256([]byte(string(id) + host))
	return hex.EncodeToString(digest[:6])
}

// removeLeftovers removes what a killed program of this machine left, unless another one has it open.
func (f *fileSystem) removeLeftovers() (struct{}, error) {
	return ask(context.Background(), f.names, func(c *connection) (struct{}, error) {
		folder, err := c.share.Open(removedFolder)
		if err != nil {
			return struct{}{}, nil
		}
		entries, err := folder.Readdir(0)
		if e := folder.Close(); err == nil {
			err = e
		}
		if err != nil {
			return struct{}{}, err
		}
		for _, entry := range entries {
			name := entry.(*smb2.FileStat).FileName
			if !strings.HasPrefix(name, markOfMachine()+"-") {
				continue
			}
			if err := c.share.DeleteUnused(removedFolder + "/" + name); isLoss(err) {
				return struct{}{}, err
			}
		}
		if err := c.share.Delete(removedFolder, true); isLoss(err) {
			return struct{}{}, err
		}
		return struct{}{}, nil
	})
}
