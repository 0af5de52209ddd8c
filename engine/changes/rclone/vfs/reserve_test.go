package vfs

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/object"
	"github.com/rclone/rclone/fstest"
	"github.com/rclone/rclone/vfs/vfscommon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reserving is a remote that creates a file only if there is none
type reserving struct {
	fs.Fs
	asked int
}

func (r *reserving) Reserve(ctx context.Context, remote string) (fs.Object, error) {
	r.asked++
	if _, err := r.NewObject(ctx, remote); err == nil {
		return nil, &os.PathError{Op: "open", Path: remote, Err: os.ErrExist}
	}
	return r.Put(ctx, strings.NewReader(""), object.NewStaticObjectInfo(remote, t1, 0, true, nil, r))
}

func newReservingVFS(t *testing.T) (*fstest.Run, *VFS, *reserving) {
	r := fstest.NewRun(t)
	remote := &reserving{Fs: r.Fremote}
	opt := vfscommon.Opt
	opt.CacheMode = vfscommon.CacheModeWrites
	opt.WriteBack = fs.Duration(renameWriteBack)
	vfs := New(context.Background(), remote, &opt)
	t.Cleanup(func() { cleanupVFS(t, vfs) })
	return r, vfs, remote
}

const exclusive = os.O_CREATE | os.O_EXCL | os.O_WRONLY

func create(t *testing.T, vfs *VFS, name, contents string) {
	file, err := vfs.OpenFile(name, exclusive, 0o600)
	require.NoError(t, err)
	_, err = file.Write([]byte(contents))
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func remoteHas(t *testing.T, r *fstest.Run, name string) bool {
	_, err := r.Fremote.NewObject(context.Background(), name)
	if err != nil {
		require.ErrorIs(t, err, fs.ErrorObjectNotFound)
	}
	return err == nil
}

func TestExclusiveCreateFailsWhereAnotherClientHasCreated(t *testing.T) {
	r, vfs, _ := newReservingVFS(t)
	_, err := vfs.ReadDir("")
	require.NoError(t, err)
	r.WriteObject(context.Background(), "lock", "theirs", t1)
	_, err = vfs.OpenFile("lock", exclusive, 0o600)
	require.ErrorIs(t, err, EEXIST)
	contents, err := vfs.ReadFile("lock")
	require.NoError(t, err, "what they made is visible at once")
	assert.Equal(t, "theirs", string(contents))
	assert.Equal(t, "theirs", sentOf(t, r, vfs, "lock"))
}

func TestExclusiveCreateHoldsTheNameAtOnce(t *testing.T) {
	r, vfs, remote := newReservingVFS(t)
	file, err := vfs.OpenFile("lock", exclusive, 0o600)
	require.NoError(t, err)
	assert.True(t, remoteHas(t, r, "lock"))
	_, err = vfs.OpenFile("lock", exclusive, 0o600)
	require.ErrorIs(t, err, EEXIST)
	assert.Equal(t, 1, remote.asked, "an unsent file is known without asking")
	_, err = file.Write([]byte("ours"))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	assert.Equal(t, "ours", sentOf(t, r, vfs, "lock"))
	assert.False(t, vfs.cache.IsReserved("lock"))
}

func TestReservedNameEndsWithTheFile(t *testing.T) {
	for _, listed := range []bool{false, true} {
		r, vfs, _ := newReservingVFS(t)
		create(t, vfs, "lock", "ours")
		if listed {
			require.NoError(t, vfs.root.readDir())
		}
		require.NoError(t, vfs.Remove("lock"))
		assert.False(t, remoteHas(t, r, "lock"))
	}
}

func TestReservationDoesNotReplaceWhatItsFileIsSavedOver(t *testing.T) {
	for _, listed := range []bool{false, true} {
		r, vfs, _ := newReservingVFS(t)
		r.WriteObject(context.Background(), "file", "old", t1)
		create(t, vfs, "new", "saved")
		if listed {
			require.NoError(t, vfs.root.readDir())
		}
		require.NoError(t, vfs.Rename("new", "file"))
		assert.False(t, remoteHas(t, r, "new"))
		o, err := r.Fremote.NewObject(context.Background(), "file")
		require.NoError(t, err)
		assert.Equal(t, int64(len("old")), o.Size(), "the old version stays until the new one is sent")
		node, err := vfs.Stat("file")
		require.NoError(t, err)
		assert.Nil(t, node.(*File).getObject(), "what held the other name is gone")
		assert.Equal(t, "saved", sentOf(t, r, vfs, "file"))
	}
}

func TestReservationMovesWithItsFolder(t *testing.T) {
	r, vfs, _ := newReservingVFS(t)
	require.NoError(t, vfs.Mkdir("d", 0o700))
	create(t, vfs, "d/file", "ours")
	require.NoError(t, vfs.Rename("d", "e"))
	require.NoError(t, vfs.Remove("e/file"))
	assert.False(t, remoteHas(t, r, "e/file"))
}

func TestReservationEndsIfTheFileCannotBeOpened(t *testing.T) {
	r, vfs, _ := newReservingVFS(t)
	cache := vfs.cache.Stats()["path"].(string)
	require.NoError(t, os.RemoveAll(cache))
	require.NoError(t, os.WriteFile(cache, nil, 0o600))
	t.Cleanup(func() { _ = os.Remove(cache) })
	_, err := vfs.OpenFile("lock", exclusive, 0o600)
	require.Error(t, err)
	assert.False(t, remoteHas(t, r, "lock"))
}
