package mount

import (
	"context"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

// The attributes of a file: read from the server (freshStat), stored (storeStat, refresh), shown to the kernel (fill).

// storeStat stores the attributes that the server has sent.
func (n *node) storeStat(info fileInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.symlink.store(info)
	n.statAt = time.Now()
	if n.stat == nil {
		n.identity, n.stat = info.identity(), info.stat
		return
	}
	n.identity = n.identity.next(info)
	links := n.stat.NumberOfLinks
	if n.stat = info.stat; n.stat.NumberOfLinks == 0 {
		// Listings do not have it.
		stat := *info.stat
		stat.NumberOfLinks, n.stat = links, &stat
	}
}

// refresh is storeStat for a file with known attributes. If it has changed, bytes that were read ahead are dropped before the kernel gets the new attributes.
func (n *node) refresh(info fileInfo) {
	n.mu.Lock()
	before, wrote := n.stat, n.times.wrote
	n.mu.Unlock()
	n.storeStat(info)
	stat := info.stat
	isChanged := !before.ChangeTime.Equal(stat.ChangeTime) || !before.LastWriteTime.Equal(stat.LastWriteTime)
	if before.EndOfFile != stat.EndOfFile || isChanged && wrote.IsZero() {
		n.dropRead()
	}
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if left := n.statValidFor(); left > 0 {
		n.fill(&out.Attr)
		out.SetTimeout(left)
		return 0
	}
	if n.IsRoot() && !n.share.isMounted.Load() || isRepeated(ctx) {
		n.fill(&out.Attr)
		return 0
	}
	info, err := n.freshStat(ctx)
	if parent, name := n.folder(); err == nil && parent != nil {
		info, err = parent.resolved(ctx, name, info)
	}
	if err == nil && !n.isSame(info) && !n.IsRoot() {
		err = syscall.ESTALE
	}
	if err != nil {
		return errnoOf(err)
	}
	n.refresh(info)
	n.fill(&out.Attr)
	return 0
}

// statValidFor is how much longer stat may be used; 0: it is too old, or from before the last change by this machine.
func (n *node) statValidFor() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.identity.isFolder || n.statAt.Before(n.changedAt) {
		return 0
	}
	return attributesFor - time.Since(n.statAt)
}

// freshStat reads the attributes by a handle if the file is open, else by its name, which may belong to a different file now.
func (n *node) freshStat(ctx context.Context) (fileInfo, error) {
	handles := n.handles()
	for _, h := range handles {
		if h.isOpened() {
			return h.stat(ctx)
		}
	}
	if info, ok := n.listedByParent(); ok {
		return info, nil
	}
	return atPath(ctx, n, reading, func(t client.Attempt, path string) (fileInfo, error) {
		info, err := statAt(t, path)
		if err == nil && !n.isSame(info) && !n.IsRoot() || len(handles) > 0 && isAbsent(err) {
			err = syscall.ESTALE
		}
		return info, err
	})
}

func (n *node) fill(out *fuse.Attr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.share.fill(out, n.stat, n.times.shown(n.stat))
	if n.identity.isLink {
		out.Mode, out.Size = syscall.S_IFLNK|0o777, uint64(len(n.symlink.target))
	}
	out.Ino = n.StableAttr().Ino
}

func (s *Share) fill(out *fuse.Attr, stat *smb2.FileStat, written time.Time) {
	out.Mode, out.Uid, out.Gid = syscall.S_IFREG|s.FileMode, s.Uid, s.Gid
	if stat.IsDir() {
		out.Mode = syscall.S_IFDIR | s.DirMode
	} else if stat.FileAttributes&readOnly != 0 {
		out.Mode &^= 0o222
	}
	out.Size = uint64(stat.EndOfFile)
	out.Blocks = uint64(stat.AllocationSize+511) / 512
	if out.Blocks == 0 {
		// Some servers store small files in no block, which programs would take for a sparse file.
		out.Blocks = (out.Size + 511) / 512
	}
	out.Blksize = chunkAtMost
	out.Nlink = max(1, stat.NumberOfLinks)
	if stat.IsDir() {
		out.Nlink = 1
	}
	changed := stat.ChangeTime
	if written.After(changed) {
		changed = written
	}
	out.SetTimes(&stat.LastAccessTime, &written, &changed)
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := atPath(ctx, n, reading, func(t client.Attempt, path string) (smb2.FileFsInfo, error) { return t.Share.Space(path) })
	if err != nil {
		return errnoOf(err)
	}
	out.Bsize = uint32(space.BlockSize())
	out.Frsize = out.Bsize
	out.Blocks, out.Bfree, out.Bavail = space.TotalBlockCount(), space.FreeBlockCount(), space.AvailableBlockCount()
	out.NameLen = nameAtMost
	return 0
}
