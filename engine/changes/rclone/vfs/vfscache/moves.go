package vfscache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	rfs "github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
)

// A rename is done on the remote, and then in the cache, by several steps. If
// something that is not sent yet is concerned, a file tells of it meanwhile:
// the next process does the rest, or nothing if the remote has not renamed.
//
// Else an older file that was replaced would be sent over the moved one, and
// what was moved would be sent to its old path, or be lost for want of a note.

const movePattern = "vfsMove-"

// Move tells of a rename that has begun
type Move struct {
	Remote      string // of which the paths are
	From, To    string
	IsDir       bool
	OnRemote    bool   // the remote renames, too; else nothing of it is there yet
	Fingerprint string // of the file that the remote renames
	Cached      bool   // the cache has a file at From
}

// BeginMove is called before a file is renamed. o is what the remote has of
// it; nil: nothing. Call end when the cache has the file at its new path, or
// when the remote has not renamed it.
func (c *Cache) BeginMove(from, to string, o rfs.Object) (move *Move, end func(), err error) {
	from, to = clean(from), clean(to)
	move = &Move{From: from, To: to, Cached: exists(c.toOSPathMeta(from))}
	if o != nil {
		move.OnRemote = true
		move.Fingerprint = rfs.Fingerprint(c.ctx, o, true)
	}
	end, err = c.note(move, c.DirtyItem(from) != nil || c.DirtyItem(to) != nil)
	return move, end, err
}

// BeginDirMove is BeginMove for a folder. Nothing in it is sent until end is
// called.
func (c *Cache) BeginDirMove(from, to string) (move *Move, end func(), err error) {
	from, to = clean(from), clean(to)
	var names []string
	c.mu.Lock()
	for name, item := range c.item {
		if strings.HasPrefix(name, from+"/") && item.IsDirty() {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	resume, release := c.writeback.Pause(), c.Hold(names...)
	move = &Move{From: from, To: to, IsDir: true, OnRemote: true}
	ended, err := c.note(move, len(names) > 0)
	return move, func() { ended(); release(); resume() }, err
}

func (c *Cache) note(move *Move, isNeeded bool) (end func(), err error) {
	if !isNeeded {
		return func() {}, nil
	}
	move.Remote = c.remoteName()
	text, err := json.Marshal(move)
	if err != nil {
		return func() {}, err
	}
	file, err := os.CreateTemp(config.GetCacheDir(), movePattern)
	if err != nil {
		return func() {}, fmt.Errorf("vfs cache: failed to note a rename: %w", err)
	}
	_, err = file.Write(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	end = func() { _ = os.Remove(file.Name()) }
	if err != nil {
		end()
		return func() {}, fmt.Errorf("vfs cache: failed to note a rename: %w", err)
	}
	return end, nil
}

func (c *Cache) remoteName() string {
	return c.fremote.Name() + ":" + c.fremote.Root()
}

// Happened asks the remote whether it has renamed: its answer may be lost
func (c *Cache) Happened(ctx context.Context, move *Move) (bool, error) {
	if !move.OnRemote {
		return true, nil
	}
	if move.IsDir {
		if _, err := c.fremote.List(ctx, move.From); !errors.Is(err, rfs.ErrorDirNotFound) {
			return false, err
		}
		_, err := c.fremote.List(ctx, move.To)
		if errors.Is(err, rfs.ErrorDirNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	_, err := c.fremote.NewObject(ctx, move.From)
	if !isMissing(err) {
		return false, err
	}
	o, err := c.fremote.NewObject(ctx, move.To)
	if isMissing(err) {
		return false, nil
	}
	return err == nil && rfs.Fingerprint(ctx, o, true) == move.Fingerprint, err
}

func isMissing(err error) bool {
	return errors.Is(err, rfs.ErrorObjectNotFound) || errors.Is(err, rfs.ErrorDirNotFound) || errors.Is(err, os.ErrNotExist)
}

const (
	askedTimes  = 5
	askedEachMs = 200
)

// resumeMoves does the rest of the renames in which an earlier process was
// killed
func (c *Cache) resumeMoves(ctx context.Context) {
	paths, _ := filepath.Glob(filepath.Join(config.GetCacheDir(), movePattern+"*"))
	for _, path := range paths {
		var move Move
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &move)
		}
		if err == nil && !strings.EqualFold(move.Remote, c.remoteName()) {
			continue
		}
		// Of a torn one, nothing had begun.
		if err == nil {
			err = c.resume(ctx, &move)
		}
		if err != nil {
			rfs.Errorf(move.From, "vfs cache: rename to %q not resumed: %v", move.To, err)
		}
		_ = os.Remove(path)
	}
}

func (c *Cache) resume(ctx context.Context, move *Move) (err error) {
	var happened bool
	for range askedTimes {
		if happened, err = c.Happened(ctx, move); err == nil {
			break
		}
		time.Sleep(askedEachMs * time.Millisecond)
	}
	if err != nil || !happened {
		return err
	}
	rfs.Infof(move.From, "vfs cache: resuming the rename to %q", move.To)
	if !move.IsDir {
		if !move.Cached {
			c.removeFiles(move.To)
		}
		return c.moveFiles(move.From, move.To)
	}
	root := c.toOSPathMeta(move.From)
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		inside = fromOSPath(inside)
		return c.moveFiles(move.From+"/"+inside, move.To+"/"+inside)
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (c *Cache) removeFiles(name string) {
	_ = os.Remove(c.toOSPath(name))
	_ = os.Remove(c.toOSPathMeta(name))
}

// moveFiles renames cache file and note, wherever a killed process stopped
func (c *Cache) moveFiles(from, to string) error {
	if !exists(c.toOSPathMeta(from)) {
		return nil
	}
	if _, err := c.createItemDir(to); err != nil {
		return err
	}
	if exists(c.toOSPath(from)) {
		c.removeFiles(to)
		if err := os.Rename(c.toOSPath(from), c.toOSPath(to)); err != nil {
			return err
		}
	}
	return os.Rename(c.toOSPathMeta(from), c.toOSPathMeta(to))
}
