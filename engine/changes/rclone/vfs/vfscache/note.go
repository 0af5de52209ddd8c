package vfscache

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/lib/ranges"
)

// The note of an item is its Info, as of the last _save, and below it a line
// for each range that programs wrote since then. A write is noted before it
// returns, so that a process that is killed at any time loses none:
//
//   - below the size in the note, what is not listed is the remote's;
//   - from there on, the size of the cache file alone tells what was written.

// maxNoteLines bounds a note: with so many lines it is written anew
const maxNoteLines = 1000

// _save writes the item's note in one step
//
// call with the lock held
func (item *Item) _save() (err error) {
	if IsRemoved(item.name) {
		return nil
	}
	item.info.Exact = true
	// Beside the notes it would be taken for one.
	out, err := os.CreateTemp(config.GetCacheDir(), "vfsMeta-")
	if err != nil {
		return fmt.Errorf("vfs cache item: failed to write metadata: %w", err)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "\t")
	err = encoder.Encode(item.info)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(out.Name(), item.c.toOSPathMeta(item.name)) // No locking in Cache
	}
	if err != nil {
		_ = os.Remove(out.Name())
		item.noted = Info{}
		return fmt.Errorf("vfs cache item: failed to encode metadata: %w", err)
	}
	item.noted = item.info
	item.noted.Rs = slices.Clone(item.info.Rs)
	item.noteLines = 0
	return nil
}

// _noteWrite notes a write of a dirty item
//
// call with the lock held
func (item *Item) _noteWrite(offset, size int64) (err error) {
	if IsRemoved(item.name) || !item.noted.Dirty || item.noteLines >= maxNoteLines {
		return item._save()
	}
	r := ranges.Range{Pos: offset, Size: size}
	r.Clip(item.noted.Size)
	if r.IsEmpty() || item.noted.Rs.Present(r) {
		return nil
	}
	out, err := os.OpenFile(item.c.toOSPathMeta(item.name), os.O_WRONLY|os.O_APPEND, 0600)
	if err != nil {
		return item._save()
	}
	err = json.NewEncoder(out).Encode(r)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		// The line may be torn: nothing may follow it.
		item.noted = Info{}
		return fmt.Errorf("vfs cache item: failed to note a write: %w", err)
	}
	item.noted.Rs.Insert(r)
	item.noteLines++
	return nil
}

// _noteSize notes a new size of a dirty item. Growth needs no note.
//
// call with the lock held
func (item *Item) _noteSize() error {
	if item.noted.Dirty && item.noted.Size <= item.info.Size {
		return nil
	}
	return item._save()
}

// readLines adds the ranges that follow in the note, up to a torn line
func (info *Info) readLines(decoder *json.Decoder) {
	var r ranges.Range
	for decoder.Decode(&r) == nil {
		info.Rs.Insert(r)
	}
}

// grownTo adds what was written beyond the size in the note
func (info *Info) grownTo(size int64) {
	if info.Exact && info.Dirty && size > info.Size {
		info.Rs.Insert(ranges.Range{Pos: info.Size, Size: size - info.Size})
	}
}
