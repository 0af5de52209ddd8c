package mount

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// To the server, all programs here are one: among themselves they exclude each other here, and what any of them has locked is locked there by
// one handle, the holder. Its locks bind everybody, also other handles of this mount. So the holder does all that is read and written while
// there are locks; the last unlock closes it.

const (
	// fcntl locks bytes before it; flock has that byte, so that nobody is kept from reading and writing.
	flockAt   = 1 << 62
	wholeFile = flockAt - 1

	locksOfFile  = 1000
	filesLocked  = 1000
	refusedFor   = time.Second
	refusedEvery = 20 * time.Millisecond
	// A lock for which others have to be given up first is asked for so often.
	upgradeEvery    = 100 * time.Millisecond
	cancelledWithin = 3 * time.Second
	// A server may forget who waits: it is asked again.
	awaitedFor = 10 * time.Second
	// So long after one of its descriptors was closed a file may be closed for good.
	releasedWithin = 200 * time.Millisecond
)

// The kernel says that a file was closed for good after the program that closes it goes on.
var errReleasing = errors.New("a program has just closed the file")

var errLocksLost = errors.New("another client may have had the lock meanwhile")

type locks struct {
	// They are changed one after the other.
	order  order
	holder atomic.Pointer[handle]

	mu    sync.Mutex
	table lockTable
	// What the holder has locked at the server.
	there []smb2.Range
	// The file after our last request.
	at fingerprint
	// Requests that change it and have no answer; whether there was one at a loss.
	changing int
	isUnsure bool
	// What was written last, answered or not; nil: nobody knows.
	last   []byte
	lastAt int64
	// Closed and replaced when a program may get what it waits for.
	changed chan struct{}
}

// announce: the caller holds mu.
func (l *locks) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
