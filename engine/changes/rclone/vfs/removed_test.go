package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fstest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openNew(t *testing.T, vfs *VFS, name, contents string) Handle {
	file, err := vfs.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte(contents), 0)
	require.NoError(t, err)
	return file
}

func assertReads(t *testing.T, file Handle, want string) {
	contents := make([]byte, len(want)+1)
	n, err := file.ReadAt(contents, 0)
	if err != io.EOF {
		require.NoError(t, err)
	}
	assert.Equal(t, want, string(contents[:n]))
	info, err := file.Stat()
	require.NoError(t, err)
	assert.Equal(t, int64(len(want)), info.Size())
}

// cacheFiles lists what the cache has on the disk
func cacheFiles(t *testing.T, vfs *VFS) (names []string) {
	stats := vfs.cache.Stats()
	for _, root := range []string{"path", "pathMeta"} {
		require.NoError(t, filepath.WalkDir(stats[root].(string), func(path string, entry os.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				names = append(names, root+" "+entry.Name())
			}
			return err
		}))
	}
	return names
}

func TestAnOpenFileThatIsRemovedMeetsNoNewOne(t *testing.T) {
	for _, how := range []string{"removed", "replaced by a new one", "replaced by a moved one", "replaced by a sent one"} {
		t.Run(how, func(t *testing.T) {
			r, vfs := newRenameVFS(t)
			r.WriteObject(context.Background(), "sent", "new", t1)
			open := openNew(t, vfs, "name", "old")
			want := "new"
			switch how {
			case "removed":
				require.NoError(t, vfs.Remove("name"))
				want = ""
			case "replaced by a new one":
				require.NoError(t, vfs.Remove("name"))
				require.NoError(t, vfs.WriteFile("name", []byte("new"), 0o600))
			case "replaced by a moved one":
				require.NoError(t, vfs.WriteFile("other", []byte("new"), 0o600))
				require.NoError(t, vfs.Rename("other", "name"))
			case "replaced by a sent one":
				require.NoError(t, vfs.Rename("sent", "name"))
			}
			_, err := open.WriteAt([]byte(", and more"), 3)
			require.NoError(t, err)
			require.NoError(t, open.Sync())
			assertReads(t, open, "old, and more")
			require.NoError(t, open.Truncate(5))
			assertReads(t, open, "old, ")
			require.NoError(t, open.Node().SetModTime(t2))
			require.NoError(t, open.Close())
			if want != "" {
				contents, err := vfs.ReadFile("name")
				require.NoError(t, err)
				assert.Equal(t, want, string(contents))
				assert.Equal(t, want, sentOf(t, r, vfs, "name"))
				return
			}
			time.Sleep(2 * renameWriteBack)
			_, err = r.Fremote.NewObject(context.Background(), "name")
			assert.ErrorIs(t, err, fs.ErrorObjectNotFound)
			_, err = vfs.Stat("name")
			assert.ErrorIs(t, err, ENOENT)
			assert.Empty(t, cacheFiles(t, vfs))
		})
	}
}

func TestAnOpenFileOfTheServerCanBeReadAfterItsRemoval(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "what the server had", t1)
	file, err := vfs.OpenFile("file", os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("WHAT"), 0)
	require.NoError(t, err)
	require.NoError(t, vfs.Remove("file"))
	assertReads(t, file, "WHAT the server had")
	require.NoError(t, file.Close())
	_, err = vfs.Stat("file")
	assert.ErrorIs(t, err, ENOENT)
	assert.Empty(t, cacheFiles(t, vfs))
}

type refusing struct{ fs.Object }

func (refusing) Remove(context.Context) error { return errors.New("refused") }

func TestARefusedRemovalKeepsWhatIsUnsent(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", "old", t1)
	file, err := vfs.OpenFile("file", os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("unsent"), 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	node := file.Node().(*File)
	node.o = refusing{node.o}
	require.Error(t, vfs.Remove("file"))
	assert.Equal(t, "unsent", sentOf(t, r, vfs, "file"))
}

// withLostAnswer lets the next rename on the remote happen, and tell an error
func withLostAnswer(t *testing.T, r *fstest.Run) (lost *atomic.Bool) {
	features := r.Fremote.Features()
	move := features.Move
	lost = new(atomic.Bool)
	features.Move = func(ctx context.Context, o fs.Object, name string) (fs.Object, error) {
		moved, err := move(ctx, o, name)
		if lost.CompareAndSwap(false, true) {
			return nil, errors.New("connection lost")
		}
		return moved, err
	}
	t.Cleanup(func() { features.Move = move })
	return lost
}

func TestAFileWhoseUploadHadNoAnswer(t *testing.T) {
	for _, replaces := range []bool{false, true} {
		for _, how := range []string{"removed", "moved", "replaced"} {
			t.Run(fmt.Sprintf("%s, replaces=%v", how, replaces), func(t *testing.T) {
				r, vfs := newRenameVFS(t)
				if replaces {
					r.WriteObject(context.Background(), "journal", "old", t1)
					_, err := vfs.Stat("journal")
					require.NoError(t, err)
					require.NoError(t, vfs.WriteFile("new", []byte("written"), 0o600))
					require.NoError(t, vfs.Rename("new", "journal"))
				} else {
					require.NoError(t, vfs.WriteFile("journal", []byte("written"), 0o600))
				}
				lost := withLostAnswer(t, r)
				require.Eventually(t, lost.Load, 10*time.Second, time.Millisecond)
				switch how {
				case "removed":
					require.NoError(t, vfs.Remove("journal"))
				case "moved":
					require.NoError(t, vfs.Rename("journal", "elsewhere"))
					assert.Equal(t, "written", sentOf(t, r, vfs, "elsewhere"))
				case "replaced":
					require.NoError(t, vfs.WriteFile("other", []byte("other"), 0o600))
					require.NoError(t, vfs.Rename("other", "journal"))
					require.NoError(t, vfs.Remove("journal"))
				}
				time.Sleep(2 * renameWriteBack)
				_, err := r.Fremote.NewObject(context.Background(), "journal")
				assert.ErrorIs(t, err, fs.ErrorObjectNotFound)
				vfs.root.ForgetAll()
				_, err = vfs.Stat("journal")
				assert.ErrorIs(t, err, ENOENT)
			})
		}
	}
}
