package vfs

import (
	"context"

	"github.com/rclone/rclone/fs"
)

// _objectAt returns what was sent of the file, whose path this is; nil:
// nothing. Of an upload without an answer, only the remote knows.
func (f *File) _objectAt(path string) (fs.Object, error) {
	cache := f.d.vfs.cache
	if f.o != nil || cache == nil || !cache.MayBeOnRemote(path) {
		return f.o, nil
	}
	o, err := f.d.f.NewObject(f.ctx, path)
	if isMissing(err) {
		return nil, nil
	}
	return o, err
}

// _onRemote returns what the remote has at the path of the file; nil: nothing.
// Before a file that took another's place is sent, that is the other.
func (f *File) _onRemote() (fs.Object, error) {
	o, err := f._objectAt(f._cachePath())
	if o == nil && err == nil && f.replaced != nil {
		return f.replaced, nil
	}
	return o, err
}

// takePlace is called when a file that is not sent yet gets another path. The
// old path would show on the remote what the file had replaced there.
func (f *File) takePlace(ctx context.Context, target Node) (err error) {
	f.mu.RLock()
	replaced := f.replaced
	f.mu.RUnlock()
	if replaced != nil {
		if err := replaced.Remove(ctx); err != nil && !isMissing(err) {
			return err
		}
		replaced = nil
	}
	if other := f.otherThan(target); other != nil {
		other.mu.RLock()
		replaced, err = other._onRemote()
		other.mu.RUnlock()
	}
	f.mu.Lock()
	f.replaced = replaced
	f.mu.Unlock()
	return err
}
