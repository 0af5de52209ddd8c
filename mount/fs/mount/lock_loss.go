package mount

import (
	"context"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// A server's lock ends with its connection. On the next connection it is locked again, and counts as never lost if no other client has written
// since: size and change time are the same, or a pending write of this mount may have changed them, the file has the bytes of that write, and no
// other client has the file open. Otherwise requests of the programs that had locks fail.

const (
	// How long relocking is retried while another client has the lock.
	regainedWithin = time.Second
	// The same while a previous session may have it, until the server has ended that.
	endedWithin = 30 * time.Second
	lostAtMost  = 16
	lostFor     = time.Hour
)

// lockedFiles are the files with locks at the server.
type lockedFiles struct {
	mu      sync.Mutex
	nodes   map[*node]struct{}
	lost    []client.LostLock
	logOnce sync.Once
}

func (s *lockedFiles) add(n *node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes == nil {
		s.nodes = map[*node]struct{}{}
	}
	if len(s.nodes) >= filesLocked {
		return false
	}
	s.nodes[n] = struct{}{}
	return true
}

func (s *lockedFiles) remove(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, n)
}

func (s *lockedFiles) all() (all []*handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.nodes {
		if lockHandle := n.locks.lockHandle.Load(); lockHandle != nil {
			all = append(all, lockHandle)
		}
	}
	return all
}

// LostLocks returns the locks that were lost in the last hour.
func (s *Share) LostLocks() []client.LostLock {
	s.lockedFiles.mu.Lock()
	defer s.lockedFiles.mu.Unlock()
	since := time.Now().Add(-lostFor).UnixMilli()
	s.lockedFiles.lost = slices.DeleteFunc(s.lockedFiles.lost, func(each client.LostLock) bool { return each.At < since })
	return slices.Clone(s.lockedFiles.lost)
}

// closeLockHandles closes the lock handles before a planned move, and keeps the fingerprints of their files.
func (s *Share) closeLockHandles(c *client.Conn) {
	var leaving sync.WaitGroup
	for _, lockHandle := range s.lockedFiles.all() {
		leaving.Go(safely.Of(func() {
			lockHandle.mu.Lock()
			defer lockHandle.mu.Unlock()
			if lockHandle.file == nil || lockHandle.conn != c {
				return
			}
			if stat, err := lockHandle.file.Close(); err == nil && stat != nil {
				lockHandle.node.locks.setKnown(stat)
			}
			lockHandle.file = nil
		}))
	}
	leaving.Wait()
}

// onConnected: there is a new connection for files.
func (s *Share) onConnected() {
	_, _ = client.Do(context.Background(), s.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
		s.kernelReadAhead.setFor(t.IsFast())
		return struct{}{}, nil
	}, nil)
	s.reopenLockHandles()
}

// reopenLockHandles opens the lock handles on the new connection, which locks again (relockSame).
func (s *Share) reopenLockHandles() {
	for _, lockHandle := range s.lockedFiles.all() {
		s.background.Go(safely.Of(func() {
			_, _ = client.Do(lockHandle.life, s.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
				_, err := lockHandle.openedOn(t.Conn)
				return struct{}{}, err
			}, nil)
		}))
	}
}

// mayHaveChangedTime: the change time may differ because of this mount: a server sets it when it closes written handles of an ended session.
func (h *handle) mayHaveChangedTime() bool {
	l := &h.node.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.atServer) > 0 && (l.lostAnswer || l.changing > 0 || h.isDirty.Load())
}

// isOnlyClient: no other client has the file open.
func (h *handle) isOnlyClient(c *client.Conn) (bool, error) {
	paths, err := h.node.serverPaths()
	for i, path := range paths {
		if i > 0 && !isStaleName(err) {
			break
		}
		err = h.retryRefused(func() error { return c.Share.IsUnused(path) }, sharingViolation)
	}
	if smb.IsLoss(err) {
		return false, err
	}
	return err == nil, nil
}

