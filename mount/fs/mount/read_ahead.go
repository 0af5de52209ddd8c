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

// A program that reads a file from start to end waits for a round trip to the server with each read, as the kernel sends 128 KiB at a time. So
// the file is read ahead by chunks of 1 MiB: those in the window are requested at the same time, and answer later reads. The window grows while
// reads have to wait, up to 16 chunks; a read that does not follow the one before closes it.

const (
	chunkAtMost  = 1 << 20
	windowAtMost = 16
	// Chunks that are read ahead for all files together.
	aheadAtMost = 3 * windowAtMost
	// How long bytes that were read ahead are used: as long as attributes.
	freshFor = time.Second
	// The kernel sends several reads of one file at the same time, in any order: one this far from the expected offset still follows.
	reorderedAtMost = 512 << 10
)

// chunksAhead counts chunks that are read ahead and not released.
var chunksAhead atomic.Int64

// chunk is a part of a file that is being read, or was read. It is released when the request that fills it, the window and each read are done with it.
type chunk struct {
	at   int64
	done chan struct{}
	// Valid once done is closed.
	readAt time.Time
	block  smb2.Block
	err    error

	users   atomic.Int32 // how many have to release it
	isAhead bool         // it counts in chunksAhead
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
	if c.isAhead {
		chunksAhead.Add(-1)
	}
}

// readAhead is the window of an open file.
type readAhead struct {
	mu      sync.Mutex
	size    int64            // of a chunk
	next    int64            // where the last read ended
	current int64            // the offset of the chunk that programs read now
	window  int64            // how many chunks are read from there on; 0: the file is not read from start to end
	chunks  map[int64]*chunk // of the window, by offset
}

// drop closes the window: the file has changed, or is closed.
func (a *readAhead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(func(*chunk) bool { return true })
	a.window = 0
}

// forget drops chunks from the window. The caller holds mu.
func (a *readAhead) forget(which func(*chunk) bool) {
	for at, c := range a.chunks {
		if which(c) {
			delete(a.chunks, at)
			c.release()
		}
	}
}

// dropShort drops a chunk that ended before the file does.
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

// startChunk starts to read a chunk, which the caller releases. nil: it would be read ahead, and too many are.
func (h *handle) startChunk(at, length int64, isAhead bool) *chunk {
	if isAhead && chunksAhead.Add(1) > aheadAtMost {
		chunksAhead.Add(-1)
		return nil
	}
	c := &chunk{at: at, done: make(chan struct{}), isAhead: isAhead}
	c.users.Store(2)
	safely.Go(func() {
		defer c.release()
		defer close(c.done)
		c.block, c.err = safely.Do(func() (smb2.Block, error) { return h.readBlock(length, at) })
		c.readAt = time.Now()
	})
	return c
}

// chunkAt returns the chunk of the window that has off, and moves the window there; for a read that does not follow, a chunk of only that read. The
// caller releases it.
func (h *handle) chunkAt(off, wanted, fileSize int64) *chunk {
	a := &h.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	reordered := max(reorderedAtMost, 2*wanted)
	isSequential := a.next > 0 && off >= a.next-reordered && off <= a.next+reordered
	a.next = off + wanted
	at := off - off%a.size
	if !isSequential || at >= fileSize {
		a.window = 0
		return h.startChunk(off, min(wanted, a.size), false)
	}
	a.forget(func(c *chunk) bool {
		return c.isDone() && time.Since(c.readAt) > freshFor || c.at < at-a.size
	})
	if at != a.current || a.window == 0 {
		a.current = at
		// A reader that had to wait for this chunk gets a larger window.
		if c := a.chunks[at]; c == nil || !c.isDone() {
			a.window = min(max(2*a.window, 2), windowAtMost)
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

// part is the answer to a read (fuse.ReadResult): a slice of a chunk, or a copy from several.
type part struct {
	data  []byte
	of    *chunk // nil: a copy
	pages *pages
}

func (p part) Bytes([]byte) ([]byte, fuse.Status) { return p.data, fuse.OK }
func (p part) Size() int                          { return len(p.data) }

// Done is called once the kernel has the bytes.
func (p part) Done() {
	p.pages.answered()
	if p.of != nil {
		p.of.release()
	}
}

// Read answers with len(dest) bytes, fewer only at the end of the file: with a slice of one chunk if that has them all, else in dest.
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
	for n, isExact := 0, false; ; {
		at := off + int64(n)
		rest := int64(len(dest) - n)
		var c *chunk
		if isExact {
			c = h.startChunk(at, rest, false)
		} else {
			c = h.chunkAt(at, rest, h.node.size())
		}
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
		isShort := m == 0 && !isExact && off+int64(n) < h.node.size()
		if isShort {
			// The file has grown since that was read ahead, or the credits allowed no longer read: another one shows whether this is the end.
			h.ahead.dropShort(c)
		}
		c.release()
		if !isShort && (m == 0 || n == len(dest)) {
			return part{dest[:n], nil, &h.node.pages}, 0
		}
		isExact = isShort || h.ahead.isWithin(off+int64(n))
	}
}
