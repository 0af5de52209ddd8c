package smb2

import (
	"log"
	"math/bits"
	stack "runtime/debug"
	"sync"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// recvBuf is a buffer in which a message came. It is used again once it is released; short ones are left to the garbage collector, so that
// a compound, which never releases its buffer, loses none.
type recvBuf struct {
	b    []byte
	pool *sync.Pool
}

const shortMessage = 32 << 10

// receivePools has one pool for each power of two, and room for the header of a message with as much data.
var receivePools [25]sync.Pool

const headerAtMost = 4 << 10

// No answer is longer that anybody asks for.
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

// isNotice: it answers no request.
func isNotice(p smb2.PacketCodec) bool {
	return p.MessageId() == ^uint64(0) && p.Command() == smb2.SMB2_OPLOCK_BREAK
}

// isEncrypted: the request was sent encrypted, and so must its answer be.
func (r *outstandingRequests) isEncrypted(msgId uint64) bool {
	r.m.Lock()
	defer r.m.Unlock()
	rr, ok := r.requests[msgId]
	return ok && rr.encrypted
}

// pends notes that the server has said of a request that it takes long, which counts once; nil: it does not.
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

// A connection with a forged answer is given up if the server's own answer does not come within this time.
const answeredWithin = time.Second

// doubt: the message that came for a request is not the server's answer.
func (conn *conn) doubt(msgId uint64) {
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

// OnPanic is called with each panic of the library that ended only the request or message in which it occurred.
var OnPanic = func(value any) { log.Printf("%v\n%s", value, stack.Stack()) }

// safely runs op so that a panic does not end the program.
func safely(op func()) {
	defer func() {
		if value := recover(); value != nil {
			OnPanic(value)
		}
	}()
	op()
}
