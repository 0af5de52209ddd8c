package vfscache

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// formerly is a remote's file that tells of what it was
type formerly struct{ fs.Object }

func (formerly) Size() int64 { return 100 }

func TestAFileThatIsOpenedAsItWasWhileItIsSentIsNotTakenForAnothersChange(t *testing.T) {
	remote, contents, item, aside := openInPlace(t)
	before, err := item.c.fremote.NewObject(t.Context(), "existing")
	require.NoError(t, err)
	write(t, item, 100, "more")
	item.c.opt.WriteBack = fs.Duration(time.Hour)
	require.NoError(t, item.Close(nil))
	require.NoError(t, item.store(context.Background(), func(fs.Object) {
		require.NoError(t, item.Open(formerly{before}))
	}))
	write(t, item, 0, "and then")
	require.NoError(t, send(t, item))
	assert.Equal(t, "and then"+contents[8:]+"more", remoteText(t, remote))
	assert.NoDirExists(t, filepath.Join(aside, "files"))
}
