package vfs

import (
	"errors"
	"os"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/vfs/vfscache"
	"github.com/rclone/rclone/vfs/vfscommon"
)

// remove removes the file on the remote, and then what is cached of it: if
// the remote refuses, what is not sent yet stays.
func (f *File) remove(d *Dir) error {
	f.muRW.Lock() // nothing is opened or closed meanwhile
	defer f.muRW.Unlock()
	name, cache := f.Name(), d.vfs.cache
	if cache != nil {
		defer cache.Hold(f.CachePath())()
		cache.Keep(f.CachePath())
	}
	err := f.removeFromRemote()
	if err != nil {
		fs.Debugf(f.Path(), "File.Remove file error: %v", err)
		return err
	}
	// Called without File.mu
	d.delObject(name)
	f.detach()
	return nil
}

func (f *File) removeFromRemote() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, err := f._onRemote()
	if o == nil || err != nil {
		return err
	}
	err = o.Remove(f.ctx)
	// Of what is not sent it does not matter who removed what was there before.
	if isMissing(err) && (f.o == nil || f.d.vfs.cache.DirtyItem(f._cachePath()) != nil) {
		return nil
	}
	return err
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrorObjectNotFound) || errors.Is(err, os.ErrNotExist)
}

// detach takes the file from its path. Programs that have it open go on with it.
func (f *File) detach() {
	path, cache := f.CachePath(), f.VFS().cache
	if cache == nil {
		return
	}
	leaf := cache.Detach(path)
	f.mu.Lock()
	f.dPath, f.leaf = "", leaf
	f.mu.Unlock()
}

// otherThan returns the file at the target of a rename; nil: there is none
func (f *File) otherThan(target Node) *File {
	if other, ok := target.(*File); ok && other != f {
		return other
	}
	return nil
}

// detachReplaced takes from its path what another file replaced there
func (f *File) detachReplaced(target Node, path string) {
	if other := f.otherThan(target); other != nil {
		other.detach()
	} else {
		f.VFS().cache.Remove(path)
	}
}

// holdWith lets nothing of the file and of what it replaces be opened, closed
// or sent until release is called
func (f *File) holdWith(target Node, paths ...string) (release func()) {
	cache := f.VFS().cache
	var unlocks []func()
	if f.VFS().Opt.CacheMode >= vfscommon.CacheModeWrites {
		f.muRW.Lock()
		unlocks = append(unlocks, f.muRW.Unlock)
		if other := f.otherThan(target); other != nil {
			other.muRW.Lock()
			unlocks = append(unlocks, other.muRW.Unlock)
			cache.Keep(other.CachePath())
		}
	}
	send := cache.Hold(paths...)
	return func() {
		send()
		for _, unlock := range unlocks {
			unlock()
		}
	}
}

func (f *File) isRemoved() bool {
	return vfscache.IsRemoved(f.Name())
}
