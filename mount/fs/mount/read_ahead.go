package mount

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const (
	chunkAtMost = 1 << 20
	inFlight    = 16
	// For all open files together; beyond it, nothing is read ahead.
	aheadAtMost = 3 * inFlight
	// How long bytes that were read ahead are used: as long as attributes.
	freshFor = time.Second
	// The kernel sends several reads of one file at the same time, in any order.
	reorderedAtMost = 512 << 10
)

var chunksAhead atomic.Int64

// chunk is a part of a file that is being read, or was read.
type chunk struct {
	at   int64
	done chan struct{}
	// Valid once done is closed.
	readAt time.Time
	block  smb2.Block
	err    error

	users   atomic.Int32 // who have to release it
	counted bool         // in chunksAhead
}

func (c *chunk) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *chunk) release() {
	if c.users.Add(-1) > 0 {
		return
	}
	c.block.Release()
	if c.counted {
		chunksAhead.Add(-1)
	}
}

// readAhead keeps several requests in flight while a file is read sequentially: the kernel sends reads of 128 KiB, often one at a time.
type readAhead struct {
	mu     sync.Mutex
	size   int64 // of a chunk
	next   int64 // the end of the last read
	front  int64 // the chunk that is being read
	window int64
	chunks map[int64]*chunk
}

// drop: the file has changed, or is closed.
func (a *readAhead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(func(*chunk) bool { return true })
	a.window = 0
}

// forget: the caller holds mu.
func (a *readAhead) forget(which func(*chunk) bool) {
	for at, c := range a.chunks {
		if which(c) {
			delete(a.chunks, at)
			c.release()
		}
	}
}

// dropShort drops a chunk that is too short.
func (a *readAhead) dropShort(short *chunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(func(c *chunk) bool { return c == short })
}

// isWithin: the offset is not the start of a chunk.
func (a *readAhead) isWithin(off int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return off%a.size != 0
}

// startChunk starts to read a chunk; nil: too much is read ahead already. The caller releases it.
func (h *handle) startChunk(at, length int64, counted bool) *chunk {
	if counted && chunksAhead.Add(1) > aheadAtMost {
		chunksAhead.Add(-1)
		return nil
	}
	c := &chunk{at: at, done: make(chan struct{}), counted: counted}
	c.users.Store(2)
	safely.Go(func() {
		defer c.release()
		defer close(c.done)
		c.block, c.err = safely.Do(func() (smb2.Block, error) { return h.readBlock(length, at) })
		c.readAt = time.Now()
	})
	return c
}

// chunkAt returns the chunk that has off, or starts to read it. The caller releases it.
func (h *handle) chunkAt(off, wanted, fileSize int64) *chunk {
	a := &h.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	reordered := max(reorderedAtMost, 2*wanted)
	isNext := a.next > 0 && off >= a.next-reordered && off <= a.next+reordered
	a.next = off + wanted
	at := off - off%a.size
	if !isNext || at >= fileSize {
		a.window = 0
		return h.startChunk(off, min(wanted, a.size), false)
	}
	a.forget(func(c *chunk) bool {
		return c.isDone() && time.Since(c.readAt) > freshFor || c.at < at-a.size
	})
	if at != a.front || a.window == 0 {
		a.front = at
		// A reader that had to wait for this chunk gets a larger window.
		if c := a.chunks[at]; c == nil || !c.isDone() {
			a.window = min(max(2*a.window, 2), inFlight)
		}
	}
	if a.chunks == nil {
		a.chunks = map[int64]*chunk{}
	}
	for each := at; each < min(at+a.window*a.size, fileSize); each += a.size {
		if a.chunks[each] != nil {
			continue
		}
		c := h.startChunk(each, a.size, true)
		if c == nil {
			break
		}
		a.chunks[each] = c
	}
	c := a.chunks[at]
	if c == nil {
		return h.startChunk(off, min(wanted, a.size), false)
	}
	c.users.Add(1)
	return c
}

// chunkFor is chunkAt, or if isAgain a chunk that begins exactly at off.
func (h *handle) chunkFor(off, wanted int64, isAgain bool) *chunk {
	if isAgain {
		return h.startChunk(off, wanted, false)
	}
	return h.chunkAt(off, wanted, h.node.size())
}

// part is the answer to a read: a slice of a chunk, without a copy.
type part struct {
	data  []byte
	of    *chunk // nil: a copy
	pages *pages
}

func (p part) Bytes([]byte) ([]byte, fuse.Status) { return p.data, fuse.OK }
func (p part) Size() int                          { return len(p.data) }

// Done: the kernel has it.
func (p part) Done() {
	p.pages.answered()
	if p.of != nil {
		p.of.release()
	}
}

// Read fills dest as far as the file goes.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (result fuse.ReadResult, errno syscall.Errno) {
	end := h.node.pages.begin()
	defer func() {
		if result == nil || result.Size() == 0 {
			end()
		}
	}()
	defer func() {
		if !h.node.isLeased() {
			h.node.forgetSoon()
		}
	}()
	for n, isAgain := 0, false; ; {
		at := off + int64(n)
		rest := int64(len(dest) - n)
		c := h.chunkFor(at, rest, isAgain)
		if _, err := client.Await(ctx, Killed, c.done, time.Time{}); err != nil {
			c.release()
			return nil, errnoOf(err)
		}
		if c.err != nil {
			err := c.err
			c.release()
			return nil, errnoOf(err)
		}
		data := c.block.Data
		found := data[min(int64(len(data)), at-c.at):]
		if n == 0 && len(found) >= len(dest) {
			return part{found[:len(dest)], c, &h.node.pages}, 0
		}
		m := copy(dest[n:], found)
		n += m
		isShort := m == 0 && !isAgain && off+int64(n) < h.node.size()
		if isShort {
			// The file has grown since that was read ahead, or the server had no credits for more: another read shows whether this is the end.
			h.ahead.dropShort(c)
		}
		c.release()
		if !isShort && (m == 0 || n == len(dest)) {
			return part{dest[:n], nil, &h.node.pages}, 0
		}
		isAgain = isShort || h.ahead.isWithin(off+int64(n))
	}
}
