package mount

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// For the server, all programs of this machine are one client. Among themselves they exclude each other by lockTable; the union of their ranges is
// locked at the server by one handle per file, the lock handle. Because the server's locks also block the other handles of this mount, the lock handle
// does all reading (and some writing, see onWriter) while a file is locked. The last unlock closes it.
//
// lock_requests.go answers the kernel (setLock, tryLock, Getlk, probe); lock_server.go updates the server's locks from the table (relock);
// lock_wait.go waits for a lock that another client has; lock_use.go chooses the handle that reads and writes; lock_loss.go locks again after a lost
// connection; lock_fingerprint.go detects whether another client has written since. A change of the table needs a turn of locks.order; mu is
// held for an instant, never during a request.

const (
	// flock locks this byte at the server, behind all bytes that fcntl locks, so that it blocks no reading or writing.
	flockAt   = 1 << 62
	wholeFile = flockAt - 1

	locksOfFile  = 1000
	filesLocked  = 1000
	refusedFor   = time.Second
	refusedEvery = 20 * time.Millisecond
	// How often a lock is tried that needs others to be unlocked first.
	upgradeEvery    = 100 * time.Millisecond
	cancelledWithin = 3 * time.Second
	// A server may forget a waiting lock: after this time it is requested again.
	awaitedFor = 10 * time.Second
	// How long after a close of a descriptor the kernel may still release the file.
	releasedWithin = 200 * time.Millisecond
)

// The kernel sends the release of a file only after close has returned in the program.
var errReleasing = errors.New("a program has just closed the file")

var errLocksLost = errors.New("another client may have had the lock since")

type locks struct {
	// Orders changes of the table.
	order      order
	lockHandle atomic.Pointer[handle]

	mu    sync.Mutex
	table lockTable
	// The ranges that the lock handle has locked at the server.
	atServer []smb2.Range
	// The file after the last request of this mount.
	known fingerprint
	// How many changing requests are pending; whether one had no answer because its connection was lost.
	changing   int
	lostAnswer bool
	// The last written bytes, whether answered or not; nil: unknown.
	lastBytes  []byte
	lastOffset int64
	// Closed and replaced when a waiting program may get its lock.
	changed chan struct{}
}

// announce: the caller holds mu.
func (l *locks) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
