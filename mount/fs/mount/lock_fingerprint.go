package mount

import (
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/smb"
)

// fingerprint shows whether another client has written.
type fingerprint struct {
	size    int64
	changed time.Time
}

func fingerprintOf(seen *smb2.FileStat) fingerprint {
	return fingerprint{seen.EndOfFile, seen.ChangeTime}
}

// saw notes the file as it is after a request of ours.
func (l *locks) saw(seen *smb2.FileStat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !seen.ChangeTime.Before(l.at.changed) {
		l.at = fingerprintOf(seen)
	}
}

// changes counts requests that change the file.
func (l *locks) changes(by int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changing += by
	l.isUnsure = l.isUnsure || smb.IsLoss(err)
}

// writing records the bytes that are sent next; nil: a change that cannot be distinguished from another client's.
func (l *locks) writing(data []byte, at int64) {
	if l.lockHandle.Load() == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = nil; data != nil {
		l.last, l.lastAt = slices.Clone(data), at
	}
}

// wrote: the server has answered.
func (l *locks) wrote(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.size = max(l.at.size, end)
}

// isOurs: the file has what was written last from here, and nothing behind it that is not known.
func (l *locks) isOurs(file *smb2.Handle, size int64) (bool, error) {
	l.mu.Lock()
	last, off, known := l.last, l.lastAt, l.at.size
	isOne := l.changing < 2
	l.mu.Unlock()
	if end := off + int64(len(last)); last == nil || !isOne || size != max(known, end) {
		return false, nil
	}
	n, err := sameAt(file, last, off)
	return n == len(last), err
}
