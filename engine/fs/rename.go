package main

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

const renameNoReplace = 1

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	into := newParent.(*node)
	from, err := n.at(name)
	if err != nil {
		return errnoOf(err)
	}
	to, err := into.at(newName)
	if err != nil {
		return errnoOf(err)
	}
	moved, replaced := n.childOf(name), into.childOf(newName)
	if replaced != nil && moved != nil && replaced.isSame(moved.found()) {
		// Another spelling of its name, on a server that ignores case.
		replaced = nil
	}
	if replaced != nil && replaced.IsDir() {
		// SMB replaces no folder, not even an empty one.
		if flags&renameNoReplace != 0 {
			return syscall.EEXIST
		}
		if err := n.share.remove(ctx, to, true, replaced); err != nil {
			return errnoOf(err)
		}
	}
	aside := ""
	if replaced != nil && flags&renameNoReplace == 0 && !replaced.IsDir() && replaced.isOpen(ctx) {
		// A second name keeps what is replaced, if the server has such; else it is gone when its connection is lost.
		second, err := n.share.aside(ctx, replaced, func(c *connection, aside string) error { return c.share.Link(to, aside) })
		if err == nil {
			aside = second
		}
	}
	_, err = askAgain(ctx, n.share.names, func(c *connection, again bool) (struct{}, error) {
		var tried *node
		if again {
			tried = moved
		}
		return struct{}{}, c.move(from, to, flags&renameNoReplace == 0, tried)
	}, nil)
	switch {
	case err != nil && aside != "":
		n.share.behind.Go(func() { _ = n.share.remove(context.Background(), aside, false, nil) })
	case aside != "":
		replaced.isAside(aside)
		for _, h := range replaced.handles() {
			// A handle that is just opened again may wait for this rename.
			h.isAside.Store(true)
		}
	}
	return createErrno(err)
}

// move renames. tried is what a try before this one may have moved: what another client has put in its place since then is not moved.
func (c *connection) move(from, to string, isReplacing bool, tried *node) error {
	isMoved := func() error {
		at, err := lookAt(c, to)
		if err == nil && !tried.isSame(at) {
			return syscall.ENOENT
		}
		return err
	}
	if tried != nil {
		at, err := lookAt(c, from)
		switch {
		case isAbsent(err) || err == nil && !tried.isSame(at):
			return isMoved()
		case err != nil:
			return err
		}
	}
	err := c.share.Move(from, to, isReplacing)
	if tried != nil && isAbsent(err) {
		return isMoved()
	}
	return err
}
