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

// wire is a TCP connection that counts its bytes and measures its speed.
type wire struct {
	*net.TCPConn
	traffic  *Traffic
	received atomic.Int64 // Monotonic; 0: nothing came
	ended    chan struct{}
	once     sync.Once
	speed    speed
}

func (w *wire) Read(p []byte) (int, error) {
	since := Monotonic()
	n, err := w.TCPConn.Read(p)
	if n > 0 {
		now := Monotonic()
		w.received.Store(int64(now))
		w.traffic.FromServer.Add(int64(n))
		w.speed.measure(n, len(p), since, now)
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

// WriteParts sends all parts by one system call.
func (w *wire) WriteParts(parts net.Buffers) (int64, error) {
	n, err := parts.WriteTo(w.TCPConn)
	w.traffic.ToServer.Add(n)
	return n, err
}

// reset ends the connection by a RST, so that unsent bytes are dropped.
func (w *wire) reset() {
	_ = w.SetLinger(0)
	_ = w.Close()
}

const (
	// Shorter messages are not measured.
	longMessage = 96 << 10
	// The reader's buffer: the last bytes of a message come through it, and are not measured.
	readerBuffer = 16 << 10
	fastRate     = 200 << 20 // bytes a second: more than a gigabit
	// The score at which the connection counts as fast, and as slow again. On a busy machine some messages wait in its buffers and seem to
	// arrive at once.
	fastScore, slowScore, highestScore = 6, 2, 8
)

// speed says whether a connection is fast. It measures long messages from the first byte to the last, while the server only sends. Only the
// connection's one reader calls measure.
type speed struct {
	// The long message that is being read: since when, its length, and how much is missing; 0: none.
	since   time.Duration
	length  int
	missing int
	// One more for each fast message, one less for each slow one.
	score  int
	isFast atomic.Bool
}

// measure counts a read of n bytes into a buffer with room for all that is missing of a message.
func (s *speed) measure(n, room int, since, now time.Duration) {
	if room != s.missing {
		if s.missing = 0; room < longMessage {
			return
		}
		s.since, s.length = since, room
	}
	if s.missing = room - n; s.missing >= readerBuffer {
		return
	}
	isFast := time.Duration(s.length-s.missing)*time.Second/fastRate > now-s.since
	s.missing = 0
	if isFast {
		s.score = min(s.score+1, highestScore)
	} else {
		s.score = max(s.score-1, 0)
	}
	if s.score >= fastScore || s.score <= slowScore {
		s.isFast.Store(s.score >= fastScore)
	}
}

// IsFast: recent long answers came faster than 1 Gbit/s.
func (c *Connection) IsFast() bool { return c.wire.speed.isFast.Load() }
