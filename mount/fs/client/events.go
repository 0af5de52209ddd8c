package client

import (
	"log"
	"regexp"
	"time"
)

// What the client tells people: events in the journal, and the log.

// Event is a line of the journal. README.md has its kinds (Is) and members.
type Event struct {
	Is     string `json:"is"`
	Route  string `json:"route,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	Asked  bool   `json:"asked,omitempty"`
	Quiet  bool   `json:"quiet,omitempty"`
	TookMs int64  `json:"took_ms,omitempty"`
	Ms     int64  `json:"ms,omitempty"`
	Why    string `json:"why,omitempty"`
	Text   string `json:"text,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Reason says why a route was left.
type Reason string

const (
	Asked      Reason = "asked"       // the daemon sent `use`
	LinkDown   Reason = "link_down"   // the daemon sent `lost`
	Ended      Reason = "ended"       // the connection ended
	Silent     Reason = "silent"      // the server did not answer
	Blocked    Reason = "blocked"     // only short messages pass
	NotAllowed Reason = "not_allowed" // no longer allowed on this network
	Returned   Reason = "returned"    // the server answers again after an outage
)

// Move is a change of the route.
type Move struct {
	At     int64  `json:"at"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason Reason `json:"reason"`
	Asked  bool   `json:"asked"`
	Quiet  bool   `json:"quiet"`
	TookMs int64  `json:"took_ms"`
}

// recordMove: the caller holds mu.
func (cl *Client) recordMove(m Move) {
	m.At = time.Now().UnixMilli()
	cl.moves++
	cl.lastMove = &m
	cl.journal(Event{Is: "moved", From: m.From, To: m.To, Reason: m.Reason, Asked: m.Asked, Quiet: m.Quiet, TookMs: m.TookMs})
	cl.logf("moved from %s to %s (%s, %d ms)", m.From, m.To, m.Reason, m.TookMs)
	cl.wakeWaiters()
}

// Pauses sums up how often and how long programs waited.
type Pauses struct {
	Count     int   `json:"count"`
	TotalMs   int64 `json:"total_ms"`
	LongestMs int64 `json:"longest_ms"`
}

// Add counts a pause.
func (p *Pauses) Add(ms int64) {
	p.Count++
	p.TotalMs += ms
	p.LongestMs = max(p.LongestMs, ms)
}

// journal writes an event to the journal. The caller holds mu.
func (cl *Client) journal(e Event) {
	if cl.options.Event != nil {
		cl.options.Event(e)
	}
}

// Journal adds a line to the journal.
func (cl *Client) Journal(e Event) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.journal(e)
	cl.wakeWaiters()
}

func (cl *Client) logf(format string, values ...any) { log.Printf(format, values...) }

var localAddress = regexp.MustCompile(`[0-9.:\[\]a-f]+:[0-9]+->`)

// logChange logs a text about a route unless it was the last one.
func (cl *Client) logChange(route, text string) {
	// Each connection has a different port.
	text = localAddress.ReplaceAllString(text, "")
	cl.mu.Lock()
	isSame := cl.logged[route] == text
	cl.logged[route] = text
	cl.mu.Unlock()
	if !isSame {
		cl.logf("%s: %s", route, text)
	}
}
