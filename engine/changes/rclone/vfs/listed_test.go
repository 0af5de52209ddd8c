package vfs

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
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

// timed tells when its time was set
type timed struct {
	fs.Object
	asked time.Time
}

func (o *timed) SetModTime(ctx context.Context, modTime time.Time) error {
	o.asked = time.Now()
	return o.Object.SetModTime(ctx, modTime)
}

func TestAListingFromBeforeAFileGotItsTimeDoesNotTellOfIt(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "old", t1)
	before, err := r.Fremote.NewObject(context.Background(), "file")
	require.NoError(t, err)
	r.WriteObject(context.Background(), "file", "new one", t1)
	now, err := r.Fremote.NewObject(context.Background(), "file")
	require.NoError(t, err)
	node, err := vfs.Stat("file")
	require.NoError(t, err)
	file := node.(*File)
	file.pendingModTime = t2
	sent := &timed{Object: now}
	file.setObject(sent)
	require.False(t, sent.asked.IsZero())
	file.setListed(before, sent.asked)
	assert.Equal(t, int64(7), file.Size())
}

// slow is asked for its size when the cache opens it
type slow struct {
	fs.Object
	asked, goOn chan struct{}
}

func (o *slow) Size() int64 {
	select {
	case o.asked <- struct{}{}:
	case <-o.goOn:
	}
	<-o.goOn
	return o.Object.Size()
}

func TestNothingNewIsToldOfAFileWhileTheCacheOpensIt(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "old", t1)
	o, err := r.Fremote.NewObject(context.Background(), "file")
	require.NoError(t, err)
	node, err := vfs.Stat("file")
	require.NoError(t, err)
	file := node.(*File)
	former := &slow{o, make(chan struct{}), make(chan struct{})}
	file.setObjectNoUpdate(former)
	opened, told := make(chan error, 1), make(chan struct{})
	go func() {
		handle, err := newRWFileHandle(vfs.root, file, os.O_RDWR)
		if err == nil {
			err = handle.Close()
		}
		opened <- err
	}()
	<-former.asked
	go func() { file.setObject(o); close(told) }()
	select {
	case <-told:
		t.Error("told of before the cache has it open")
	case <-time.After(50 * time.Millisecond):
	}
	close(former.goOn)
	require.NoError(t, <-opened)
	<-told
}
