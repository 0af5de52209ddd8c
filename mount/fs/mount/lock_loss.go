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

// A lock ends at the server with its connection. It is treated as kept if it was granted again and no other client has written: size and change
// time are the same, or a request from here may have changed them, the file has the bytes of that request, and no other client has it open.
// Otherwise the next request of the program that had it fails.

const (
	// How long a lock is asked for again after a loss while another client has it.
	regainedWithin = time.Second
	// The server may have the session before, and its locks, until it is asked to end it.
	endedWithin = 30 * time.Second
	lostAtMost  = 16
	lostFor     = time.Hour
)

// lockedFiles are the files with locks at the server.
type lockedFiles struct {
	mu    sync.Mutex
	nodes map[*node]struct{}
	lost  []client.LostLock
	say   sync.Once
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

// leaveLocks closes the lock handles before a planned move, and records the fingerprints of their files.
func (s *Share) leaveLocks(c *client.Conn) {
	var leaving sync.WaitGroup
	for _, lockHandle := range s.lockedFiles.all() {
		leaving.Go(safely.Of(func() {
			lockHandle.mu.Lock()
			defer lockHandle.mu.Unlock()
			if lockHandle.file == nil || lockHandle.on != c {
				return
			}
			if seen, err := lockHandle.file.Close(); err == nil && seen != nil {
				lockHandle.node.locks.saw(seen)
			}
			lockHandle.file = nil
		}))
	}
	leaving.Wait()
}

// arrived: there is a connection again.
func (s *Share) arrived() {
	_, _ = client.Do(context.Background(), s.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
		s.kernelAhead.suit(t.IsFast())
		return struct{}{}, nil
	}, nil)
	s.regainLocks()
}

// regainLocks opens the lock handles on a new connection, which locks again (regain).
func (s *Share) regainLocks() {
	for _, lockHandle := range s.lockedFiles.all() {
		s.behind.Go(safely.Of(func() {
			_, _ = client.Do(lockHandle.life, s.client, client.Needs{Session: client.Files, NoWait: true}, func(t client.Attempt) (struct{}, error) {
				_, err := lockHandle.openedOn(t.Conn)
				return struct{}{}, err
			}, nil)
		}))
	}
}

// mayHaveChanged: the change time may differ because of this client: a server sets it when it closes the handles of a session that has ended.
func (h *handle) mayHaveChanged() bool {
	l := &h.node.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.there) > 0 && (l.isUnsure || l.changing > 0 || h.isDirty.Load())
}

// isAlone: no other client has the file open.
func (h *handle) isAlone(c *client.Conn) (bool, error) {
	paths, err := h.node.everywhere()
	for i, path := range paths {
		if i > 0 && !isElsewhere(err) {
			break
		}
		err = h.asked(func() error { return c.Share.IsUnused(path) }, sharingViolation)
	}
	if smb.IsLoss(err) {
		return false, err
	}
	return err == nil, nil
}

// asked asks again for a while: another client, or a previous session of this one, may have the file just now.
func (h *handle) asked(ask func() error, refusal uint32) error {
	began, of := time.Now(), h.node.share.client
	for {
		err := ask()
		if waited := time.Since(began); smb.StatusOf(err) != refusal || waited > regainedWithin && !(of.HasPrevious() && waited < endedWithin) {
			return err
		}
		time.Sleep(refusedEvery)
	}
}

// regain locks on another connection what was locked on the one before.
func (h *handle) regain(opened smb2.Opened, isAlone bool) error {
	l := &h.node.locks
	l.mu.Lock()
	there, at := slices.Clone(l.there), l.at
	l.mu.Unlock()
	if len(there) == 0 {
		return nil
	}
	err := opened.Lock(there...)
	if isRefused(err) {
		isAlone = false
		err = h.asked(func() error { return opened.Lock(there...) }, lockNotGranted)
	}
	var seen *smb2.FileStat
	if err == nil {
		seen, err = opened.Look()
	}
	switch {
	case smb.IsLoss(err):
		return err
	case err == nil && fingerprintOf(seen) != at:
		var isOurs bool
		if isOurs, err = l.isOurs(opened.Handle, seen.EndOfFile); smb.IsLoss(err) {
			return err
		}
		if !isAlone || !isOurs {
			return errLocksLost
		}
	case err != nil:
		return errLocksLost
	}
	l.mu.Lock()
	l.at, l.isUnsure = fingerprintOf(seen), false
	l.mu.Unlock()
	h.isDirty.Store(false)
	return nil
}

// lostLocks makes the requests of all programs that had a lock fail. The caller does not hold the mutex of the lock handle.
func (n *node) lostLocks() {
	if lockHandle := n.locks.lockHandle.Load(); lockHandle != nil {
		lockHandle.mu.Lock()
		lockHandle.gone = syscall.EIO
		lockHandle.mu.Unlock()
	}
	n.noteLost()
}

func (n *node) noteLost() {
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

// isLockless: the server has no locks, which is logged once. Programs of this machine still exclude each other.
func (s *Share) isLockless(err error) bool {
	if errnoOf(err) != syscall.ENOTSUP {
		return false
	}
	s.lockedFiles.say.Do(func() {
		log.Print("the server has no locks: programs here exclude each other, and not those of other machines")
	})
	return true
}

// isRefused: another one has the lock.
func isRefused(err error) bool {
	return smb.StatusOf(err) == lockNotGranted || smb.StatusOf(err) == lockConflict || errnoOf(err) == syscall.EAGAIN
}

// releasedBy is the table once a handle is closed for good: what a process has locked by it, it has lost already; a flock ends now.
func (t lockTable) releasedBy(h *handle) lockTable {
	return slices.DeleteFunc(slices.Clone(t), func(each lock) bool { return each.by == h && !each.isAwaited })
}
