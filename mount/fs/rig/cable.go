package rig

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"

	"mountaineer/mount/fs/smb"
)

// Cable forwards connections.
type Cable struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	near     []net.Conn
	far      []net.Conn
	isCut    bool
	// Nothing passes while it is locked for writing.
	passing sync.RWMutex
	isHeld  bool
	narrow  int
	ended   chan struct{}
	dialled int
	toFar   []byte // the first bytes of all connections
	cutsAt  func(message []byte) bool
	alters  func(message []byte)
}

const recordedAtMost = 1 << 20

// Passed counts how often a text went to the server.
func (c *Cable) Passed(text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Count(c.toFar, []byte(text))
}

// CutAt ends a connection at each message to the server of which is says so: the server gets the message, and its answer is lost.
func (c *Cable) CutAt(is func(message []byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutsAt = is
}

// Alter changes each message to the server, whose length stays.
func (c *Cable) Alter(change func(message []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alters = change
}

// LayCable is another way to the server.
func (r *Rig) LayCable() *Cable {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(r.T, err)
	c := &Cable{listener: listener, target: r.Address(), ended: make(chan struct{})}
	r.T.Cleanup(func() { close(c.ended); _ = listener.Close(); c.Hold(false); c.Set(true); c.CloseFar() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c.join(near)
		}
	}()
	return c
}

// Route leads over the cable.
func (c *Cable) Route(name string) smb.Route {
	return smb.Route{Name: name, Address: "127.0.0.1", Port: c.listener.Addr().(*net.TCPAddr).Port}
}

// LeadTo lets new connections go to another server.
func (c *Cable) LeadTo(r *Rig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = r.Address()
}

func (c *Cable) join(near net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled++
	far, err := net.Dial("tcp", c.target)
	if c.isCut || err != nil {
		_ = near.Close()
		if err == nil {
			_ = far.Close()
		}
		return
	}
	c.near, c.far = append(c.near, near), append(c.far, far)
	forward := func(to, from net.Conn) {
		// Otherwise the system would pass the bytes on without this goroutine.
		_, _ = io.Copy(struct{ io.Writer }{to}, held{from, to, c, from == near})
		c.mu.Lock()
		defer c.mu.Unlock()
		// A server hears of a program's end, and of a cut cable nothing.
		if slices.Contains(c.near, near) {
			_ = far.Close()
		}
		_ = near.Close()
	}
	go forward(near, far)
	go forward(far, near)
}

// held passes nothing on while the cable is held.
type held struct {
	net.Conn
	to     net.Conn
	cable  *Cable
	isNear bool
}

func (h held) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.cable.passing.RLock()
	h.cable.passing.RUnlock()
	h.cable.mu.Lock()
	narrow := h.cable.narrow
	if h.isNear && len(h.cable.toFar) < recordedAtMost {
		h.cable.toFar = append(h.cable.toFar, p[:n]...)
	}
	if h.isNear && h.cable.alters != nil {
		h.cable.alters(p[:n])
	}
	isCut := h.isNear && h.cable.cutsAt != nil && h.cable.cutsAt(p[:n])
	if isCut {
		h.cable.near = slices.DeleteFunc(h.cable.near, func(one net.Conn) bool { return one == h.Conn })
	}
	h.cable.mu.Unlock()
	if isCut {
		_ = h.Close()
		_, _ = h.to.Write(p[:n])
		return 0, io.EOF
	}
	if narrow > 0 && n > narrow {
		<-h.cable.ended
	}
	return n, err
}

// Narrow drops messages that are longer, as a switch drops long frames; later messages on the same connection wait for them.
func (c *Cable) Narrow(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.narrow = bytes
}

// Hold: connections stand, and nothing passes, as in a cable that is pulled somewhere between.
func (c *Cable) Hold(isHeld bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isHeld == c.isHeld {
		return
	}
	if c.isHeld = isHeld; isHeld {
		c.passing.Lock()
	} else {
		c.passing.Unlock()
	}
}

// Set ends the program's side of all connections; the server notices nothing, and what it sends stays with it. Cut: new ones end as well.
func (c *Cable) Set(isCut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = isCut
	for _, near := range c.near {
		_ = near.Close()
	}
	c.near = nil
}

// CloseFar ends the server's side.
func (c *Cable) CloseFar() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, far := range c.far {
		_ = far.Close()
	}
}

// Tries counts the connections that were begun.
func (c *Cable) Tries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialled
}
