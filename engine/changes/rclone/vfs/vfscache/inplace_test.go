package vfscache

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/inplace"
	"github.com/rclone/rclone/lib/ranges"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inPlaceRemote is a folder whose files can be changed where they are
type inPlaceRemote struct {
	fs.Fs
	sent     ranges.Ranges
	failures int
	ending   chan chan struct{} // gets what the end of an attempt waits for
}

type inPlaceFile struct {
	*os.File
	os.FileInfo
	remote *inPlaceRemote
}

func (r *inPlaceRemote) path(name string) string {
	return filepath.Join(r.Root(), name)
}

func (r *inPlaceRemote) OpenInPlace(_ context.Context, name string) (inplace.File, error) {
	file, err := os.OpenFile(r.path(name), os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fs.ErrorObjectNotFound
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	return &inPlaceFile{File: file, FileInfo: info, remote: r}, err
}

func (f *inPlaceFile) Name() string { return f.FileInfo.Name() }

func (f *inPlaceFile) Close() error {
	if f.remote.ending != nil {
		goOn := make(chan struct{})
		f.remote.ending <- goOn
		<-goOn
	}
	return f.File.Close()
}

func (f *inPlaceFile) SetModTime(modTime time.Time) error {
	return os.Chtimes(f.File.Name(), modTime, modTime)
}

func (f *inPlaceFile) WriteAt(p []byte, off int64) (int, error) {
	if f.remote.failures > 0 {
		f.remote.failures--
		return 0, errors.New("connection lost")
	}
	f.remote.sent.Insert(ranges.Range{Pos: off, Size: int64(len(p))})
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.SetModTime(info.ModTime()) }()
	return f.File.WriteAt(p, off)
}

// openInPlace opens a file of 100 bytes that the remote has
func openInPlace(t *testing.T) (remote *inPlaceRemote, contents string, item *Item, aside string) {
	c, contents, item := openNoted(t, 100)
	remote = &inPlaceRemote{Fs: c.fremote}
	c.fremote = remote
	aside = t.TempDir()
	t.Setenv(asideFolder, filepath.Join(aside, "files"))
	t.Setenv(asideNotes, filepath.Join(aside, "notes"))
	t.Setenv(asideServer, "first")
	require.NoError(t, os.Chmod(remote.path("existing"), 0o751))
	return remote, contents, item, aside
}

func inode(t *testing.T, path string) os.FileInfo {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info
}

// send closes the item and sends it
func send(t *testing.T, item *Item) error {
	if item.opens > 0 {
		item.c.opt.WriteBack = fs.Duration(time.Hour)
		require.NoError(t, item.Close(nil))
	}
	return item.store(context.Background(), nil)
}

func remoteText(t *testing.T, remote *inPlaceRemote) string {
	text, err := os.ReadFile(remote.path("existing"))
	require.NoError(t, err)
	return string(text)
}

func TestOnlyWhatWasWrittenIsSentAndTheFileStaysTheSame(t *testing.T) {
	remote, contents, item, _ := openInPlace(t)
	before := inode(t, remote.path("existing"))
	_, err := item.ReadAt(make([]byte, 10), 0)
	require.NoError(t, err)
	write(t, item, 20, "0123456789")
	write(t, item, 100, "more")
	require.NoError(t, send(t, item))
	assert.Equal(t, contents[:20]+"0123456789"+contents[30:]+"more", remoteText(t, remote))
	assert.Equal(t, ranges.Ranges{{Pos: 20, Size: 10}, {Pos: 100, Size: 4}}, remote.sent)
	after := inode(t, remote.path("existing"))
	assert.True(t, os.SameFile(before, after))
	assert.Equal(t, os.FileMode(0o751), after.Mode())
	assert.False(t, item.IsDirty())
	assert.WithinDuration(t, item.info.ModTime, after.ModTime(), time.Microsecond)

	remote.sent = nil
	require.NoError(t, item.Open(item.o))
	write(t, item, 50, "again")
	require.NoError(t, send(t, item))
	assert.Equal(t, ranges.Ranges{{Pos: 50, Size: 5}}, remote.sent, "what was sent is not sent again")
}

