package smb

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Traffic counts the bytes of all connections of a share.
type Traffic struct {
	ToServer, FromServer atomic.Int64
}

var began = time.Now()

// Monotonic is the time since this process began, not counting sleep of the machine.
func Monotonic() time.Duration { return time.Since(began) }

// wire knows when the server's last bytes came.
type wire struct {
	*net.TCPConn
	traffic  *Traffic
	received atomic.Int64 // Monotonic; 0: nothing came
	ended    chan struct{}
	once     sync.Once
	speed    speed
}

func (w *wire) Read(p []byte) (int, error) {
	asked := Monotonic()
	n, err := w.TCPConn.Read(p)
	if n > 0 {
		now := Monotonic()
		w.received.Store(int64(now))
		w.traffic.FromServer.Add(int64(n))
		w.speed.took(n, len(p), asked, now)
	}
	if err != nil {
		w.once.Do(func() { close(w.ended) })
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.TCPConn.Write(p)
	w.traffic.ToServer.Add(int64(n))
	return n, err
}

// WriteParts sends all parts by one call of the system.
func (w *wire) WriteParts(parts net.Buffers) (int64, error) {
	n, err := parts.WriteTo(w.TCPConn)
	w.traffic.ToServer.Add(n)
	return n, err
}

// reset ends the connection so that nothing of what waits to be sent is ever sent.
func (w *wire) reset() {
	_ = w.SetLinger(0)
	_ = w.Close()
}

const (
	// Only messages of which at least this much is awaited are measured. Their last bytes come through the reader's buffer.
	measuredFrom = 96 << 10
	bufferedOf   = 16 << 10
	fastFrom     = 200 << 20 // bytes in a second: more than a gigabit
	// Some messages wait in this machine while it is busy, and seem to come at once.
	mostOf, fewOf, ofLast = 6, 2, 8
)

// speed tells whether a connection is fast, by the long messages that come: from the first byte of one to its last the server has nothing to do
// but send it.
type speed struct {
	began  time.Duration
	length int
	rest   int
	// Of the last long messages, how many more came fast than not.
	fast   int
	isFast atomic.Bool
}

// took notes a read into what a message still needs.
func (s *speed) took(n, room int, asked, now time.Duration) {
	if room != s.rest {
		if s.rest = 0; room < measuredFrom {
			return
		}
		s.began, s.length = asked, room
	}
	if s.rest = room - n; s.rest >= bufferedOf {
		return
	}
	isFast := time.Duration(s.length-s.rest)*time.Second/fastFrom > now-s.began
	s.rest = 0
	if isFast {
		s.fast = min(s.fast+1, ofLast)
	} else {
		s.fast = max(s.fast-1, 0)
	}
	if s.fast >= mostOf || s.fast <= fewOf {
		s.isFast.Store(s.fast >= mostOf)
	}
}

// IsFast: long answers have lately come faster than over a gigabit.
func (c *Connection) IsFast() bool { return c.wire.speed.isFast.Load() }
