//go:build linux || (darwin && amd64)

package mount2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/rclone/rclone/cmd/mountlib"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/vfs"
	"github.com/rclone/rclone/vfs/vfscommon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newCachingFS(t *testing.T, folder string) *FS {
	require.NoError(t, config.SetCacheDir(t.TempDir()))
	f, err := fs.NewFs(context.Background(), folder)
	require.NoError(t, err)
	opt := vfscommon.Opt
	opt.CacheMode = vfscommon.CacheModeWrites
	VFS := vfs.New(context.Background(), f, &opt)
	t.Cleanup(VFS.Shutdown)
	return NewFS(VFS, &mountlib.Options{})
}

func TestWhatIsWrittenThroughAMappingGoesToItsPlace(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "file")
	fsys := newCachingFS(t, folder)
	root, err := fsys.Root()
	require.NoError(t, err)
	raw := pageWrites{fusefs.NewNodeFS(root, &fusefs.Options{})}
	var entry fuse.EntryOut
	header := fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}
	require.Equal(t, fuse.OK, raw.Lookup(nil, &header, "file", &entry))
	header.NodeId = entry.NodeId
	var opened fuse.OpenOut
	require.Equal(t, fuse.OK, raw.Open(nil, &fuse.OpenIn{InHeader: header, Flags: uint32(os.O_RDWR | os.O_APPEND)}, &opened))
	for _, data := range []string{"appended", "and more"} {
		_, status := raw.Write(nil, &fuse.WriteIn{InHeader: header, Fh: opened.Fh}, []byte(data))
		require.Equal(t, fuse.OK, status)
	}
	_, status := raw.Write(nil, &fuse.WriteIn{InHeader: header, Fh: opened.Fh, Offset: 4, WriteFlags: fuse.WRITE_CACHE}, []byte("MAPPED"))
	require.Equal(t, fuse.OK, status)
	contents, err := fsys.VFS.ReadFile("file")
	require.NoError(t, err)
	assert.Equal(t, "fileMAPPEDedand more", string(contents))
}

func TestAFullDiskIsToldAsSuch(t *testing.T) {
	for _, err := range []error{
		&os.PathError{Op: "write", Path: "file", Err: syscall.ENOSPC},
		fmt.Errorf("vfs cache: %w", errors.New("no space left on device")),
	} {
		assert.Equal(t, syscall.ENOSPC, translateError(err))
	}
}
