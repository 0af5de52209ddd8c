package mount

import (
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/smb"
)

// fingerprint is compared to detect writes by other clients.
type fingerprint struct {
	size    int64
	changed time.Time
}

func fingerprintOf(stat *smb2.FileStat) fingerprint {
	return fingerprint{stat.EndOfFile, stat.ChangeTime}
}

// setKnown updates the fingerprint after a request of this mount.
func (l *locks) setKnown(stat *smb2.FileStat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !stat.ChangeTime.Before(l.known.changed) {
		l.known = fingerprintOf(stat)
	}
}

// countChange counts pending requests that change the file: by is 1 at the start and −1 at the end, with the result.
func (l *locks) countChange(by int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changing += by
	l.lostAnswer = l.lostAnswer || smb.IsLoss(err)
}

// rememberBytes keeps the bytes that are sent next; nil: the change could not be distinguished from another client's.
func (l *locks) rememberBytes(data []byte, at int64) {
	if l.lockHandle.Load() == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lastBytes = nil; data != nil {
		l.lastBytes, l.lastOffset = slices.Clone(data), at
	}
}

// growKnown: the server has answered a write that ended at end.
func (l *locks) growKnown(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known.size = max(l.known.size, end)
}

// hasOurBytes: the file has the last bytes that this mount has written, and the expected size.
func (l *locks) hasOurBytes(file *smb2.Handle, size int64) (bool, error) {
	l.mu.Lock()
	last, off, known := l.lastBytes, l.lastOffset, l.known.size
	isOne := l.changing < 2
	l.mu.Unlock()
	if end := off + int64(len(last)); last == nil || !isOne || size != max(known, end) {
		return false, nil
	}
	n, err := sameAt(file, last, off)
	return n == len(last), err
}
