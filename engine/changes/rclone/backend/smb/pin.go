package smb

import (
	"errors"
	"sync"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/rclone/rclone/fs"
)

var errReplaced = errors.New("another file has its name on the server now")

// pin is the file that a program has open: what is opened under its name
// later, after a lost connection say, must be the same file.
type pin struct {
	mu    sync.Mutex
	first *smb2.FileStat
}

// holds returns whether this is the file that was opened first
func (p *pin) holds(opened *smb2.FileStat) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = opened
	}
	return isSameFile(p.first, opened)
}

// isSameFile goes by the time of creation. Some servers make it up of other
// times: a file that nobody has changed is the same one, too.
func isSameFile(a, b *smb2.FileStat) bool {
	return a.CreationTime.Equal(b.CreationTime) ||
		a.EndOfFile == b.EndOfFile && a.LastWriteTime.Equal(b.LastWriteTime)
}

// NewPin returns what Pinned takes.
func (o *Object) NewPin() any {
	return &pin{}
}

// Pinned returns an object that opens the file which was opened first with
// this pin, and no other one of its name.
func (o *Object) Pinned(to any) fs.Object {
	pinned := *o
	pinned.pin = to.(*pin)
	return &pinned
}