func TestALargeFileIsNotFetchedToBeChanged(t *testing.T) {
	at := fillAtMost
	t.Cleanup(func() { fillAtMost = at })
	for _, fillAtMost = range []int64{89, 90} {
		remote, contents, item, _ := openInPlace(t)
		write(t, item, 20, "0123456789")
		require.NoError(t, send(t, item))
		assert.Equal(t, fillAtMost == 90, item.present())
		assert.Equal(t, contents[:20]+"0123456789"+contents[30:], remoteText(t, remote))
	}
}

func TestTruncatedFilesGetTheirSize(t *testing.T) {
	for _, size := range []int64{0, 40, 150} {
		remote, contents, item, _ := openInPlace(t)
		want := append([]byte(contents), make([]byte, 100)...)[:size]
		require.NoError(t, item.Truncate(size))
		require.NoError(t, send(t, item))
		assert.Equal(t, string(want), remoteText(t, remote))
	}
	remote, contents, item, _ := openInPlace(t)
	require.NoError(t, item.Truncate(10))
	require.NoError(t, item.Truncate(20))
	write(t, item, 15, "x")
	require.NoError(t, send(t, item))
	assert.Equal(t, contents[:10]+"\x00\x00\x00\x00\x00x\x00\x00\x00\x00", remoteText(t, remote))
}

func TestWhatAnotherClientHasChangedIsNotOverwritten(t *testing.T) {
	changes := map[string]func(t *testing.T, path string){
		"appended to": func(t *testing.T, path string) {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, err)
			_, err = file.Write([]byte("theirs"))
			require.NoError(t, err)
			require.NoError(t, file.Close())
		},
		"written at the same size": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, make([]byte, 100), 0))
		},
	}
	for name, change := range changes {
		for _, isCutOff := range []bool{false, true} {
			remote, contents, item, aside := openInPlace(t)
			write(t, item, 20, "0123456789")
			item.c.opt.WriteBack = fs.Duration(time.Hour)
			require.NoError(t, item.Close(nil))
			if isCutOff {
				remote.failures = 1
				require.Error(t, send(t, item))
			}
			change(t, remote.path("existing"))
			later := time.Now().Add(time.Minute)
			require.NoError(t, os.Chtimes(remote.path("existing"), later, later))
			theirs := remoteText(t, remote)
			require.NoError(t, send(t, item), name)
			assert.Equal(t, theirs, remoteText(t, remote), name)
			assert.False(t, item.IsDirty())
			assert.False(t, item.Exists(), "what is read next is theirs")

			cachePath := filepath.Join(item.c.fremote.Name(), item.c.fremote.Root(), "existing")
			kept, err := os.ReadFile(filepath.Join(aside, "files", cachePath))
			require.NoError(t, err, name)
			assert.Equal(t, contents[:20]+"0123456789"+contents[30:], string(kept))
			text, err := os.ReadFile(filepath.Join(aside, "notes", cachePath+".json"))
			require.NoError(t, err)
			note := asideNote{}
			require.NoError(t, json.Unmarshal(text, &note))
			assert.Equal(t, "raced", note.Reason)
			assert.Equal(t, "complete", note.State)
			assert.Equal(t, "first", note.Server)
		}
	}
}

