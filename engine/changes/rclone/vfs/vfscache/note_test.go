package vfscache

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rclone/rclone/lib/ranges"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openNoted opens a cached file that the remote has
func openNoted(t *testing.T, length int) (c *Cache, contents string, item *Item) {
	r, c := newItemTestCache(t)
	contents, obj, item := newFileLength(t, r, c, "existing", length)
	require.NoError(t, item.Open(obj))
	t.Cleanup(func() { _ = item.Close(nil) })
	return c, contents, item
}

func write(t *testing.T, item *Item, off int64, data string) {
	n, err := item.WriteAt([]byte(data), off)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

// afterKill is what the next process sends: what the cache file has where its
// note says so, and the remote's bytes elsewhere
func afterKill(t *testing.T, c *Cache, remote string) (next *Item, sent []byte) {
	next = newItem(c, "existing")
	sent, err := os.ReadFile(c.toOSPath("existing"))
	require.NoError(t, err)
	require.Equal(t, next.info.Size, int64(len(sent)))
	for i := range sent {
		if !next.info.Rs.Present(ranges.Range{Pos: int64(i), Size: 1}) {
			sent[i] = 0
			if i < len(remote) {
				sent[i] = remote[i]
			}
		}
	}
	return next, sent
}

func TestNoteListsEachWriteBeforeItReturns(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	want := []byte(contents)
	for _, off := range []int64{20, 60, 30, 5} {
		write(t, item, off, "0123456789")
		copy(want[off:], "0123456789")
		next, sent := afterKill(t, c, contents)
		assert.True(t, next.info.Dirty)
		assert.Equal(t, string(want), string(sent))
	}
}

func TestNoteTellsWhatWasAppendedByTheSize(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 100, "first")
	before, err := os.ReadFile(c.toOSPathMeta("existing"))
	require.NoError(t, err)
	write(t, item, 105, "second")
	after, err := os.ReadFile(c.toOSPathMeta("existing"))
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after), "an append costs no note")
	next, sent := afterKill(t, c, contents)
	assert.Equal(t, contents+"firstsecond", string(sent))
	assert.Equal(t, ranges.Ranges{{Pos: 100, Size: 11}}, next.info.Rs)
}

func TestNoteTellsATruncationBeforeItReturns(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 90, "0123456789")
	require.NoError(t, item.Truncate(50))
	_, sent := afterKill(t, c, contents)
	assert.Equal(t, contents[:50], string(sent))
	write(t, item, 60, "after a gap")
	_, sent = afterKill(t, c, contents)
	assert.Equal(t, contents[:50]+strings.Repeat("\x00", 10)+"after a gap", string(sent))
	require.NoError(t, item.Truncate(0))
	write(t, item, 0, "new")
	_, sent = afterKill(t, c, contents)
	assert.Equal(t, "new", string(sent))
}

func TestNoteDoesNotGrowWithWhatItLists(t *testing.T) {
	c, _, item := openNoted(t, 100)
	write(t, item, 20, "0123456789")
	write(t, item, 40, "0123456789")
	before, err := os.Stat(c.toOSPathMeta("existing"))
	require.NoError(t, err)
	write(t, item, 22, "abc")
	write(t, item, 40, "0123456789")
	after, err := os.Stat(c.toOSPathMeta("existing"))
	require.NoError(t, err)
	assert.Equal(t, before.Size(), after.Size())
}

func TestNoteListsAWriteToWhatWasDownloaded(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 90, "0123456789")
	_, err := item.ReadAt(make([]byte, 50), 0)
	require.NoError(t, err)
	write(t, item, 10, "changed")
	_, sent := afterKill(t, c, contents)
	assert.Equal(t, contents[:10]+"changed"+contents[17:90]+"0123456789", string(sent))
}

func TestNoteIsBounded(t *testing.T) {
	c, contents, item := openNoted(t, 4*maxNoteLines)
	want := []byte(contents)
	for off := 0; off < len(want); off += 2 {
		write(t, item, int64(off), "!")
		want[off] = '!'
	}
	note, err := os.ReadFile(c.toOSPathMeta("existing"))
	require.NoError(t, err)
	assert.LessOrEqual(t, bytes.Count(note, []byte("\n{")), maxNoteLines)
	_, sent := afterKill(t, c, contents)
	assert.Equal(t, string(want), string(sent))
}

func TestNoteWithATornLine(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 20, "0123456789")
	write(t, item, 40, "0123456789")
	path := c.toOSPathMeta("existing")
	note, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(note, `{"Pos":60,"Si`...), 0600))
	next, sent := afterKill(t, c, contents)
	assert.True(t, next.info.Dirty)
	assert.Equal(t, contents[:20]+"0123456789"+contents[30:40]+"0123456789"+contents[50:], string(sent))
}

func TestAWriteThatCannotBeNotedFails(t *testing.T) {
	c, _, item := openNoted(t, 100)
	write(t, item, 20, "0123456789")
	path := c.toOSPathMeta("existing")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0700))
	_, err := item.WriteAt([]byte("lost"), 40)
	assert.Error(t, err)
	assert.Error(t, item.Truncate(10))
	require.NoError(t, os.RemoveAll(path))
	write(t, item, 5, "noted")
	assert.Equal(t, int64(10), newItem(c, "existing").info.Size)
}

// A note that another rclone wrote promises nothing
func TestNoteOfAnotherRcloneIsNotExact(t *testing.T) {
	c, contents, item := openNoted(t, 100)
	write(t, item, 100, "appended")
	path := c.toOSPathMeta("existing")
	note, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(note, []byte(`"Exact": true`), []byte(`"Exact": false`), 1), 0600))
	write(t, item, 108, "more")
	next, _ := afterKill(t, c, contents)
	assert.Equal(t, ranges.Ranges{{Pos: 100, Size: 8}}, next.info.Rs)
}

// Whatever programs did, a kill loses nothing of it
func TestNoteAfterAnything(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		c, contents, item := openNoted(t, 1000)
		want := []byte(contents)
		dirty := false
		for range 60 {
			off := random.IntN(1200)
			switch random.IntN(8) {
			case 0:
				require.NoError(t, item.Truncate(int64(off)))
				dirty = true
				if off > len(want) {
					want = append(want, make([]byte, off-len(want))...)
				}
				want = want[:off]
			case 1, 2:
				buf := make([]byte, random.IntN(200)+1)
				n, _ := item.ReadAt(buf, int64(off))
				if off < len(want) {
					assert.Equal(t, string(want[off:min(len(want), off+len(buf))]), string(buf[:n]))
				}
			case 3:
				require.NoError(t, item.Sync())
			default:
				data := bytes.Repeat([]byte{byte('A' + random.IntN(26))}, random.IntN(100)+1)
				write(t, item, int64(off), string(data))
				dirty = true
				if end := off + len(data); end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
				copy(want[off:], data)
			}
			if dirty {
				_, sent := afterKill(t, c, contents)
				require.Equal(t, string(want), string(sent))
			}
		}
		require.NoError(t, item.Close(nil))
	}
}
