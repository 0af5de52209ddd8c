//go:build linux || (darwin && amd64)

package mount2

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd/mountlib"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestFS(t *testing.T, folder string) *FS {
	f, err := fs.NewFs(context.Background(), folder)
	require.NoError(t, err)
	VFS := vfs.New(context.Background(), f, nil)
	t.Cleanup(VFS.Shutdown)
	return NewFS(VFS, &mountlib.Options{})
}

func write(t *testing.T, folder string, names ...string) {
	for _, name := range names {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644))
	}
}

func stat(t *testing.T, fsys *FS, path string) vfs.Node {
	node, err := fsys.VFS.Stat(path)
	require.NoError(t, err)
	return node
}

func TestInodesAreThoseOfTheListingAndOfTheNextMount(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a", "b", "d/a")
	first, second := newTestFS(t, folder), newTestFS(t, folder)
	seen := map[uint64]string{0: "", rootIno: ""}
	for _, path := range []string{"a", "b", "d", "d/a"} {
		node := stat(t, first, path)
		listed := first.inodes.peek(first, node)
		assert.Equal(t, listed, newNode(first, node).ino, path)
		assert.NotContains(t, seen, listed, path)
		seen[listed] = path
	}
	for _, path := range []string{"d/a", "d", "b", "a"} {
		assert.Equal(t, path, seen[newNode(second, stat(t, second, path)).ino])
	}
}

func TestInodeStaysWithARenamedFile(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "log")
	fsys := newTestFS(t, folder)
	log := newNode(fsys, stat(t, fsys, "log"))
	require.NoError(t, fsys.VFS.Rename("log", "log.1"))
	assert.Same(t, log, newNode(fsys, stat(t, fsys, "log.1")))
	root, err := fsys.VFS.Root()
	require.NoError(t, err)
	file, err := root.Create("log", os.O_CREATE|os.O_WRONLY)
	require.NoError(t, err)
	next := newNode(fsys, file)
	assert.NotEqual(t, log.ino, next.ino, "two files at once")
	assert.Equal(t, next.ino, fsys.inodes.peek(fsys, file))

	next.OnForget()
	log.OnForget()
	again := newNode(fsys, file)
	assert.NotSame(t, next, again)
	assert.Equal(t, log.ino, again.ino, "the number of the path is free")
	log.OnForget()
	assert.Same(t, again, newNode(fsys, file), "a number that another node has by now is not given up")
}

// The kernel takes the number from each answer: with 0, SQLite refuses a database that was touched.
func TestSetattrTellsTheNumber(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a")
	fsys := newTestFS(t, folder)
	root, err := fsys.Root()
	require.NoError(t, err)
	for _, node := range []*Node{root, newNode(fsys, stat(t, fsys, "a"))} {
		in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME, Mtime: 1}}
		var out fuse.AttrOut
		require.Zero(t, node.Setattr(context.Background(), nil, in, &out))
		assert.Equal(t, node.ino, out.Attr.Ino)
	}
}

func TestOneNodeForLookupsAtOnce(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a")
	fsys := newTestFS(t, folder)
	file := stat(t, fsys, "a")
	nodes := make(chan *Node)
	for range 8 {
		go func() { nodes <- newNode(fsys, file) }()
	}
	first := <-nodes
	for range 7 {
		assert.Same(t, first, <-nodes)
	}
	assert.Len(t, fsys.inodes.nodes, 1)
}

func TestWhatMayBeRenamed(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a", "b", "full/a", "other/b")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "empty"), 0o755))
	fsys := newTestFS(t, folder)
	root, err := fsys.VFS.Root()
	require.NoError(t, err)
	for _, test := range []struct {
		from, to string
		flags    uint32
		want     syscall.Errno
	}{
		{"a", "b", 0, 0},
		{"a", "new", 0, 0},
		{"a", "new", renameNoReplace, 0},
		{"a", "b", renameNoReplace, syscall.EEXIST},
		{"a", "b", renameNoReplace << 1, syscall.EINVAL},
		{"none", "b", 0, syscall.ENOENT},
		{"full", "other", 0, syscall.ENOTEMPTY},
		{"full", "full", 0, 0},
		{"full", "empty", 0, 0},
	} {
		assert.Equal(t, test.want, mayRename(root, test.from, root, test.to, test.flags), "%+v", test)
	}
	_, err = os.Stat(filepath.Join(folder, "empty"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestForgottenFolderKeepsWhatTheKernelKnows(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "dir/sub/known", "dir/sub/other")
	fsys := newTestFS(t, folder)
	root, err := fsys.VFS.Root()
	require.NoError(t, err)
	other := stat(t, fsys, "dir/sub/other")
	known := map[string]*Node{}
	for _, path := range []string{"dir", "dir/sub", "dir/sub/known"} {
		known[path] = newNode(fsys, stat(t, fsys, path))
	}
	assert.False(t, root.ForgetAll())
	for path, node := range known {
		assert.Same(t, node.node, stat(t, fsys, path), path)
	}
	assert.NotSame(t, other, stat(t, fsys, "dir/sub/other"))

	known["dir/sub/known"].OnForget()
	assert.False(t, root.ForgetAll())
	assert.NotSame(t, known["dir/sub/known"].node, stat(t, fsys, "dir/sub/known"))

	write(t, folder, "dir/sub/new")
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "dir/sub/known")))
	assert.False(t, root.ForgetAll())
	assert.Equal(t, "new", stat(t, fsys, "dir/sub/new").Name(), "the folder is read anew")
	_, err = fsys.VFS.Stat("dir/sub/known")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
