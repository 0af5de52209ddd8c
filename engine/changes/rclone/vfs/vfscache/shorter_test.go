package vfscache

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unguarded reads what the file has now, as a server does
type unguarded struct {
	fs.Object
	path string
}

func (o *unguarded) Open(_ context.Context, options ...fs.OpenOption) (io.ReadCloser, error) {
	file, err := os.Open(o.path)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		if x, ok := option.(*fs.RangeOption); ok {
			_, err = file.Seek(x.Start, io.SeekStart)
		}
	}
	return file, err
}

func TestAReadOfWhatTheRemoteHasNoLongerFails(t *testing.T) {
	for _, left := range []int64{0, 10} {
		r, c := newItemTestCache(t)
		_, obj, item := newFileLength(t, r, c, "existing", 100)
		path := filepath.Join(c.fremote.Root(), "existing")
		require.NoError(t, item.Open(&unguarded{Object: obj, path: path}))
		t.Cleanup(func() { _ = item.Close(nil) })
		require.NoError(t, os.Truncate(path, left))
		ended := make(chan error, 1)
		go func() {
			_, err := item.ReadAt(make([]byte, 10), 50)
			ended <- err
		}()
		select {
		case err := <-ended:
			assert.ErrorContains(t, err, "shorter")
		case <-time.After(10 * time.Second):
			require.Fail(t, "the read does not end")
		}
	}
}
