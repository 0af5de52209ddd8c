package mount

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if isRepeated(ctx) {
		return repeatedHandle{}, fuse.FOPEN_KEEP_CACHE, n.takeOf(openCall)
	}
	h := newHandle(n, flags)
	isTruncating := flags&syscall.O_TRUNC != 0
	_, err := onFile(ctx, h, looking, func(client.Attempt, *smb2.Handle) (struct{}, error) { return struct{}{}, nil })
	if err == nil && isTruncating {
		// Also by a handle that is only for reading: Linux asks for the right to write, and then does it.
		err = n.resize(ctx, n.writer(h), 0)
	}
	if err != nil {
		h.Release(ctx)
		if isElsewhere(err) {
			// The kernel asks for the name again, and makes a file if it may. The entry of the listing is gone.
			if parent, name := n.folder(); parent != nil {
				parent.names.forget(name)
			}
			return nil, 0, syscall.ESTALE
		}
		return nil, 0, errnoOf(err)
	}
	return h, n.keepCache(h), 0
}

// keepCache: a lease has covered the file since the kernel read its pages.
func (n *node) keepCache(h *handle) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other := range n.open {
		if other != h && n.lease != nil {
			return fuse.FOPEN_KEEP_CACHE
		}
	}
	return 0
}

// Create lets the server decide who makes a file. One that only this program may make is marked, so that it is known again if the answer is
// lost.
func (n *node) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if isRepeated(ctx) {
		child, errno := n.newRepeated(ctx, newFile, name, out)
		return child, repeatedHandle{}, fuse.FOPEN_KEEP_CACHE, errno
	}
	path, err := n.at(name)
	if err != nil {
		return nil, nil, 0, errnoOf(err)
	}
	var key smb2.LeaseKey
	_, _ = rand.Read(key[:])
	isExclusive := flags&syscall.O_EXCL != 0
	mark := newMark()
	type made struct {
		smb2.Opened
		at found
		on *client.Conn
	}
	got, err := change(ctx, n.share, client.Files, func(t client.Attempt) (made, error) {
		var opened smb2.Opened
		var err error
		if isExclusive {
			opened, err = t.Share.MakeFile(path, accessOf(flags), key, mark.time(t.Conn))
			if t.IsRetry && isTaken(err) {
				opened, err = mark.open(t.Conn, path, accessOf(flags), key, err)
			}
		} else {
			opened, err = t.Share.OpenAt(path, accessOf(flags), smb2.MayExist, key)
		}
		if err == nil && flags&syscall.O_TRUNC != 0 && !opened.IsNew && opened.Seen.EndOfFile > 0 {
			if err = opened.Resize(0); err != nil {
				_, _ = opened.Close()
			}
			opened.Seen.EndOfFile = 0
		}
		if err != nil {
			return made{}, err
		}
		return made{opened, foundOn(t.Conn, opened.Seen), t.Conn}, nil
	}, func(m made) { _, _ = m.Close() })
	if err != nil {
		return nil, nil, 0, n.share.characters.createErrno(err, name)
	}
	n.hasChanged(name)
	child := n.child(ctx, name, got.at)
	file := child.Operations().(*node)
	h := newHandle(file, flags)
	if flags&syscall.O_TRUNC != 0 && !got.IsNew {
		file.answered(got.on, 0)
		h.isDirty.Store(true)
	}
	file.useLease(path, key)
	h.mu.Lock()
	h.took(got.on, got.Opened)
	h.mu.Unlock()
	file.wrote()
	if got.IsNew {
		file.learn(got.at)
	}
	file.fill(&out.Attr)
	return child, h, 0, 0
}

// mark is a unique creation time, to 100 ns: it distinguishes a file that this program has made from one of another client.
type mark struct {
	at time.Time
}

func newMark() *mark { return &mark{} }

// time is by the server's clock, and the same for all tries.
func (m *mark) time(c *client.Conn) time.Time {
	if m.at.IsZero() {
		var random [4]byte
		_, _ = rand.Read(random[:])
		before := time.Duration(binary.LittleEndian.Uint32(random[:])%10_000_000) * 100
		m.at = time.Now().Add(c.ClockAhead).Truncate(100).Add(-before)
	}
	return m.at
}

func (m *mark) isOn(seen *smb2.FileStat) bool {
	return !m.at.IsZero() && seen.CreationTime.Equal(m.at)
}

// made is what a try before this one has made at path, if it has; else that is another's, and taken.
func (m *mark) made(c *client.Conn, path string, taken error) (*smb2.FileStat, error) {
	seen, err := c.Share.Look(path)
	if isAbsent(err) || err == nil && !m.isOn(seen) {
		err = taken
	}
	return seen, err
}

// open opens the file that a try before this one has made.
func (m *mark) open(c *client.Conn, path string, access smb2.Access, key smb2.LeaseKey, taken error) (smb2.Opened, error) {
	if _, err := m.made(c, path, taken); err != nil {
		return smb2.Opened{}, err
	}
	opened, err := c.Share.OpenAt(path, access, smb2.MustExist, key)
	opened.IsNew = err == nil
	return opened, err
}

func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if isRepeated(ctx) {
		return n.newRepeated(ctx, newFolder, name, out)
	}
	mark := newMark()
	at, err := inFolder(ctx, n, name, changing, func(t client.Attempt, path string) (found, error) {
		seen, err := t.Share.MakeFolder(path, false, mark.time(t.Conn))
		if t.IsRetry && isTaken(err) {
			seen, err = mark.made(t.Conn, path, err)
		}
		if err != nil {
			return found{}, err
		}
		return foundOn(t.Conn, seen), nil
	})
	return n.made(ctx, name, at, err, out)
}

// made answers a request that has made a folder or a link.
func (n *node) made(ctx context.Context, name string, at found, err error, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err != nil {
		return nil, n.share.characters.createErrno(err, name)
	}
	n.hasChanged(name)
	child := n.child(ctx, name, at)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

// Link gives a file another name, where the server has hard links.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	file := target.(*node)
	to, err := n.at(name)
	if err != nil {
		return nil, errnoOf(err)
	}
	from, err := file.where()
	if err == nil && (isVersion(from) || isVersion(to)) {
		err = syscall.EROFS
	}
	if err != nil {
		return nil, errnoOf(err)
	}
	at, err := change(ctx, n.share, client.Files, func(t client.Attempt) (found, error) {
		err := t.Share.Link(from, to)
		if err != nil && !(t.IsRetry && isTaken(err)) {
			return found{}, err
		}
		at, e := lookAt(t, to)
		if e == nil && err != nil && !file.isSame(at) {
			e = err
		}
		return at, e
	}, nil)
	if err != nil {
		if errno := n.share.characters.createErrno(err, name); errno != syscall.ENOTSUP {
			return nil, errno
		}
		return nil, syscall.EPERM
	}
	n.hasChanged(name)
	file.saw(at)
	file.fill(&out.Attr)
	return file.EmbeddedInode(), 0
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