// retryRefused runs op again for a while: another client, or a previous session of this one, may have the file or lock.
func (h *handle) retryRefused(op func() error, refusal uint32) error {
	began, of := time.Now(), h.node.share.client
	for {
		err := op()
		if waited := time.Since(began); smb.StatusOf(err) != refusal || waited > regainedWithin && !(of.HasPrevious() && waited < endedWithin) {
			return err
		}
		time.Sleep(refusedEvery)
	}
}

// relockSame locks on a new connection what was locked on the one before. It fails with errLocksLost if another client may have written since.
func (h *handle) relockSame(opened smb2.Opened, isOnlyClient bool) error {
	l := &h.node.locks
	l.mu.Lock()
	there, at := slices.Clone(l.atServer), l.known
	l.mu.Unlock()
	if len(there) == 0 {
		return nil
	}
	err := opened.Lock(there...)
	if isRefused(err) {
		isOnlyClient = false
		err = h.retryRefused(func() error { return opened.Lock(there...) }, lockNotGranted)
	}
	var stat *smb2.FileStat
	if err == nil {
		stat, err = opened.Stat()
	}
	switch {
	case smb.IsLoss(err):
		return err
	case err == nil && fingerprintOf(stat) != at:
		var isOurs bool
		if isOurs, err = l.hasOurBytes(opened.Handle, stat.EndOfFile); smb.IsLoss(err) {
			return err
		}
		if !isOnlyClient || !isOurs {
			return errLocksLost
		}
	case err != nil:
		return errLocksLost
	}
	l.mu.Lock()
	l.known, l.lostAnswer = fingerprintOf(stat), false
	l.mu.Unlock()
	h.isDirty.Store(false)
	return nil
}

// failLockers lets requests of all programs fail that had a lock. The caller does not hold the mutex of the lock handle.
func (n *node) failLockers() {
	if lockHandle := n.locks.lockHandle.Load(); lockHandle != nil {
		lockHandle.mu.Lock()
		lockHandle.lost = syscall.EIO
		lockHandle.mu.Unlock()
	}
	n.reportLostLocks()
}

func (n *node) reportLostLocks() {
	path := n.shownPath()
	n.locks.mu.Lock()
	table := n.locks.table
	n.locks.mu.Unlock()
	var programs []string
	for _, each := range table {
		name, err := os.ReadFile("/proc/" + strconv.Itoa(int(each.pid)) + "/comm")
		if program := strings.TrimSpace(string(name)); err == nil && !slices.Contains(programs, program) {
			programs = append(programs, program)
		}
	}
	program := strings.Join(programs, ", ")
	s := &n.share.lockedFiles
	s.mu.Lock()
	s.lost = append(s.lost, client.LostLock{Path: path, Program: program, At: time.Now().UnixMilli()})
	s.lost = s.lost[max(0, len(s.lost)-lostAtMost):]
	s.mu.Unlock()
	n.share.client.Journal(client.Event{Is: "file_lost", Path: path, Why: "lock", Text: program})
	safely.Go(func() { n.dropPages(0) })
}

// logLockless logs once if the server has no locks, and returns whether. Programs of this machine still exclude each other.
func (s *Share) logLockless(err error) bool {
	if errnoOf(err) != syscall.ENOTSUP {
		return false
	}
	s.lockedFiles.logOnce.Do(func() {
		log.Print("the server has no locks: programs here exclude each other, and not those of other machines")
	})
	return true
}

// isRefused: another client or program has the lock.
func isRefused(err error) bool {
	return smb.StatusOf(err) == lockNotGranted || smb.StatusOf(err) == lockConflict || errnoOf(err) == syscall.EAGAIN
}

// releasedBy is the table after the release of a handle, which ends its flock. Its fcntl locks ended with the close.
func (t lockTable) releasedBy(h *handle) lockTable {
	return slices.DeleteFunc(slices.Clone(t), func(each lock) bool { return each.by == h && !each.isAwaited })
}
