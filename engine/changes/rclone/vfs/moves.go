package vfs

import (
	"context"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/operations"
	"github.com/rclone/rclone/vfs/vfscache"
)

// beginMove is called before a file is renamed, and end after it
func (d *Dir) beginMove(from, to string, o fs.Object) (move *vfscache.Move, end func(), err error) {
	if d.vfs.cache == nil {
		return nil, func() {}, nil
	}
	return d.vfs.cache.BeginMove(from, to, o)
}

// moveObject renames a file on the remote, which replaces what is there in one
// step: both remotes of the engine do.
func (d *Dir) moveObject(ctx context.Context, move *vfscache.Move, o fs.Object, to string) (fs.Object, error) {
	moved, err := operations.Move(ctx, d.f, nil, to, o)
	if err != nil && d.hasHappened(ctx, move, err) {
		return d.f.NewObject(ctx, to)
	}
	return moved, err
}

// moveDir renames a folder on the remote. Call end when the cache has it at
// its new path.
func (d *Dir) moveDir(from, to string) (end func(), err error) {
	if d.vfs.cache == nil {
		return func() {}, operations.DirMove(d.vfs.ctx, d.f, from, to)
	}
	move, end, err := d.vfs.cache.BeginDirMove(from, to)
	if err != nil {
		return end, err
	}
	err = operations.DirMove(d.vfs.ctx, d.f, from, to)
	if err != nil && d.hasHappened(d.vfs.ctx, move, err) {
		err = nil
	}
	return end, err
}

// hasHappened returns whether the remote has renamed although it told an
// error: the answer may be lost. Else what is written to the file that was to
// be replaced would be sent over the moved one.
func (d *Dir) hasHappened(ctx context.Context, move *vfscache.Move, told error) bool {
	if move == nil {
		return false
	}
	happened, err := d.vfs.cache.Happened(ctx, move)
	if err != nil {
		fs.Errorf(move.To, "renamed or not, after %v: %v", told, err)
	}
	return err == nil && happened
}
