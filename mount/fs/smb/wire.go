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
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.TCPConn.Read(p)
	if n > 0 {
		w.received.Store(int64(Monotonic()))
		w.traffic.FromServer.Add(int64(n))
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
