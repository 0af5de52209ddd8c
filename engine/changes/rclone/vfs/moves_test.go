package vfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARenameWithoutAnAnswerIsDone(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "from", "moved, and more", t1)
	replaced := openNew(t, vfs, "to", "unsent")
	file, err := vfs.OpenFile("from", os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("MOVED"), 0)
	require.NoError(t, err)
	withLostAnswer(t, r)
	require.NoError(t, vfs.Rename("from", "to"))
	_, err = replaced.WriteAt([]byte("still unsent"), 0)
	require.NoError(t, err)
	require.NoError(t, replaced.Close())
	_, err = file.WriteAt([]byte("AND"), 7)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	assert.Equal(t, "MOVED, AND more", sentOf(t, r, vfs, "to"))
	_, err = r.Fremote.NewObject(context.Background(), "from")
	assert.ErrorIs(t, err, fs.ErrorObjectNotFound)
}

// inFolder opens a file of a folder that the server has, and changes it in place
func inFolder(t *testing.T, vfs *VFS) Handle {
	file, err := vfs.OpenFile("from/file", os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("WHAT"), 0)
	require.NoError(t, err)
	return file
}

func TestAFileThatIsChangedInPlaceIsWholeAfterItsFolderMoved(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			r, vfs := newRenameVFS(t)
			r.WriteObject(context.Background(), "from/file", "what the server has", t1)
			file := inFolder(t, vfs)
			if !answers {
				features := r.Fremote.Features()
				move := features.DirMove
				features.DirMove = func(ctx context.Context, src fs.Fs, from, to string) error {
					_ = move(ctx, src, from, to)
					return errors.New("connection lost")
				}
				t.Cleanup(func() { features.DirMove = move })
			}
			require.NoError(t, vfs.Rename("from", "to"))
			require.NoError(t, file.Close())
			assert.Equal(t, "WHAT the server has", sentOf(t, r, vfs, "to/file"))
			_, err := r.Fremote.List(context.Background(), "from")
			assert.ErrorIs(t, err, fs.ErrorDirNotFound)
		})
	}
}

func TestNothingIsSentToAFolderThatMoves(t *testing.T) {
	r, vfs := newRenameVFS(t)
	ctx := context.Background()
	features := r.Fremote.Features()
	move := features.DirMove
	features.DirMove = func(ctx context.Context, src fs.Fs, from, to string) error {
		err := move(ctx, src, from, to)
		time.Sleep(3 * renameWriteBack)
		return err
	}
	t.Cleanup(func() { features.DirMove = move })
	r.WriteObject(ctx, "from/file", "what the server has", t1)
	require.NoError(t, inFolder(t, vfs).Close())
	require.NoError(t, vfs.WriteFile("from/new", []byte("new"), 0o600))
	late := openNew(t, vfs, "from/late", "late")
	closed := make(chan error)
	go func() {
		time.Sleep(renameWriteBack / 2)
		closed <- late.Close()
	}()
	require.NoError(t, vfs.Rename("from", "to"))
	require.NoError(t, <-closed)
	assert.Equal(t, "new", sentOf(t, r, vfs, "to/new"))
	assert.Equal(t, "late", sentOf(t, r, vfs, "to/late"))
	assert.Equal(t, "WHAT the server has", sentOf(t, r, vfs, "to/file"))
	_, err := r.Fremote.List(ctx, "from")
	assert.ErrorIs(t, err, fs.ErrorDirNotFound)
}

// killed ends what a VFS does, as a kill would, and returns the next one
func killed(t *testing.T, vfs *VFS) *VFS {
	vfs.cancelCache()
	opt := vfs.Opt
	opt.ReadWait++ // another VFS
	next := New(context.Background(), vfs.Fs(), &opt)
	t.Cleanup(func() {
		next.Shutdown()
		vfs.cache = next.cache // nobody waits for what it has not sent
	})
	return next
}

func TestAKillWhileTheServerRenames(t *testing.T) {
	for _, kind := range []string{"file", "folder"} {
		t.Run(kind, func(t *testing.T) {
			r, vfs := newRenameVFS(t)
			ctx := context.Background()
			features := r.Fremote.Features()
			move, moveDir := features.Move, features.DirMove
			release, moved := make(chan struct{}), make(chan struct{})
			stop := func(err error) error {
				close(moved)
				<-release
				return errors.New("killed")
			}
			r.WriteObject(ctx, "from/file", "what the server has", t1)
			require.NoError(t, inFolder(t, vfs).Close())
			from, to, now := "from/file", "to", "to"
			if kind == "folder" {
				from, now = "from", "to/file"
			} else {
				require.NoError(t, vfs.WriteFile("to", []byte("replaced"), 0o600))
			}
			features.Move = func(ctx context.Context, o fs.Object, name string) (fs.Object, error) {
				_, err := move(ctx, o, name)
				return nil, stop(err)
			}
			features.DirMove = func(ctx context.Context, src fs.Fs, from, to string) error {
				return stop(moveDir(ctx, src, from, to))
			}
			ended := make(chan error)
			go func() { ended <- vfs.Rename(from, to) }()
			<-moved
			features.Move, features.DirMove = move, moveDir
			next := killed(t, vfs)
			assert.Equal(t, "WHAT the server has", sentOf(t, r, next, now))
			_, err := r.Fremote.NewObject(ctx, "from/file")
			assert.True(t, isMissing(err))
			close(release)
			<-ended
		})
	}
}

// SQLite, say, opens its database with O_CREAT
func TestWhatIsUnsentIsNotEmptiedByAnOpenAfterARestart(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "what the server has", t1)
	file, err := vfs.OpenFile("file", os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("WHAT"), 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	next := killed(t, vfs)
	node := next.root.items["file"].(*File)
	require.Nil(t, node.getObject(), "not listed yet")
	opened, err := node.Open(os.O_RDWR | os.O_CREATE)
	require.NoError(t, err)
	assertReads(t, opened, "WHAT the server has")
	require.NoError(t, opened.Close())
	assert.Equal(t, "WHAT the server has", sentOf(t, r, next, "file"))
}
