package vfs

import (
	"context"

	"github.com/rclone/rclone/fs"
)

// _objectAt returns what was sent of the file, whose path this is; nil:
// nothing. Of an upload without an answer, only the remote knows.
func (f *File) _objectAt(path string) (fs.Object, error) {
	cache := f.d.vfs.cache
	if cache != nil && cache.IsReserved(path) {
		return nil, nil
	}
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
// Before a file that took another's place is sent, that is the other; before
// one is sent whose name is reserved, what holds the name.
func (f *File) _onRemote() (fs.Object, error) {
	if f.d.vfs.cache != nil && f.d.vfs.cache.IsReserved(f._cachePath()) {
		return f._reservation(f._cachePath())
	}
	o, err := f._objectAt(f._cachePath())
	if o == nil && err == nil && f.replaced != nil {
		return f.replaced, nil
	}
	return o, err
}

// _reservation returns what holds the name of a file that is not sent yet
func (f *File) _reservation(path string) (fs.Object, error) {
	o, err := f.d.f.NewObject(f.ctx, path)
	if isMissing(err) {
		return nil, nil
	}
	return o, err
}

// takePlace is called when a file that is not sent yet gets another path. The
// old path would show on the remote what the file had replaced there.
func (f *File) takePlace(ctx context.Context, path string, target Node) (err error) {
	f.mu.RLock()
	replaced := f.replaced
	if f.d.vfs.cache != nil && f.d.vfs.cache.IsReserved(path) {
		replaced, err = f._reservation(path)
	}
	f.mu.RUnlock()
	if err != nil {
		return err
	}
	if replaced != nil {
		if err := replaced.Remove(ctx); err != nil && !isMissing(err) {
			return err
		}
		replaced = nil
	}
	if f.d.vfs.cache != nil {
		f.d.vfs.cache.EndReserved(path)
	}
	if other := f.otherThan(target); other != nil {
		other.mu.RLock()
		replaced, err = other._onRemote()
		other.mu.RUnlock()
	}
	f.mu.Lock()
	f.o = nil // a listing may have told of what held the name
	f.replaced = replaced
	f.mu.Unlock()
	return err
}

// _isUnsent returns whether programs have written what is not sent yet
func (f *File) _isUnsent() bool {
	cache := f.d.vfs.cache
	return cache != nil && cache.DirtyItem(f._cachePath()) != nil
}
