package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fstest"
	"github.com/rclone/rclone/vfs/vfscommon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const renameWriteBack = 200 * time.Millisecond

func newRenameVFS(t *testing.T) (*fstest.Run, *VFS) {
	opt := vfscommon.Opt
	opt.CacheMode = vfscommon.CacheModeWrites
	opt.WriteBack = fs.Duration(renameWriteBack)
	r, vfs := newTestVFSOpt(t, &opt)
	if r.Fremote.Features().Move == nil {
		t.Skip("cannot move")
	}
	return r, vfs
}

func sentOf(t *testing.T, r *fstest.Run, vfs *VFS, name string) string {
	time.Sleep(2 * renameWriteBack)
	vfs.WaitForWriters(waitForWritersDelay)
	o, err := r.Fremote.NewObject(context.Background(), name)
	require.NoError(t, err)
	in, err := o.Open(context.Background())
	require.NoError(t, err)
	contents, err := io.ReadAll(in)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	return string(contents)
}

func TestRenameOverUnsentFileKeepsWhatWasMoved(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached=%v", cached), func(t *testing.T) {
			r, vfs := newRenameVFS(t)
			r.WriteObject(context.Background(), "source", "moved", t1)
			require.NoError(t, vfs.WriteFile("target", []byte("unsent, and longer"), 0o600))
			if cached {
				file, err := vfs.OpenFile("source", os.O_RDWR, 0o600)
				require.NoError(t, err)
				require.NoError(t, file.Close())
			}
			require.NoError(t, vfs.Rename("source", "target"))
			contents, err := vfs.ReadFile("target")
			require.NoError(t, err)
			assert.Equal(t, "moved", string(contents))
			assert.Equal(t, "moved", sentOf(t, r, vfs, "target"))
		})
	}
}

func TestRenameThatFailsLeavesBothFiles(t *testing.T) {
	r, vfs := newRenameVFS(t)
	features := r.Fremote.Features()
	move := features.Move
	features.Move = func(context.Context, fs.Object, string) (fs.Object, error) {
		return nil, errors.New("in use")
	}
	r.WriteObject(context.Background(), "source", "source", t1)
	require.NoError(t, vfs.WriteFile("target", []byte("unsent"), 0o600))
	err := vfs.Rename("source", "target")
	features.Move = move // uploads need it, too
	require.Error(t, err)
	file, err := vfs.OpenFile("source", os.O_RDWR|os.O_APPEND, 0o600)
	require.NoError(t, err)
	_, err = file.Write([]byte(", more"))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	assert.Equal(t, "source, more", sentOf(t, r, vfs, "source"))
	assert.Equal(t, "unsent", sentOf(t, r, vfs, "target"))
}

func TestFileSavedByRenameDoesNotComeBack(t *testing.T) {
	for _, how := range []string{"removed", "moved", "replaced"} {
		t.Run(how, func(t *testing.T) {
			r, vfs := newRenameVFS(t)
			r.WriteObject(context.Background(), "file", "old", t1)
			_, err := vfs.Stat("file")
			require.NoError(t, err)
			require.NoError(t, vfs.WriteFile("new", []byte("saved"), 0o600))
			require.NoError(t, vfs.Rename("new", "file"))
			if how == "replaced" {
				require.NoError(t, vfs.WriteFile("new", []byte("saved again"), 0o600))
				require.NoError(t, vfs.Rename("new", "file"))
			}
			if how == "moved" {
				require.NoError(t, vfs.Rename("file", "elsewhere"))
				assert.Equal(t, "saved", sentOf(t, r, vfs, "elsewhere"))
			} else {
				require.NoError(t, vfs.Remove("file"))
			}
			_, err = r.Fremote.NewObject(context.Background(), "file")
			assert.ErrorIs(t, err, fs.ErrorObjectNotFound)
		})
	}
}
