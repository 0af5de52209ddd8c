//go:build linux || (darwin && amd64)

package mount2

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/vfs"
	"github.com/rclone/rclone/vfs/vfscommon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file that is not sent yet has the length that it was given, also if the server's has that length already.
func TestTruncateBeforeTheFileIsSent(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "sent")
	require.NoError(t, config.SetCacheDir(t.TempDir()))
	f, err := fs.NewFs(context.Background(), folder)
	require.NoError(t, err)
	opt := vfscommon.Opt
	opt.CacheMode, opt.WriteBack = vfscommon.CacheModeWrites, fs.Duration(time.Hour)
	VFS := vfs.New(context.Background(), f, &opt)
	t.Cleanup(VFS.Shutdown)
	for _, name := range []string{"new", "sent"} {
		file, err := VFS.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
		require.NoError(t, err)
		_, err = file.Write([]byte("a longer text"))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		for _, size := range []int64{4, 10} {
			node, err := VFS.Stat(name)
			require.NoError(t, err)
			require.NoError(t, node.Truncate(size), name)
			assert.Equal(t, size, node.Size(), name)
		}
		text, err := VFS.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, "a lo\x00\x00\x00\x00\x00\x00", string(text), name)
	}
}
