package smb2

import (
	"context"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// Range is a locked part of a file, exclusive or shared.
type Range struct {
	Start, Length uint64
	IsExclusive   bool
}

// Lock locks all of the ranges or none, without waiting. A shared one may overlap an exclusive one of the same handle.
func (h *Handle) Lock(ranges ...Range) error { return h.lock(smb2.LockAtOnce, ranges)() }

// Unlock unlocks ranges that were locked exactly so. If the same range is locked twice, that is the exclusive lock.
func (h *Handle) Unlock(ranges ...Range) error { return h.lock(smb2.LockUnlock, ranges)() }

// Relock unlocks some ranges and locks others. Both requests are sent together, so that no other client gets a lock in between. isUnlocked: the unlock
// succeeded, whatever the result of the lock.
func (h *Handle) Relock(unlock, lock []Range) (isUnlocked bool, err error) {
	unlocked, locked := h.lock(smb2.LockUnlock, unlock), h.lock(smb2.LockAtOnce, lock)
	err = unlocked()
	isUnlocked = err == nil
	if e := locked(); isUnlocked {
		err = e
	}
	return isUnlocked, err
}

// lock sends a request. The function that it returns waits for the answer.
func (h *Handle) lock(flags uint32, ranges []Range) (answer func() error) {
	if len(ranges) == 0 {
		return func() error { return nil }
	}
	rr, err := h.startLock(flags, ranges)
	if err != nil {
		return func() error { return err }
	}
	return func() error { return h.locked(rr) }
}

func (h *Handle) startLock(flags uint32, ranges []Range) (*requestResponse, error) {
	req := &smb2.LockRequest{FileId: h.id}
	for _, each := range ranges {
		how := flags
		if flags != smb2.LockUnlock && each.IsExclusive {
			how |= smb2.LockExclusive
		} else if flags != smb2.LockUnlock {
			how |= smb2.LockShared
		}
		req.Locks = append(req.Locks, smb2.LockElement{Offset: each.Start, Length: each.Length, Flags: how})
	}
	if err := h.charge(req); err != nil {
		return nil, err
	}
	return h.fs.send(h.fs.ctx, req)
}

func (h *Handle) locked(rr *requestResponse) error {
	pkt, err := h.fs.recv(rr)
	if err != nil {
		return err
	}
	defer rr.freeRecvBuf()
	_, err = answerOf(pkt)
	return err
}

// IsUnused: no client has the file open; a sharing violation if one has.
func (fs *Share) IsUnused(name string) error {
	create := fs.createRequest(smb2.FILE_READ_DATA, smb2.FILE_OPEN, smb2.FILE_NON_DIRECTORY_FILE)
	create.ShareAccess = 0
	_, err := fs.exchange(name, create, &smb2.CloseRequest{})
	return err
}

// WaitingLock is a lock that the server grants once it can.
type WaitingLock struct {
	handle *Handle
	rr     *requestResponse
}

// AwaitLock requests a lock that other clients may have now.
func (h *Handle) AwaitLock(r Range) (WaitingLock, error) {
	rr, err := h.startLock(0, []Range{r})
	return WaitingLock{h, rr}, err
}

// Answer waits for the server: until the lock is granted, Cancel was called, or the connection has ended.
func (w WaitingLock) Answer() error { return w.handle.locked(w.rr) }

// Cancel sends a CANCEL. The server may have granted the lock just before.
func (w WaitingLock) Cancel() { w.handle.fs.cancel(w.rr) }

// cancel sends a CANCEL for a request, which is still answered.
func (fs *Share) cancel(rr *requestResponse) {
	conn := fs.conn
	conn.m.Lock()
	defer conn.m.Unlock()
	s := conn.session.Load()
	if conn.err != nil || s == nil {
		return
	}
	req := &smb2.CancelRequest{}
	req.MessageId, req.SessionId = rr.msgId, s.sessionId
	if req.AsyncId = conn.outstandingRequests.asyncId(rr); req.AsyncId != 0 {
		req.Flags = smb2.SMB2_FLAGS_ASYNC_COMMAND
	}
	pkt := make([]byte, req.Size())
	req.Encode(pkt)
	if fs.Encryption() != "" {
		var err error
		if pkt, err = s.encrypt(pkt, make([]byte, 52+len(pkt)+AES_AUTH_TAG_LEN)); err != nil {
			return
		}
	} else if conn.mustSign(s.sessionFlags, req) {
		pkt = s.sign(pkt)
	}
	_, _ = conn.handOver(context.Background(), pkt, nil)
}

// asyncId is the AsyncId of a pending request; 0: there was no interim response.
func (r *outstandingRequests) asyncId(rr *requestResponse) uint64 {
	r.m.Lock()
	defer r.m.Unlock()
	if r.requests[rr.msgId] != rr {
		return 0
	}
	return rr.asyncId
}
