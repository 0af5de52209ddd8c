package client

import (
	"net"
	"slices"
	"time"

	"mountaineer/mount/fs/smb"
)

// Status is the state of the client at one moment, for the daemon and people. fs/README.md ("Status") says what each member means: nil is null, no
// value yet; …Ms are durations in milliseconds; At is Unix milliseconds.
type Status struct {
	Route          *string      `json:"route"` // the one in use, or in an outage the one before
	Wanted         string       `json:"wanted"`
	Allowed        []string     `json:"allowed"`
	AwaitsAllow    bool         `json:"awaits_allow"`
	Endpoint       Endpoint     `json:"endpoint"`
	Phase          Phase        `json:"phase"`
	LastReceivedMs *int64       `json:"heard_ms"`
	OldestWaitMs   *int64       `json:"oldest_wait_ms"`
	LongestWaitMs  int64        `json:"longest_wait_ms"`
	AskedMs        *int64       `json:"asked_ms"` // since a program last sent a request in this outage
	Moves          Moves        `json:"moves"`
	Pauses         Pauses       `json:"pauses"`
	Bytes          Bytes        `json:"bytes"`
	Connections    Connections  `json:"connections"`
	PatienceMs     int64        `json:"patience_ms"`
	Encrypted      bool         `json:"encrypted"`
	Signing        *string      `json:"signing"`
	Dialect        string       `json:"dialect"`
	Limit          *Limit       `json:"limit"`
	Refused        *Refused     `json:"refused"`
	Other          *OtherServer `json:"other"`
	Server         Server       `json:"server"`
	NameMapping    string       `json:"characters"`
}

// Endpoint is where the route leads. Rerouted: the configuration no longer has a route that leads there.
type Endpoint struct {
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Rerouted bool   `json:"rerouted"`
	smb.Cable
}

// Phase says what programs get: answers ("serving"), a wait ("waiting"), or an error ("over": the patience has ended; "refused", "away"). Why is a
// code, Text is for people.
type Phase struct {
	Is      string `json:"is"`
	SinceMs *int64 `json:"since_ms,omitempty"`
	Why     string `json:"why,omitempty"`
	Text    string `json:"text,omitempty"`
}

// Moves are the changes of the route since the program began.
type Moves struct {
	Count int   `json:"count"`
	Last  *Move `json:"last"`
}

// Bytes are counted on the wire, since the program began.
type Bytes struct {
	ToServer   int64 `json:"to_server"`
	FromServer int64 `json:"from_server"`
}

// Connections are those that are open now, and all since the program began.
type Connections struct {
	Open  int `json:"open"`
	InAll int `json:"in_all"`
}

// Limit: the server accepts no further connection.
type Limit struct {
	Most int `json:"most"`
}

// Refused is the last login that the server refused, and how many it has refused within the hour.
type Refused struct {
	Text       string `json:"text"`
	At         int64  `json:"at"`
	WithinHour int    `json:"within_hour"`
}

// Server is the server that is mounted. Proved: by what it was recognized (identity.Proof); Empty: its root has nothing to recognize it by.
type Server struct {
	Guid   string `json:"guid"`
	Proved string `json:"proved"`
	Empty  bool   `json:"empty"`
}

// OtherServer is a server that answers in place of the recorded one.
type OtherServer struct {
	Route   string `json:"route"`
	Address string `json:"address"`
	Guid    string `json:"guid"`
	Text    string `json:"text"` // follows the address in a sentence
	// Its root is empty or unknown, as if its volume were not mounted yet.
	NothingKnown bool `json:"bare"`
}

// LostLock is a lock of a program on this machine that was lost: another client may have had it since. Package mount reports it.
type LostLock struct {
	Path    string `json:"path"`
	Program string `json:"program"`
	At      int64  `json:"at"`
}

// Unreported says which changes by other clients programs here are not notified of. Package mount reports it.
type Unreported struct {
	// Watched folders beyond the limit.
	Folders []string `json:"folders"`
	// What the server lacks; empty: nothing.
	Missing string `json:"missing"`
}

// Status returns the present state.
func (cl *Client) Status() Status {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	now := smb.Monotonic()
	s := Status{
		Wanted: cl.wanted, Allowed: []string{}, AwaitsAllow: cl.awaitsAllow, Phase: cl.phase(now),
		LongestWaitMs: time.Duration(cl.longest.Load()).Milliseconds(), PatienceMs: cl.patience.Milliseconds(),
		Moves: Moves{cl.moves, cl.lastMove}, Pauses: cl.pauses, Bytes: Bytes{cl.traffic.ToServer.Load(), cl.traffic.FromServer.Load()},
		Connections: Connections{InAll: cl.opened}, Refused: cl.lastRefused(now), Other: cl.other, NameMapping: string(cl.nameMapping),
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
		s.Route = new(cl.lastRoute.Name)
		s.Endpoint = Endpoint{Address: cl.lastRoute.Address, Port: cl.lastRoute.Port, Rerouted: !slices.ContainsFunc(cl.routes, cl.leadsToLast)}
	}
	if cl.record != nil {
		s.Server = Server{cl.record.Guid, string(cl.proof), cl.isRootEmpty}
	}
	if cl.maxConnections > 0 {
		s.Limit = &Limit{cl.maxConnections}
	}
	cl.addConnections(&s, now)
	return s
}

// leadsToLast: the route leads where lastRoute did. Of a route with a name in place of an address only name and port are compared. The caller holds
// mu.
func (cl *Client) leadsToLast(route smb.Route) bool {
	return route.Name == cl.lastRoute.Name && route.Port == cl.lastRoute.Port && (route.Address == cl.lastRoute.Address || net.ParseIP(route.Address) == nil)
}

// lastRefused is the last refused login of the account, by whatever program it was sent. The caller holds mu.
func (cl *Client) lastRefused(now time.Duration) *Refused {
	if cl.options.Logins != nil {
		if last, within := cl.options.Logins.Refused(); last != nil {
			return &Refused{last.Text, last.At, within}
		}
	}
	if cl.refused == nil {
		return nil
	}
	return &Refused{Text: cl.refused.text, At: time.Now().Add(cl.refused.since - now).UnixMilli()}
}

// addConnections adds what the open connections show. The caller holds mu.
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

// phase sorts the states of the client (see the package comment) by what programs get. The caller holds mu.
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
