package link

import (
	"net"
	"slices"
	"time"

	"mountaineer/mount/fs/smb"
)

// Status is the link as the daemon shows and judges it.
type Status struct {
	Route          *string  `json:"route"`
	Wanted         string   `json:"wanted"`
	Allowed        []string `json:"allowed"`
	AwaitsAllow    bool     `json:"awaits_allow"`
	Endpoint       Endpoint `json:"endpoint"`
	Phase          Phase    `json:"phase"`
	LastReceivedMs *int64   `json:"heard_ms"`
	OldestWaitMs   *int64   `json:"oldest_wait_ms"`
	LongestWaitMs  int64    `json:"longest_wait_ms"`
	AskedMs        *int64   `json:"asked_ms"`
	Moves          Moves    `json:"moves"`
	Pauses         Pauses   `json:"pauses"`
	Bytes          Bytes    `json:"bytes"`
	Connections    Count    `json:"connections"`
	PatienceMs     int64    `json:"patience_ms"`
	Encrypted      bool     `json:"encrypted"`
	Signing        *string  `json:"signing"`
	Dialect        string   `json:"dialect"`
	Limit          *Limit   `json:"limit"`
	Refused        *Refused `json:"refused"`
	Other          *Other   `json:"other"`
	Server         Server   `json:"server"`
	Characters     string   `json:"characters"`
}

type Endpoint struct {
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Rerouted bool   `json:"rerouted"`
	smb.Cable
}

// Phase is what programs notice of the link.
type Phase struct {
	Is      string `json:"is"`
	SinceMs *int64 `json:"since_ms,omitempty"`
	Why     string `json:"why,omitempty"`
	Text    string `json:"text,omitempty"`
}

type Moves struct {
	Count int   `json:"count"`
	Last  *Move `json:"last"`
}

type Bytes struct {
	ToServer   int64 `json:"to_server"`
	FromServer int64 `json:"from_server"`
}

type Count struct {
	Open  int `json:"open"`
	InAll int `json:"in_all"`
}

type Limit struct {
	Most int `json:"most"`
}

type Refused struct {
	Text       string `json:"text"`
	At         int64  `json:"at"`
	WithinHour int    `json:"within_hour"`
}

type Server struct {
	Guid   string `json:"guid"`
	Proved string `json:"proved"`
	Empty  bool   `json:"empty"`
}

// LostLock is a lock of a program here that another client may have had since.
type LostLock struct {
	Path    string `json:"path"`
	Program string `json:"program"`
	At      int64  `json:"at"`
}

// Unreported is what programs here watch without getting a report when other clients change it.
type Unreported struct {
	// Folders beyond those that the server is asked about.
	Folders []string `json:"folders"`
	// Missing says what the server lacks; empty: nothing.
	Missing string `json:"missing"`
}

// Status returns what is true now.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := smb.Monotonic()
	s := Status{
		Wanted: l.wanted, AwaitsAllow: l.isUnconfirmed, Phase: l.phase(now), LongestWaitMs: time.Duration(l.longest.Load()).Milliseconds(), Allowed: []string{},
		Moves: Moves{l.moves, l.lastMove}, Pauses: l.pauses, Bytes: Bytes{l.traffic.ToServer.Load(), l.traffic.FromServer.Load()},
		Connections: Count{InAll: l.opened}, PatienceMs: l.patience.Milliseconds(), Other: l.other, Characters: string(l.characters),
	}
	for _, each := range l.routes {
		if l.allowed[each.Name] {
			s.Allowed = append(s.Allowed, each.Name)
		}
	}
	for r := range l.active {
		if waited := (now - r.began).Milliseconds(); s.OldestWaitMs == nil || waited > *s.OldestWaitMs {
			s.OldestWaitMs = &waited
		}
	}
	if s.OldestWaitMs != nil {
		s.LongestWaitMs = max(s.LongestWaitMs, *s.OldestWaitMs)
	}
	if l.current == nil && l.askedAt > 0 {
		ago := (now - l.askedAt).Milliseconds()
		s.AskedMs = &ago
	}
	if l.last.Name != "" {
		// Not a pointer into the link, which changes.
		s.Route = new(l.last.Name)
		s.Endpoint = Endpoint{l.last.Address, l.last.Port, !slices.ContainsFunc(l.routes, l.leadsToLast), smb.Cable{}}
	}
	if l.record != nil {
		s.Server = Server{l.record.Guid, string(l.proof), l.isEmpty}
	}
	if l.limit > 0 {
		s.Limit = &Limit{l.limit}
	}
	l.addConnections(&s, now)
	if l.options.Logins != nil {
		if last, within := l.options.Logins.Refused(); last != nil {
			s.Refused = &Refused{last.Text, last.At, within}
		}
	}
	if s.Refused == nil && l.refused != nil {
		// Another program of this account got the refusal.
		s.Refused = &Refused{Text: l.refused.text, At: time.Now().Add(l.refused.since - now).UnixMilli()}
	}
	return s
}

func (l *Link) leadsToLast(route smb.Route) bool {
	return route.Name == l.last.Name && route.Port == l.last.Port && (route.Address == l.last.Address || net.ParseIP(route.Address) == nil)
}

// addConnections: the caller holds mu.
func (l *Link) addConnections(s *Status, now time.Duration) {
	if l.current == nil {
		return
	}
	l.current.each(func(c *Conn) {
		s.Connections.Open++
		if s.Endpoint.Uncertain == "" {
			s.Endpoint.Cable = c.Cable
		}
		if received := c.LastReceived(); received > 0 {
			ago := (now - received).Milliseconds()
			if s.LastReceivedMs == nil || ago < *s.LastReceivedMs {
				s.LastReceivedMs = &ago
			}
		}
		s.Encrypted, s.Dialect = c.Share.Encryption() != "", c.Server().Dialect
		if signing := c.Signing(); signing != "" {
			s.Signing = &signing
		}
	})
}

// phase: the caller holds mu.
func (l *Link) phase(now time.Duration) Phase {
	since := func(at time.Duration) *int64 {
		ms := (now - at).Milliseconds()
		return &ms
	}
	o := l.outage
	switch {
	case l.current != nil && l.current.files != nil || o == nil && l.refused == nil:
		return Phase{Is: "serving"}
	case l.refused != nil:
		return Phase{Is: "refused", SinceMs: since(l.refused.since), Text: l.refused.text}
	case l.isAway():
		return Phase{Is: "away", SinceMs: since(o.since)}
	}
	p := Phase{Is: "waiting", SinceMs: since(o.since), Why: o.why, Text: o.text}
	if o.isOver || now-o.since > l.patience {
		p.Is = "over"
	}
	switch {
	case l.isUnconfirmed:
		p.Why, p.Text = "network", "the network has changed"
	case p.Why == "":
		p.Why = smb.NoAnswer
	}
	return p
}

// Note adds a line to the journal.
func (l *Link) Note(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(e)
	l.announce()
}

// Changed is closed when something of the status changes that a watcher wants to know.
func (l *Link) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// IsShared: both sessions are one, as the server takes no other.
func (c *Conn) IsShared() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.limit == 1
}
