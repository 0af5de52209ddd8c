package vfscache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rclone/rclone/fs/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fill makes the disk of the cache take no further note until release is called
func fill(t *testing.T) (release func()) {
	folder := config.GetCacheDir()
	require.NoError(t, config.SetCacheDir(filepath.Join(t.TempDir(), "full")))
	return func() { require.NoError(t, config.SetCacheDir(folder)) }
}

func TestAFullDiskDestroysNothingUnsentThatIsOpened(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 20, "0123456789")
	// As the next process finds it.
	delete(c.item, "existing")
	next := newItem(c, "existing")
	release := fill(t)
	require.NoError(t, next.Open(item.o))
	read := make([]byte, 10)
	_, err := next.ReadAt(read, 20)
	require.NoError(t, err)
	assert.Equal(t, "0123456789", string(read))
	_, err = next.WriteAt([]byte("lost"), 40)
	assert.Error(t, err, "a write that cannot be noted fails")
	release()
	_, sent := afterKill(t, c, contents)
	assert.Equal(t, contents[:20]+"0123456789", string(sent[:30]))
}

func TestAFileThatCannotBeCachedLeavesNothing(t *testing.T) {
	_, c := newItemTestCache(t)
	release := fill(t)
	defer release()
	item, _ := c.get("new")
	require.Error(t, item.Open(nil))
	_, err := os.Stat(c.toOSPath("new"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}
