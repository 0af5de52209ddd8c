package vfscache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/inplace"
	"github.com/rclone/rclone/lib/ranges"
	"golang.org/x/sync/errgroup"
)

// What programs change of a file that the remote has is written into that
// file, if it still is what the changes were made to. That is the base: the
// size and the time that the file had (Info.Fingerprint).

const (
	pieceSize    = 1 << 20
	piecesAtOnce = 4
)

// fillAtMost bounds what is fetched of a changed file although it needs not
// be sent: only the whole file is of use if it must be set aside.
var fillAtMost int64 = 64 << 20

var errRaced = errors.New("another client has changed it on the server meanwhile")

// _inPlace returns the remote if the item is to be sent in place; nil: it is
// sent as a new file
//
// call with the lock held
func (item *Item) _inPlace() inplace.Opener {
	remote, ok := item.c.fremote.(inplace.Opener)
	if !ok || item.info.Fingerprint == "" {
		return nil
	}
	return remote
}

// _needsFill returns whether what the cache lacks of a changed file is fetched
//
// call with the lock held
func (item *Item) _needsFill() bool {
	return item._inPlace() == nil || item.info.Size-item.info.Rs.Size() <= fillAtMost
}

// _wrote marks what programs have written. Of a file that an earlier process
// has left, that is all that the cache has of it.
//
// call with the lock held, after _dirty: that waits for an attempt to send
// which ends just then, and has sent nothing of this write
func (item *Item) _wrote(from, to int64) {
	item.written.Insert(ranges.Range{Pos: from, Size: to - from})
}

// _sendInPlace writes what was written here into the remote's file. It returns
// errRaced if the file is no longer what that was written to.
//
// An attempt that is cut off leaves the file with the time that this one
// began with, which is noted before: the next attempt knows it by that.
//
// call with the lock held
func (item *Item) _sendInPlace(ctx context.Context, remote inplace.Opener) (o fs.Object, err error) {
	name := item.name
	from, err := os.Open(item.c.toOSPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return item.o, nil // it has disappeared
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	var to inplace.File
	unlockMutexForCall(&item.mu, func() { to, err = remote.OpenInPlace(ctx, name) })
	if err != nil {
		return nil, err
	}
	isClosed := false
	defer func() {
		if !isClosed {
			unlockMutexForCall(&item.mu, func() { _ = to.Close() })
		}
	}()
	if !item._isBase(to.Size(), to.ModTime()) {
		return nil, errRaced
	}
	modTime, size, written := item.info.ModTime, item.info.Size, slices.Clone(item.written)
	item.info.Fingerprint = fmt.Sprintf("%d,%v", to.Size(), to.ModTime().UTC())
	item.info.Sending = modTime
	if err = item._save(); err != nil {
		return nil, err
	}
	item.tried = true
	unlockMutexForCall(&item.mu, func() {
		if err = to.SetModTime(modTime); err != nil {
			return
		}
		var end int64
		if end, err = copyRanges(ctx, to, from, written, size); err != nil {
			return
		}
		if max(to.Size(), end) != size {
			err = to.Truncate(size)
		}
		if err != nil {
			return
		}
		isClosed = true
		if err = to.Close(); err != nil {
			return
		}
		if o, err = item.c.fremote.NewObject(ctx, name); err != nil {
			return
		}
		// Some servers tell of the writes all the same.
		if !isSameTime(o.ModTime(ctx), modTime) {
			err = o.SetModTime(ctx, modTime)
		}
	})
	return o, err
}

// copyRanges returns the end of the last one
func copyRanges(ctx context.Context, to io.WriterAt, from io.ReaderAt, written ranges.Ranges, size int64) (end int64, err error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(piecesAtOnce)
	for _, part := range written {
		part.Clip(size)
		end = max(end, part.End())
		for at := part.Pos; at < part.End() && groupCtx.Err() == nil; at += pieceSize {
			group.Go(func() error {
				piece := make([]byte, min(pieceSize, part.End()-at))
				if _, err := from.ReadAt(piece, at); err != nil {
					return err
				}
				if err := groupCtx.Err(); err != nil {
					return err
				}
				_, err := to.WriteAt(piece, at)
				return err
			})
		}
	}
	if err = group.Wait(); err == nil {
		err = ctx.Err()
	}
	return end, err
}

// _isBase returns whether a file on the remote is what was changed here, or
// what an earlier attempt to send that has left of it
//
// call with the lock held
func (item *Item) _isBase(size int64, modTime time.Time) bool {
	if !item.info.Sending.IsZero() && isSameTime(modTime, item.info.Sending) {
		return true
	}
	parts := strings.SplitN(item.info.Fingerprint, ",", 3)
	if len(parts) < 2 {
		return true
	}
	baseSize, err := strconv.ParseInt(parts[0], 10, 64)
	base, timeErr := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", parts[1])
	return err == nil && timeErr == nil && size == baseSize && isSameTime(modTime, base)
}

// isSameTime allows for what servers round: to their clock's ticks, or to the
// second
func isSameTime(a, b time.Time) bool {
	apart := a.Sub(b).Abs()
	return apart < 2*time.Millisecond || apart < 2*time.Second && (isWhole(a) || isWhole(b))
}

func isWhole(t time.Time) bool {
	return t.Nanosecond() == 0
}
