package mount

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// To the server, all programs here are one client: among themselves they exclude each other by lockTable, and the ranges that any of them has
// locked are locked there by one handle, the lock handle. A server's locks also bind the other handles of this mount, so the lock handle does all
// reading and writing of the file while there are locks; the last unlock closes it.
//
// lock_requests.go answers the kernel (setLock, tryLock, Getlk, probe); lock_server.go makes the server's locks those of the table (relock); lock_wait.go
// waits for a lock that another client has; lock_use.go chooses the handle that reads and writes; lock_loss.go locks again after a lost connection,
// and lock_fingerprint.go knows whether another client has written in between. Whatever changes the table has a turn of locks.order; mu is held
// for an instant, never during a request.

const (
	// fcntl locks bytes before it; flock has that byte, so that it excludes no reading or writing.
	flockAt   = 1 << 62
	wholeFile = flockAt - 1

	locksOfFile  = 1000
	filesLocked  = 1000
	refusedFor   = time.Second
	refusedEvery = 20 * time.Millisecond
	// How often a lock is tried for which others have to be given up first.
	upgradeEvery    = 100 * time.Millisecond
	cancelledWithin = 3 * time.Second
	// A server may forget a waiting lock: it is asked again.
	awaitedFor = 10 * time.Second
	// How long after the close of one of its descriptors a file may be closed for good.
	releasedWithin = 200 * time.Millisecond
)

// The kernel reports that a file was closed for good only after close has returned in the program.
var errReleasing = errors.New("a program has just closed the file")

var errLocksLost = errors.New("another client may have had the lock meanwhile")

type locks struct {
	// They are changed one after the other.
	order      order
	lockHandle atomic.Pointer[handle]

	mu    sync.Mutex
	table lockTable
	// The ranges that the lock handle has locked at the server.
	there []smb2.Range
	// The file after our last request.
	at fingerprint
	// Requests that change it and have no answer; whether there was one at a loss.
	changing int
	isUnsure bool
	// The bytes that were written last, answered or not; nil: unknown.
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
