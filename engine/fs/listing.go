package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// listing is a folder as it was when it was opened.
type listing struct {
	node    *node
	server  [16]byte
	asked   time.Time
	entries []os.FileInfo
	at      int
}

func (n *node) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	life, end := context.WithCancel(context.Background())
	defer end()
	l, err := atPath(ctx, n, n.share.files, func(c *connection, path string) (*listing, error) {
		l := &listing{node: n, server: c.session.ServerGuid(), asked: time.Now()}
		folder, err := c.share.Open(path)
		if err != nil {
			return nil, err
		}
		l.entries, err = entriesOf(life, folder)
		// A folder that is open cannot be removed.
		if e := folder.Close(); err == nil {
			err = e
		}
		return l, err
	})
	if err != nil {
		return nil, 0, errnoOf(err)
	}
	if n.IsRoot() {
		l.entries = withoutRemoved(l.entries)
	}
	return l, 0, 0
}

// entriesOf asks no more once life has ended: when it is enough is the server's word.
func entriesOf(life context.Context, folder *smb2.File) (all []os.FileInfo, err error) {
	for err == nil {
		var some []os.FileInfo
		if some, err = folder.Readdir(1000); err == nil {
			err = life.Err()
		}
		all = append(all, some...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

func withoutRemoved(entries []os.FileInfo) []os.FileInfo {
	for i, entry := range entries {
		if strings.EqualFold(entry.Name(), removedFolder) {
			return append(entries[:i], entries[i+1:]...)
		}
	}
	return entries
}

func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if l.at >= len(l.entries)+2 {
		return nil, 0
	}
	l.at++
	entry := fuse.DirEntry{Off: uint64(l.at), Mode: syscall.S_IFDIR, Name: ".", Ino: l.node.StableAttr().Ino}
	if l.at == 2 {
		entry.Name = ".."
	}
	if l.at > 2 {
		seen := l.entries[l.at-3].(*smb2.FileStat)
		entry.Name, entry.Ino = nameHere(seen.FileName), seen.FileId
		if !seen.IsDir() {
			entry.Mode = syscall.S_IFREG
		}
	}
	return &entry, 0
}

func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(len(l.entries)+2) {
		return syscall.EINVAL
	}
	l.at = int(off)
	return 0
}

// Fsyncdir: the server has all names.
func (l *listing) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

// Lookup is asked for the entry that was read last.
func (l *listing) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	seen := l.entries[l.at-3].(*smb2.FileStat)
	child := l.node.childOf(name)
	isTrue := child != nil && child.isListed(l.asked) || child == nil && l.node.share.written.Load() < l.asked.UnixNano()
	if nameHere(seen.FileName) != name || !isTrue || time.Since(l.asked) > attributesFor {
		return l.node.Lookup(ctx, name, out)
	}
	l.node.share.fill(&out.Attr, seen)
	return l.node.child(ctx, name, found{identity{l.server, seen.FileId, seen.CreationTime.UnixNano()}, seen}), 0
}
