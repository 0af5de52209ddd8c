// Package inplace is what a remote offers whose files can be changed where
// they are: all else about such a file stays as it is.
package inplace

import (
	"context"
	"io"
	"time"
)

// File is a remote's file, open for writing
type File interface {
	// Size and ModTime are those that it had when it was opened.
	Size() int64
	ModTime() time.Time
	// SetModTime sets a time that the file keeps while it is written, where
	// the remote can do that.
	SetModTime(modTime time.Time) error
	io.WriterAt // may be called by several goroutines at once
	Truncate(size int64) error
	Close() error
}

// Opener is implemented by such remotes
type Opener interface {
	// OpenInPlace opens a file that exists, and changes nothing of it.
	OpenInPlace(ctx context.Context, remote string) (File, error)
}
