package mount

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

// The folder in the root that has the server's snapshots, each as a folder named by its time. No listing shows it. If the share has a folder of
// that name, that is used instead.
const versionsFolder = ".versions"

const versionForm = "2006-01-02T15:04:05Z"

// versions is the node of that folder.
type versions struct {
	fs.Inode
	share *Share
}

var (
	_ fs.NodeLookuper  = (*versions)(nil)
	_ fs.NodeReaddirer = (*versions)(nil)
	_ fs.NodeGetattrer = (*versions)(nil)
)

// snapshots are the times of the server's snapshots, oldest first.
func (s *Share) snapshots(ctx context.Context) ([]time.Time, error) {
	times, err := query(ctx, s, func(t client.Attempt) ([]time.Time, error) {
		root, err := t.Share.OpenFolder("")
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return root.Snapshots()
	})
	if errors.Is(err, smb2.ErrNoSnapshots) || err == nil && len(times) == 0 {
		return nil, syscall.ENOENT
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, err
}

// versionsOf looks up the folder of snapshots in the root.
func (n *node) versionsOf(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if !n.IsRoot() || name != versionsFolder {
		return nil, syscall.ENOENT
	}
	if _, err := n.share.snapshots(ctx); err != nil {
		return nil, errnoOf(err)
	}
	if known := n.GetChild(name); known != nil {
		if v, ok := known.Operations().(*versions); ok {
			v.fill(&out.Attr)
			return known, 0
		}
	}
	v := &versions{share: n.share}
	inode := n.NewInode(ctx, v, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: inoOfVersion(name)})
	v.fill(&out.Attr)
	return inode, 0
}

// inoOfVersion: in a snapshot, files have the same ids as the present ones.
func inoOfVersion(path string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	return hash.Sum64() | 1<<63
}

func (v *versions) fill(out *fuse.Attr) {
	out.Mode, out.Uid, out.Gid, out.Nlink = syscall.S_IFDIR|v.share.DirMode&^0o222, v.share.Uid, v.share.Gid, 1
	out.Ino = v.StableAttr().Ino
}

func (v *versions) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	v.fill(&out.Attr)
	return 0
}

func (v *versions) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	times, err := v.share.snapshots(ctx)
	if err != nil {
		return nil, errnoOf(err)
	}
	entries := make([]fuse.DirEntry, 0, len(times))
	for _, each := range times {
		name := each.UTC().Format(versionForm)
		entries = append(entries, fuse.DirEntry{Mode: syscall.S_IFDIR, Name: name, Ino: inoOfVersion(versionsFolder + "/" + name)})
	}
	return fs.NewListDirStream(entries), 0
}

func (v *versions) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	wanted, err := time.Parse(versionForm, name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	info, err := query(ctx, v.share, func(t client.Attempt) (fileInfo, error) { return statAt(t, smb2.SnapshotPath(wanted)) })
	if err != nil {
		return nil, errnoOf(err)
	}
	inode := v.GetChild(name)
	if inode == nil {
		root := &node{share: v.share}
		root.storeStat(info)
		inode = v.NewInode(ctx, root, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: inoOfVersion(versionsFolder + "/" + name)})
	}
	inode.Operations().(*node).fill(&out.Attr)
	return inode, 0
}

// intoVersion splits the names of a path (the last one first) into a snapshot's path and the names below it.
func intoVersion(first *fs.Inode, names []string) (root string, rest []string) {
	if _, ok := first.Operations().(*versions); !ok || len(names) < 2 {
		return "", names
	}
	at, _ := time.Parse(versionForm, names[len(names)-2])
	return smb2.SnapshotPath(at), names[:len(names)-2]
}

// isVersion: the path is in a snapshot, which cannot be changed.
func isVersion(path string) bool {
	return strings.HasPrefix(path, "@GMT-") && smb2.IsSnapshotPath(path)
}
