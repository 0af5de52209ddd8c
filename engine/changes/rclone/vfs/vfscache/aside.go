package vfscache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/lib/ranges"
)

// What cannot be sent any more, because another client has changed the
// remote's file, is moved to a folder that a person looks into. The daemon
// names the folders, and reads the notes.
const (
	asideFolder = "MOUNTAINEER_SET_ASIDE"
	asideNotes  = "MOUNTAINEER_SET_ASIDE_RECORDS"
	asideServer = "MOUNTAINEER_SERVER"
)

type asideNote struct {
	CachePath  string     `json:"cachePath"`
	Reason     string     `json:"reason"`
	SetAsideAt string     `json:"setAsideAt"`
	Size       int64      `json:"size"`
	Real       [][2]int64 `json:"real"`
	Doubtful   [][2]int64 `json:"doubtful"`
	ServerEnd  *int64     `json:"serverEnd"`
	Base       any        `json:"base"`
	State      string     `json:"state"`
	Server     string     `json:"server"`
}

// _setAside moves the cache file there, and lets the remote's file be seen.
// state is that of a file which lacks something.
//
// call with the lock held
func (item *Item) _setAside(ctx context.Context, state string, storeFn StoreFn) error {
	folder := os.Getenv(asideFolder)
	if folder == "" || item.opens > 0 || item.fd != nil {
		return errRaced
	}
	osPath, name := item.c.toOSPath(item.name), item.name
	cachePath, err := filepath.Rel(filepath.Join(config.GetCacheDir(), "vfs"), osPath)
	if err != nil {
		return err
	}
	if item._present() {
		state = "complete"
	}
	real := [][2]int64{}
	for _, r := range item.info.Rs.Intersection(ranges.Range{Size: item.info.Size}) {
		real = append(real, [2]int64{r.Pos, r.End()})
	}
	kept, err := moveAside(folder, osPath, cachePath, &asideNote{
		CachePath:  cachePath,
		Reason:     "raced",
		SetAsideAt: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Size:       item.info.Size,
		Real:       real,
		Doubtful:   [][2]int64{},
		State:      state,
		Server:     os.Getenv(asideServer),
	})
	if err != nil {
		return fmt.Errorf("not set aside, although %w: %v", errRaced, err)
	}
	fs.Errorf(name, "vfs cache: set aside as %q: %v", kept, errRaced)
	item._removeMeta("set aside")
	item.info.clean()
	item.written, item.tried = nil, false
	var o fs.Object
	unlockMutexForCall(&item.mu, func() {
		if o, err = item.c.fremote.NewObject(ctx, name); err == nil && storeFn != nil {
			storeFn(o)
		}
	})
	item.o = o
	return nil
}

// moveAside returns the name that was free. The note is written first: the
// file is in the cache as long as it is not set aside.
func moveAside(folder, osPath, cachePath string, note *asideNote) (kept string, err error) {
	text, err := json.Marshal(note)
	if err != nil {
		return "", err
	}
	for count := 0; ; count++ {
		kept = cachePath
		if count > 0 {
			kept = fmt.Sprintf("%s %d", cachePath, count)
		}
		if _, err = os.Lstat(filepath.Join(folder, kept)); errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if err = os.MkdirAll(filepath.Dir(filepath.Join(folder, kept)), 0o700); err != nil {
		return "", err
	}
	if notes := os.Getenv(asideNotes); notes != "" {
		at := filepath.Join(notes, kept+".json")
		if err = os.MkdirAll(filepath.Dir(at), 0o700); err == nil {
			err = os.WriteFile(at, append(text, '\n'), 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	return kept, os.Rename(osPath, filepath.Join(folder, kept))
}
