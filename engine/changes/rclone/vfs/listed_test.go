package vfs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAListingFromBeforeAFileWasSentDoesNotTellOfIt(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "old", t1)
	before, err := r.Fremote.NewObject(context.Background(), "file")
	require.NoError(t, err)
	asked := time.Now()
	require.NoError(t, vfs.WriteFile("file", []byte("new one"), 0o600))
	assert.Equal(t, "new one", sentOf(t, r, vfs, "file"))
	node, err := vfs.Stat("file")
	require.NoError(t, err)
	file := node.(*File)
	file.setListed(before, asked)
	assert.Equal(t, int64(7), file.Size())
	file.setListed(before, time.Now())
	assert.Equal(t, int64(3), file.Size())
}