func TestAFileIsSetAsideBesideAnEarlierOneAndNotWhileItIsOpen(t *testing.T) {
	remote, _, item, aside := openInPlace(t)
	for count := range 2 {
		write(t, item, 20, "0123456789")
		require.NoError(t, os.WriteFile(remote.path("existing"), make([]byte, 90-count), 0))
		item.c.opt.WriteBack = fs.Duration(time.Hour)
		require.NoError(t, item.Close(nil))
		require.NoError(t, item.Open(item.o))
		require.ErrorIs(t, item.store(t.Context(), nil), errRaced)
		assert.True(t, item.IsDirty())
		require.NoError(t, send(t, item))
		require.NoError(t, item.Open(item.o))
	}
	found, err := filepath.Glob(filepath.Join(aside, "files", item.c.fremote.Name(), item.c.fremote.Root(), "*"))
	require.NoError(t, err)
	assert.Len(t, found, 2)
}

func TestACutOffAttemptIsContinued(t *testing.T) {
	for _, isKilled := range []bool{false, true} {
		remote, contents, item, aside := openInPlace(t)
		write(t, item, 20, "0123456789")
		remote.failures = 1
		require.Error(t, send(t, item))
		if isKilled {
			item = newItem(item.c, "existing")
			require.NoError(t, item.reload(t.Context()))
		} else {
			require.NoError(t, item.Open(item.o))
			write(t, item, 0, "and then")
			contents = "and then" + contents[8:]
		}
		require.NoError(t, send(t, item))
		assert.Equal(t, contents[:20]+"0123456789"+contents[30:], remoteText(t, remote))
		assert.NoDirExists(t, filepath.Join(aside, "files"))
	}
}

func TestAFileThatIsGoneIsSentAgainIfItIsWhole(t *testing.T) {
	at := fillAtMost
	t.Cleanup(func() { fillAtMost = at })
	for _, fillAtMost = range []int64{0, 100} {
		remote, contents, item, aside := openInPlace(t)
		write(t, item, 20, "0123456789")
		item.c.opt.WriteBack = fs.Duration(time.Hour)
		require.NoError(t, item.Close(nil))
		require.NoError(t, os.Remove(remote.path("existing")))
		require.NoError(t, send(t, item))
		if fillAtMost == 0 {
			assert.DirExists(t, filepath.Join(aside, "files"))
		} else {
			assert.Equal(t, contents[:20]+"0123456789"+contents[30:], remoteText(t, remote))
		}
	}
}

func TestServersThatRoundTimesTellTheSameOnes(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 0, 0, 123_456_700, time.UTC)
	for apart, isSame := range map[time.Duration]bool{0: true, time.Millisecond: true, 10 * time.Millisecond: false, time.Hour: false} {
		assert.Equal(t, isSame, isSameTime(at, at.Add(apart)), apart)
	}
	assert.True(t, isSameTime(at, at.Truncate(time.Second)))
	assert.False(t, isSameTime(at, at.Truncate(time.Second).Add(-3*time.Second)))
}

func TestWhatIsWrittenWhileTheFileIsSentIsSentNext(t *testing.T) {
	for name, change := range map[string]func(item *Item) error{
		"appended": func(item *Item) error {
			_, err := item.WriteAt([]byte("more"), 100)
			return err
		},
		"made longer": func(item *Item) error { return item.Truncate(104) },
	} {
		remote, contents, item, _ := openInPlace(t)
		remote.ending = make(chan chan struct{})
		item.c.opt.WriteBack = fs.Duration(time.Millisecond)
		write(t, item, 20, "0123456789")
		require.NoError(t, item.Close(nil))
		goOn := <-remote.ending
		require.NoError(t, item.Open(item.o))
		changed := make(chan error)
		go func() { changed <- change(item) }()
		time.Sleep(50 * time.Millisecond)
		close(goOn)
		require.NoError(t, <-changed)
		require.NoError(t, item.Close(nil))
		close(<-remote.ending)
		require.Eventually(t, func() bool { return !item.IsDirty() }, 10*time.Second, time.Millisecond)
		want := contents[:20] + "0123456789" + contents[30:] + map[string]string{"appended": "more", "made longer": "\x00\x00\x00\x00"}[name]
		assert.Equal(t, want, remoteText(t, remote), name)
	}
}
