package smb2

import (
	"log"
	"math/bits"
	stack "runtime/debug"
	"sync"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// recvBuf is the buffer of a received message. It is reused once it is released. Short ones are left to the garbage collector, because a compound
// never releases its buffer.
type recvBuf struct {
	b    []byte
	pool *sync.Pool
}

const shortMessage = 32 << 10

// receivePools has one pool per power of two; buffers are that long plus a header.
var receivePools [25]sync.Pool

const headerAtMost = 4 << 10

// No request allows a longer answer.
const longestMessage = winMaxPayloadSize + shortMessage

func (conn *conn) bufferFor(n int) *recvBuf {
	if n <= shortMessage {
		return &recvBuf{b: make([]byte, n)}
	}
	size := bits.Len(uint(max(n-headerAtMost, 1) - 1))
	pool := &receivePools[size]
	if rb, ok := pool.Get().(*recvBuf); ok {
		return rb
	}
	return &recvBuf{b: make([]byte, 1<<size+headerAtMost), pool: pool}
}

func (rb *recvBuf) release() {
	if rb.pool != nil {
		rb.pool.Put(rb)
	}
}

// isNotice: the message answers no request.
func isNotice(p smb2.PacketCodec) bool {
	return p.MessageId() == ^uint64(0) && p.Command() == smb2.SMB2_OPLOCK_BREAK
}

// isEncrypted: the request was encrypted, so its answer must be.
func (r *outstandingRequests) isEncrypted(msgId uint64) bool {
	r.m.Lock()
	defer r.m.Unlock()
	rr, ok := r.requests[msgId]
	return ok && rr.encrypted
}

// pends returns the request of an interim response (STATUS_PENDING); nil: there is none, or this is not its first one.
func (r *outstandingRequests) pends(msgId, asyncId uint64) *requestResponse {
	r.m.Lock()
	defer r.m.Unlock()
	rr := r.requests[msgId]
	if rr == nil || rr.isPending {
		return nil
	}
	rr.isPending, rr.asyncId = true, asyncId
	return rr
}

// After a forged answer the connection is closed if the server's own answer does not come within this time.
const answeredWithin = time.Second

// forged: an answer to that request was forged.
func (conn *conn) forged(msgId uint64) {
	r := conn.outstandingRequests
	r.m.Lock()
	defer r.m.Unlock()
	rr := r.requests[msgId]
	if rr == nil || rr.isDoubted {
		return
	}
	rr.isDoubted = true
	time.AfterFunc(answeredWithin, func() {
		safely(func() {
			if r.has(rr) {
				_ = conn.t.Close()
			}
		})
	})
}

func (r *outstandingRequests) has(rr *requestResponse) bool {
	r.m.Lock()
	defer r.m.Unlock()
	return r.requests[rr.msgId] == rr
}

// OnPanic is called with each panic that safely has caught.
var OnPanic = func(value any) { log.Printf("%v\n%s", value, stack.Stack()) }

// safely runs op, so that a panic does not end the program.
func safely(op func()) {
	defer func() {
		if value := recover(); value != nil {
			OnPanic(value)
		}
	}()
	op()
}
