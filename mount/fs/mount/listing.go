package mount

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// dots are the folder itself and its parent.
const dots = 2

// listing is a folder that a program has open to read its entries. Pages are read from the server when they are needed: many programs open a
// folder only to sync it. Of a large folder the last two pages are kept, because the kernel may seek back.
type listing struct {
	node *node
	at   int // the index of the next entry

	entries      []fileInfo // from the entry first on
	first        int
	isEnd        bool
	asked        time.Time // of the first page
	took         time.Duration
	subscription *subscription
	handle       *smb2.Handle
	on           *client.Conn
}

func (n *node) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.share.opened.Add(1)
	return &listing{node: n}, 0, 0
}

func (l *listing) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	for l.at >= dots {
		i := l.at - dots - l.first
		switch {
		case i < 0:
			l.restart()
			continue
		case i >= len(l.entries) && l.isEnd:
			return nil, 0
		case i >= len(l.entries):
			if err := l.read(ctx); err != nil {
				return nil, errnoOf(err)
			}
			continue
		}
		l.at++
		each := l.entries[i]
		name := l.node.share.mapping.fromServer(each.stat.FileName)
		if isHidden(name) || l.node.confirmDeletion(ctx, name, each, reading) {
			continue
		}
		entry := fuse.DirEntry{Off: uint64(l.at), Name: name, Mode: syscall.S_IFREG, Ino: inoOf(each.stat.FileId, uint64(l.at))}
		if each.stat.IsDir() {
			entry.Mode = syscall.S_IFDIR
		} else if l.node.share.mayBeLink(each) {
			// Unknown: programs have to stat it.
			entry.Mode = 0
		}
		return &entry, 0
	}
	l.at++
	entry := fuse.DirEntry{Off: uint64(l.at), Mode: syscall.S_IFDIR, Name: "..", Ino: l.node.StableAttr().Ino}
	if l.at == 1 {
		entry.Name = "."
	}
	return &entry, 0
}

// restart starts again at the first entry.
func (l *listing) restart() {
	l.closeHandle()
	l.entries, l.first, l.isEnd = nil, 0, false
}

// read reads the next page, and the end of a folder that has only one.
func (l *listing) read(ctx context.Context) error {
	isFirst := l.first == 0 && len(l.entries) == 0
	if isFirst {
		if l.fromNames() {
			return nil
		}
		l.subscription = l.node.share.folders.toListed(l.node)
		l.asked = time.Now()
	}
	if err := l.readPage(ctx); err != nil {
		return err
	}
	if isFirst && !l.isEnd && len(l.entries) < pageLength {
		// Of a small folder that was the only page. It is closed now, not at the next call of the program: until then its name would not be free after a
		// removal. A failure shows in the next call.
		_ = l.readPage(ctx)
	}
	if l.first == 0 && l.isEnd && len(l.entries) <= cachedAtMost {
		l.node.storeListing(l.entries, l.asked, true, l.subscription)
	}
	if l.first+len(l.entries) > cachedAtMost {
		l.node.names.setTooLarge()
	}
	return nil
}

func (l *listing) readPage(ctx context.Context) error {
	page, err := query(ctx, l.node.share, func(t client.Attempt) ([]fileInfo, error) { return l.pageOn(t) })
	if errors.Is(err, io.EOF) {
		l.isEnd, err = true, nil
		l.closeHandle()
	}
	if err != nil {
		return err
	}
	l.took = time.Since(l.asked)
	if old := len(l.entries) - pageLength; old > 0 && len(page) > 0 && l.first+len(l.entries) > cachedAtMost {
		// Entries before the last page are forgotten.
		l.first += old
		l.entries = append([]fileInfo(nil), l.entries[old:]...)
		freeSoon()
	}
	l.entries = append(l.entries, page...)
	return nil
}

// About the number of entries of a page.
const pageLength = 2_000

// pageOn reads a page. On a new connection it opens the folder again, and skips the entries that were read.
func (l *listing) pageOn(t client.Attempt) ([]fileInfo, error) {
	skip := 0
	if l.on != t.Conn || l.handle == nil {
		path, err := l.node.serverPath()
		if err != nil {
			return nil, err
		}
		opened, err := t.Share.OpenFolder(path)
		if err != nil {
			return nil, err
		}
		l.handle, l.on, skip = opened.Handle, t.Conn, l.first+len(l.entries)
	}
	for {
		page, err := l.handle.List()
		if err != nil {
			return nil, err
		}
		if skip >= len(page) {
			skip -= len(page)
			continue
		}
		next := make([]fileInfo, 0, len(page)-skip)
		for _, each := range page[skip:] {
			next = append(next, infoOn(t.Conn, each))
		}
		return next, nil
	}
}

// fromNames uses the cached listing if the server has reported all changes since.
func (l *listing) fromNames() bool {
	f := &l.node.names
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isValid() || !f.isWhole || !f.hasNoLocalChange || f.subscription == nil || !f.subscription.isIntactSince(f.askedAt) {
		return false
	}
	// The zero askedAt makes Lookup ask the server for each name.
	l.entries, l.isEnd, l.asked = make([]fileInfo, 0, len(f.entries)), true, time.Time{}
	for _, each := range f.entries {
		l.entries = append(l.entries, each)
	}
	return true
}

func (l *listing) closeHandle() {
	handle, on := l.handle, l.on
	l.handle, l.on = nil, nil
	if handle == nil {
		return
	}
	// While it is open, it could not be removed. Without a route it is closed already.
	_, _ = client.Do(context.Background(), l.node.share.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
		if t.Conn != on {
			return struct{}{}, nil
		}
		_, err := handle.Close()
		if err != nil && !smb.IsLoss(err) {
			err = nil
		}
		return struct{}{}, err
	}, nil)
}

func (l *listing) Releasedir(context.Context, uint32) {
	l.node.share.opened.Add(-1)
	if l.handle != nil {
		l.node.share.background.Go(safely.Of(l.closeHandle))
	}
}

// Seekdir: a seek to the beginning reads the folder again.
func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		l.restart()
	}
	l.at = int(off)
	return 0
}

// Fsyncdir has nothing to do: the server has all names.
func (l *listing) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

// Lookup is called for the entry that was read last (READDIRPLUS).
func (l *listing) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i := l.at - 1 - dots - l.first
	if i < 0 || i >= len(l.entries) || l.node.share.mapping.fromServer(l.entries[i].stat.FileName) != name || l.entries[i].lacksId() || time.Since(l.asked) > l.took+attributesFor {
		return l.node.Lookup(ctx, name, out)
	}
	child := l.node.childOf(name)
	isTrue := child != nil && child.isUnchangedSince(l.asked) || child == nil && l.node.share.lastChange.Load() < l.asked.UnixNano()
	if !isTrue || l.node.names.hasChangedSince(l.asked, name) {
		return l.node.Lookup(ctx, name, out)
	}
	info, err := l.node.resolved(ctx, name, l.entries[i])
	if err != nil {
		return nil, errnoOf(err)
	}
	inode := l.node.child(ctx, name, info)
	inode.Operations().(*node).fill(&out.Attr)
	return inode, 0
}

var freeing atomic.Bool

// freeSoon returns memory to the system 5 s after a large listing.
func freeSoon() {
	if !freeing.Swap(true) {
		time.AfterFunc(5*time.Second, safely.Of(func() {
			freeing.Store(false)
			debug.FreeOSMemory()
		}))
	}
}
