package vfs

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openToAppend(t *testing.T, vfs *VFS, name string) Handle {
	file, err := vfs.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	return file
}

func TestFirstWriteAfterARenameGoesToTheFileThatWasOpened(t *testing.T) {
	t.Run("renamed with its folder", func(t *testing.T) {
		r, vfs := newRenameVFS(t)
		r.WriteObject(context.Background(), "d/log", "one", t1)
		file := openToAppend(t, vfs, "d/log")
		require.NoError(t, vfs.Rename("d", "e"))
		_, err := file.Write([]byte(" two"))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		assert.Equal(t, "one two", sentOf(t, r, vfs, "e/log"))
		assert.False(t, remoteHas(t, r, "d/log"))
	})
	t.Run("renamed, and a new one made", func(t *testing.T) {
		r, vfs := newRenameVFS(t)
		r.WriteObject(context.Background(), "log", "one", t1)
		file := openToAppend(t, vfs, "log")
		require.NoError(t, vfs.Rename("log", "log.1"))
		require.NoError(t, vfs.WriteFile("log", []byte("new"), 0o600))
		_, err := file.Write([]byte(" two"))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		assert.Equal(t, "one two", sentOf(t, r, vfs, "log.1"))
		assert.Equal(t, "new", sentOf(t, r, vfs, "log"))
	})
}

func TestFirstReadAfterTheFileWasReplacedIsOfTheFileThatWasOpened(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "other", "other", t1)
	require.NoError(t, vfs.WriteFile("file", make([]byte, 5_000), 0o600))
	file, err := vfs.OpenFile("file", os.O_RDONLY, 0o600)
	require.NoError(t, err)
	assert.Len(t, sentOf(t, r, vfs, "file"), 5_000)
	require.NoError(t, vfs.Rename("other", "file"))
	n, err := file.ReadAt(make([]byte, 10), 4_000)
	require.NoError(t, err)
	assert.Equal(t, 10, n)
	require.NoError(t, file.Close())
}
