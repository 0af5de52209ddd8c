package client

import (
	"net"
	"slices"
	"time"

	"mountaineer/mount/fs/smb"
)

// Status is the state of the client, for the daemon.
type Status struct {
	Route          *string      `json:"route"`
	Wanted         string       `json:"wanted"`
	Allowed        []string     `json:"allowed"`
	AwaitsAllow    bool         `json:"awaits_allow"`
	Endpoint       Endpoint     `json:"endpoint"`
	Phase          Phase        `json:"phase"`
	LastReceivedMs *int64       `json:"heard_ms"`
	OldestWaitMs   *int64       `json:"oldest_wait_ms"`
	LongestWaitMs  int64        `json:"longest_wait_ms"`
	AskedMs        *int64       `json:"asked_ms"`
	Moves          Moves        `json:"moves"`
	Pauses         Pauses       `json:"pauses"`
	Bytes          Bytes        `json:"bytes"`
	Connections    Count        `json:"connections"`
	PatienceMs     int64        `json:"patience_ms"`
	Encrypted      bool         `json:"encrypted"`
	Signing        *string      `json:"signing"`
	Dialect        string       `json:"dialect"`
	Limit          *Limit       `json:"limit"`
	Refused        *Refused     `json:"refused"`
	Other          *OtherServer `json:"other"`
	Server         Server       `json:"server"`
	Characters     string       `json:"characters"`
}

type Endpoint struct {
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Rerouted bool   `json:"rerouted"`
	smb.Cable
}

// Phase says whether programs are served, wait or get errors.
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

// OtherServer is a server that answers in place of the recorded one.
type OtherServer struct {
	Route        string `json:"route"`
	Address      string `json:"address"`
	Guid         string `json:"guid"`
	Text         string `json:"text"`
	NothingKnown bool   `json:"bare"`
}

// LostLock is a lock of a program on this machine that was lost: another client may have had it since.
type LostLock struct {
	Path    string `json:"path"`
	Program string `json:"program"`
	At      int64  `json:"at"`
}

// Unreported is what programs on this machine watch although changes by other clients are not reported to them.
type Unreported struct {
	// Folders beyond the limit of watched ones.
	Folders []string `json:"folders"`
	// What the server lacks; empty: nothing.
	Missing string `json:"missing"`
}

func (cl *Client) Status() Status {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	now := smb.Monotonic()
	s := Status{
		Wanted: cl.wanted, AwaitsAllow: cl.awaitsAllow, Phase: cl.phase(now), LongestWaitMs: time.Duration(cl.longest.Load()).Milliseconds(), Allowed: []string{},
		Moves: Moves{cl.moves, cl.lastMove}, Pauses: cl.pauses, Bytes: Bytes{cl.traffic.ToServer.Load(), cl.traffic.FromServer.Load()},
		Connections: Count{InAll: cl.opened}, PatienceMs: cl.patience.Milliseconds(), Other: cl.other, Characters: string(cl.characters),
	}
	for _, each := range cl.routes {
		if cl.allowed[each.Name] {
			s.Allowed = append(s.Allowed, each.Name)
		}
	}
	if len(cl.active) > 0 {
		s.OldestWaitMs = new(cl.oldestWait(now).Milliseconds())
		s.LongestWaitMs = max(s.LongestWaitMs, *s.OldestWaitMs)
	}
	if cl.current == nil && cl.askedAt > 0 {
		s.AskedMs = new((now - cl.askedAt).Milliseconds())
	}
	if cl.lastRoute.Name != "" {
		// A copy: the field changes.
		s.Route = new(cl.lastRoute.Name)
		s.Endpoint = Endpoint{cl.lastRoute.Address, cl.lastRoute.Port, !slices.ContainsFunc(cl.routes, cl.leadsToLast), smb.Cable{}}
	}
	if cl.record != nil {
		s.Server = Server{cl.record.Guid, string(cl.proof), cl.isRootEmpty}
	}
	if cl.maxConnections > 0 {
		s.Limit = &Limit{cl.maxConnections}
	}
	cl.addConnections(&s, now)
	if cl.options.Logins != nil {
		if last, within := cl.options.Logins.Refused(); last != nil {
			s.Refused = &Refused{last.Text, last.At, within}
		}
	}
	if s.Refused == nil && cl.refused != nil {
		// The refusal came to another program of this account.
		s.Refused = &Refused{Text: cl.refused.text, At: time.Now().Add(cl.refused.since - now).UnixMilli()}
	}
	return s
}

func (cl *Client) leadsToLast(route smb.Route) bool {
	return route.Name == cl.lastRoute.Name && route.Port == cl.lastRoute.Port && (route.Address == cl.lastRoute.Address || net.ParseIP(route.Address) == nil)
}

// addConnections: the caller holds mu.
func (cl *Client) addConnections(s *Status, now time.Duration) {
	if cl.current == nil {
		return
	}
	cl.current.each(func(c *Conn) {
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
func (cl *Client) phase(now time.Duration) Phase {
	since := func(at time.Duration) *int64 { return new((now - at).Milliseconds()) }
	o := cl.outage
	switch {
	case cl.current != nil && cl.current.files != nil || o == nil && cl.refused == nil:
		return Phase{Is: "serving"}
	case cl.refused != nil:
		return Phase{Is: "refused", SinceMs: since(cl.refused.since), Text: cl.refused.text}
	case cl.isOffNetwork():
		return Phase{Is: "away", SinceMs: since(o.since)}
	}
	p := Phase{Is: "waiting", SinceMs: since(o.since), Why: o.why, Text: o.text}
	if o.isPastPatience || now-o.since > cl.patience {
		p.Is = "over"
	}
	switch {
	case cl.awaitsAllow:
		p.Why, p.Text = "network", "the network has changed"
	case p.Why == "":
		p.Why = smb.NoAnswer
	}
	return p
}

// Changed returns a channel that is closed when the status changes.
func (cl *Client) Changed() <-chan struct{} {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.changed
}

// IsShared: both sessions are the same, as the server accepts only one.
func (c *Conn) IsShared() bool {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	return c.client.maxConnections == 1
}
