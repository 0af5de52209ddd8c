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
		return repeatedHandle{}, fuse.FOPEN_KEEP_CACHE, n.acceptFileCall(openCall)
	}
	h := newHandle(n, flags)
	isTruncating := flags&syscall.O_TRUNC != 0
	_, err := onFile(ctx, h, reading, func(client.Attempt, *smb2.Handle) (struct{}, error) { return struct{}{}, nil })
	if err == nil && isTruncating {
		// Also of a file that is opened for reading: Linux allows that to those who may write.
		err = n.resize(ctx, n.writer(h), 0)
	}
	if err != nil {
		h.Release(ctx)
		if isStaleName(err) {
			// The kernel then looks the name up again, and creates the file if it is to. The listing's entry is outdated.
			if parent, name := n.folder(); parent != nil {
				parent.names.forget(name)
			}
			return nil, 0, syscall.ESTALE
		}
		return nil, 0, errnoOf(err)
	}
	return h, n.keepCache(h), 0
}

// keepCache: the kernel may keep its pages, as a lease has covered the file since it read them.
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

// Create makes or opens a file in one request, so that the server decides which client makes it.
func (n *node) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if isRepeated(ctx) {
		child, errno := n.createRepeated(ctx, newFile, name, out)
		return child, repeatedHandle{}, fuse.FOPEN_KEEP_CACHE, errno
	}
	path, err := n.pathOfName(name)
	if err != nil {
		return nil, nil, 0, errnoOf(err)
	}
	c := creation{path: path, flags: flags, mark: newMark()}
	_, _ = rand.Read(c.key[:])
	created, err := createOnceFree(ctx, n, name, func() (createdFile, error) {
		return change(ctx, n.share, client.Files, c.create, func(late createdFile) { _, _ = late.Close() })
	})
	if err != nil {
		return nil, nil, 0, n.share.mapping.createErrno(err, name)
	}
	n.nameChanged(name)
	child := n.child(ctx, name, created.at)
	file := child.Operations().(*node)
	h := newHandle(file, flags)
	if flags&syscall.O_TRUNC != 0 && !created.IsNew {
		file.writeAnswered(created.conn, time.Now(), 0, false)
		h.isDirty.Store(true)
	}
	file.useLease(path, c.key)
	h.mu.Lock()
	h.setOpened(created.conn, created.Opened)
	h.mu.Unlock()
	file.contentChanged()
	if created.IsNew {
		file.storeStat(created.at)
	}
	file.fill(&out.Attr)
	return child, h, 0, 0
}

// creation is what Create asks of the server.
type creation struct {
	path  string
	flags uint32
	key   smb2.LeaseKey
	mark  *mark
}

// createdFile is a file that was opened on that connection, and perhaps created.
type createdFile struct {
	smb2.Opened
	at   fileInfo
	conn *client.Conn
}

func (c creation) create(t client.Attempt) (createdFile, error) {
	opened, err := c.open(t)
	if err == nil && c.flags&syscall.O_TRUNC != 0 && !opened.IsNew && opened.FileStat.EndOfFile > 0 {
		if err = opened.Resize(0); err != nil {
			_, _ = opened.Close()
		}
		opened.FileStat.EndOfFile = 0
	}
	if err != nil {
		return createdFile{}, err
	}
	return createdFile{opened, infoOn(t.Conn, opened.FileStat), t.Conn}, nil
}

// open fails if the file exists and O_EXCL is set, unless an earlier attempt has created it.
func (c creation) open(t client.Attempt) (smb2.Opened, error) {
	access := accessOf(c.flags)
	if c.flags&syscall.O_EXCL == 0 {
		return t.Share.OpenAt(c.path, access, smb2.MayExist, c.key)
	}
	opened, err := t.Share.MakeFile(c.path, access, c.key, c.mark.time(t.Conn))
	if t.IsRetry && isTaken(err) {
		opened, err = c.mark.open(t.Conn, c.path, access, c.key, err)
	}
	return opened, err
}

// mark is a unique creation time, by which a retry recognizes a file that an earlier attempt has created. Its unit is 100 ns.
type mark struct {
	at time.Time
}

func newMark() *mark { return &mark{} }

// time is by the server's clock, and the same for all attempts.
func (m *mark) time(c *client.Conn) time.Time {
	if m.at.IsZero() {
		var random [4]byte
		_, _ = rand.Read(random[:])
		before := time.Duration(binary.LittleEndian.Uint32(random[:])%10_000_000) * 100
		m.at = time.Now().Add(c.ClockAhead).Truncate(100).Add(-before)
	}
	return m.at
}

func (m *mark) isOn(stat *smb2.FileStat) bool {
	return !m.at.IsZero() && stat.CreationTime.Equal(m.at)
}

// findMade returns the file at path if an earlier attempt has created it; otherwise taken.
func (m *mark) findMade(c *client.Conn, path string, taken error) (*smb2.FileStat, error) {
	stat, err := c.Share.StatAt(path)
	if isAbsent(err) || err == nil && !m.isOn(stat) {
		err = taken
	}
	return stat, err
}

// open opens the file that an earlier attempt has created.
func (m *mark) open(c *client.Conn, path string, access smb2.Access, key smb2.LeaseKey, taken error) (smb2.Opened, error) {
	if _, err := m.findMade(c, path, taken); err != nil {
		return smb2.Opened{}, err
	}
	opened, err := c.Share.OpenAt(path, access, smb2.MustExist, key)
	opened.IsNew = err == nil
	return opened, err
}

func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if isRepeated(ctx) {
		return n.createRepeated(ctx, newFolder, name, out)
	}
	mark := newMark()
	info, err := createOnceFree(ctx, n, name, func() (fileInfo, error) {
		return atName(ctx, n, name, changing, func(t client.Attempt, path string) (fileInfo, error) {
			stat, err := t.Share.MakeFolder(path, false, mark.time(t.Conn))
			if t.IsRetry && isTaken(err) {
				stat, err = mark.findMade(t.Conn, path, err)
			}
			return infoOrError(t.Conn, stat, err)
		})
	})
	return n.answerMade(ctx, name, info, err, out)
}

// answerMade answers a request that has created a folder or a symbolic link, or failed to.
func (n *node) answerMade(ctx context.Context, name string, info fileInfo, err error, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err != nil {
		return nil, n.share.mapping.createErrno(err, name)
	}
	n.nameChanged(name)
	child := n.child(ctx, name, info)
	child.Operations().(*node).fill(&out.Attr)
	return child, 0
}

// Link gives a file another name, where the server has hard links.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	file := target.(*node)
	to, err := n.pathOfName(name)
	if err != nil {
		return nil, errnoOf(err)
	}
	from, err := file.serverPath()
	if err == nil && (isVersion(from) || isVersion(to)) {
		err = syscall.EROFS
	}
	if err != nil {
		return nil, errnoOf(err)
	}
	link := func(t client.Attempt) (fileInfo, error) {
		err := t.Share.Link(from, to)
		if err != nil && !(t.IsRetry && isTaken(err)) {
			return fileInfo{}, err
		}
		info, e := statAt(t, to)
		if e == nil && err != nil && !file.isSame(info) {
			e = err
		}
		return info, e
	}
	info, err := createOnceFree(ctx, n, name, func() (fileInfo, error) { return change(ctx, n.share, client.Files, link, nil) })
	if err != nil {
		if errno := n.share.mapping.createErrno(err, name); errno != syscall.ENOTSUP {
			return nil, errno
		}
		return nil, syscall.EPERM
	}
	n.nameChanged(name)
	file.refresh(info)
	file.fill(&out.Attr)
	return file.EmbeddedInode(), 0
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
