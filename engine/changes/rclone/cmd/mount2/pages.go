//go:build linux || (darwin && amd64)

package mount2

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/rclone/rclone/vfs"
)

// fromPages is the process that writes what the kernel has in its pages
const fromPages = ^uint32(0)

// pageWrites tells apart what the kernel writes from a mapping of a file. It
// comes with any handle that may write, and belongs where it was mapped, also
// where that handle appends.
type pageWrites struct{ fuse.RawFileSystem }

func (w pageWrites) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		in.Pid = fromPages
	}
	return w.RawFileSystem.Write(cancel, in, data)
}

func writeAt(ctx context.Context, handle vfs.Handle, data []byte, off int64) (int, error) {
	rw, ok := handle.(*vfs.RWFileHandle)
	if caller, known := fuse.FromContext(ctx); ok && known && caller.Pid == fromPages {
		return rw.WritePlaced(data, off)
	}
	return handle.WriteAt(data, off)
}
