package vfscache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fstest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unsent makes a closed file that waits for its upload
func unsent(t *testing.T, c *Cache, name, contents string) {
	item := c.Item(name)
	var o fs.Object
	if found, err := c.fremote.NewObject(c.ctx, name); err == nil {
		o = found
	}
	require.NoError(t, item.Open(o))
	require.NoError(t, item.Truncate(0))
	write(t, item, 0, contents)
	require.NoError(t, item.Close(nil))
}

func sent(t *testing.T, r *fstest.Run, name, contents string) fs.Object {
	r.WriteObject(context.Background(), name, contents, time.Now())
	o, err := r.Fremote.NewObject(context.Background(), name)
	require.NoError(t, err)
	return o
}

func newMoveTestCache(t *testing.T) (*fstest.Run, *Cache) {
	r, c := newItemTestCache(t)
	c.opt.WriteBack = fs.Duration(time.Hour)
	return r, c
}

// next is what the next process finds: contents and whether they are unsent
func next(t *testing.T, c *Cache, name string) string {
	item := newItem(c, name)
	contents, err := os.ReadFile(c.toOSPath(name))
	if os.IsNotExist(err) {
		return "nothing"
	}
	require.NoError(t, err)
	if !item.info.Dirty {
		return "sent"
	}
	return string(contents)
}

// What a kill leaves of a rename, wherever it comes, is one of two states
func TestAKillInARename(t *testing.T) {
	const steps = 5
	for _, isSent := range []bool{false, true} {
		for killedAfter := range steps + 1 {
			t.Run(fmt.Sprintf("isSent=%v, step %d", isSent, killedAfter), func(t *testing.T) {
				r, c := newMoveTestCache(t)
				ctx := context.Background()
				var o fs.Object
				if isSent {
					o = sent(t, r, "from", "what the server has")
				}
				unsent(t, c, "from", "moved")
				unsent(t, c, "to", "replaced")
				_, _, err := c.BeginMove("from", "to", o)
				require.NoError(t, err)
				for step, do := range []func() error{
					func() (err error) {
						if isSent {
							_, err = r.Fremote.Features().Move(ctx, o, "to")
						}
						return err
					},
					func() error { return os.Remove(c.toOSPath("to")) },
					func() error { return os.Remove(c.toOSPathMeta("to")) },
					func() error { return os.Rename(c.toOSPath("from"), c.toOSPath("to")) },
					func() error { return os.Rename(c.toOSPathMeta("from"), c.toOSPathMeta("to")) },
				} {
					if step < killedAfter {
						require.NoError(t, do())
					}
				}
				c.resumeMoves(ctx)
				if isSent && killedAfter == 0 {
					assert.Equal(t, "moved", next(t, c, "from"))
					assert.Equal(t, "replaced", next(t, c, "to"))
				} else {
					assert.Equal(t, "nothing", next(t, c, "from"))
					assert.Equal(t, "moved", next(t, c, "to"))
				}
				left, err := filepath.Glob(filepath.Join(config.GetCacheDir(), movePattern+"*"))
				require.NoError(t, err)
				assert.Empty(t, left)
			})
		}
	}
}

// The server's file, of which the cache has nothing, replaces one that is not sent yet
func TestAKillAfterASentFileReplacedAnUnsentOne(t *testing.T) {
	for _, hasMoved := range []bool{false, true} {
		t.Run(fmt.Sprint(hasMoved), func(t *testing.T) {
			r, c := newMoveTestCache(t)
			ctx := context.Background()
			o := sent(t, r, "from", "moved")
			unsent(t, c, "to", "replaced")
			_, _, err := c.BeginMove("from", "to", o)
			require.NoError(t, err)
			want := "replaced"
			if hasMoved {
				_, err = r.Fremote.Features().Move(ctx, o, "to")
				require.NoError(t, err)
				want = "nothing"
			}
			c.resumeMoves(ctx)
			assert.Equal(t, want, next(t, c, "to"))
		})
	}
}

func TestAKillInTheMoveOfAFolder(t *testing.T) {
	for _, hasMoved := range []bool{false, true} {
		t.Run(fmt.Sprint(hasMoved), func(t *testing.T) {
			r, c := newMoveTestCache(t)
			ctx := context.Background()
			r.WriteObject(ctx, "from/sent", "sent", time.Now())
			unsent(t, c, "from/a", "a")
			unsent(t, c, "from/in/b", "b")
			unsent(t, c, "from2/c", "c")
			_, _, err := c.BeginDirMove("from", "to")
			require.NoError(t, err)
			folder := "from"
			if hasMoved {
				require.NoError(t, r.Fremote.Features().DirMove(ctx, r.Fremote, "from", "to"))
				folder = "to"
			}
			c.resumeMoves(ctx)
			assert.Equal(t, "a", next(t, c, folder+"/a"))
			assert.Equal(t, "b", next(t, c, folder+"/in/b"))
			assert.Equal(t, "c", next(t, c, "from2/c"))
		})
	}
}

func TestARenameOfWhatIsSentIsNotNoted(t *testing.T) {
	r, c := newMoveTestCache(t)
	o := sent(t, r, "from", "moved")
	_, end, err := c.BeginMove("from", "to", o)
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(config.GetCacheDir(), movePattern+"*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	end()
}

// A file that was loaded while the server did not answer is sent whole
func TestWhatTheCacheLacksIsFetchedBeforeItIsSent(t *testing.T) {
	r, c := newMoveTestCache(t)
	contents, obj, item := newFileLength(t, r, c, "existing", 100)
	require.NoError(t, item.Open(obj))
	write(t, item, 20, "0123456789")
	// As the next process finds it.
	delete(c.item, "existing")
	loaded := c.Item("existing")
	require.NoError(t, loaded.Open(nil))
	require.False(t, loaded._present())
	loaded.o = nil
	require.NoError(t, loaded.fd.Close())
	loaded.fd, loaded.opens = nil, 0
	require.NoError(t, loaded.store(context.Background(), nil))
	checkObject(t, r, "existing", contents[:20]+"0123456789"+contents[30:])
}
