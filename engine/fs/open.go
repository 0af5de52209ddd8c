package main

import (
	"context"
	"syscall"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h := newHandle(n, flags)
	_, err := onFile(ctx, h, func(_ *connection, file *smb2.File) (struct{}, error) {
		if flags&syscall.O_TRUNC == 0 {
			return struct{}{}, nil
		}
		n.wrote()
		return struct{}{}, file.Truncate(0)
	})
	if err != nil {
		h.release()
		if isAbsent(err) {
			// The kernel asks for the name again, and makes a file if it may.
			return nil, 0, syscall.ESTALE
		}
		return nil, 0, errnoOf(err)
	}
	if flags&syscall.O_TRUNC != 0 {
		n.wrote()
	}
	return h, 0, 0
}

// made is a file that was opened by a name which the kernel did not know.
type made struct {
	found
	file *smb2.File
	on   *connection
}

// Create lets the server decide who makes a file. If a connection is lost just then, a program may hear that the file exists although it
// made it; two never win.
func (n *node) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	disposition := smb2.MayExist
	if flags&syscall.O_EXCL != 0 {
		disposition = smb2.MustBeNew
	}
	path, err := n.at(name)
	if err != nil {
		return nil, nil, 0, errnoOf(err)
	}
	got, err := askAgain(ctx, n.share.files, func(c *connection, _ bool) (made, error) {
		file, seen, isNew, err := c.share.OpenAt(path, accessOf(flags), disposition)
		if err != nil {
			return made{}, err
		}
		if flags&syscall.O_TRUNC != 0 && !isNew {
			if err := file.Truncate(0); err != nil {
				_ = file.Close()
				return made{}, err
			}
			seen.EndOfFile = 0
		}
		return made{found{identityOf(c, seen), seen}, file, c}, nil
	}, func(m made) { _ = m.file.Close() })
	if err != nil {
		return nil, nil, 0, createErrno(err)
	}
	child := n.child(ctx, name, got.found)
	made := child.Operations().(*node)
	h := newHandle(made, flags)
	h.took(got.on, got.file)
	made.wrote()
	n.share.fill(&out.Attr, got.seen)
	return child, h, 0, 0
}

// createErrno: a name that the server cannot have, or has until another client closes a removed file.
func createErrno(err error) syscall.Errno {
	switch statusOf(err) {
	case 0xC0000033: // OBJECT_NAME_INVALID
		return syscall.EINVAL
	case deletePending:
		return syscall.EBUSY
	}
	return errnoOf(err)
}

func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at, err := inFolder(ctx, n, name, n.share.files, func(c *connection, path string) (found, error) {
		seen, err := c.share.MakeFolder(path, false)
		if err != nil {
			return found{}, err
		}
		return found{identityOf(c, seen), seen}, nil
	})
	if err != nil {
		return nil, createErrno(err)
	}
	n.share.fill(&out.Attr, at.seen)
	return n.child(ctx, name, at), 0
}

func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
