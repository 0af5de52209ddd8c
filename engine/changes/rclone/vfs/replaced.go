package vfs

import (
	"context"
	"errors"
	"os"

	"github.com/rclone/rclone/fs"
)

// _onRemote returns what the remote has at the path of the file. Before a
// file that took another's place is sent, that is the other.
func (f *File) _onRemote() fs.Object {
	if f.o != nil {
		return f.o
	}
	return f.replaced
}

// takePlace is called when a file that is not sent yet gets another path. The
// old path would show on the remote what the file had replaced there.
func (f *File) takePlace(ctx context.Context, target Node) error {
	f.mu.RLock()
	replaced := f.replaced
	f.mu.RUnlock()
	if replaced != nil {
		err := replaced.Remove(ctx)
		if err != nil && !errors.Is(err, fs.ErrorObjectNotFound) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		replaced = nil
	}
	if other, ok := target.(*File); ok && other != f {
		other.mu.RLock()
		replaced = other._onRemote()
		other.mu.RUnlock()
	}
	f.mu.Lock()
	f.replaced = replaced
	f.mu.Unlock()
	return nil
}
