// Package client is the SMB client of one share: it keeps a session over one of the routes to the server, moves to another route, and sends a
// request again when its connection is lost.
//
// A Client has two SMB sessions over the route in use: one has all open files, the other renames and removes (Session says why). A file system
// sends each request with Do. Do waits for the session, runs the request on it, and runs it again (Attempt.IsRetry) on the next session if the
// connection ends before the answer.
//
// The states of a Client:
//
//	serving      current has both sessions
//	restoring    current lacks one: recover signs in again over the same route; requests for the other session are sent
//	outage       current is nil: recover searches for a route (find); requests wait for the patience, then fail with EIO until a server answers
//	refused      the server refused the login: requests fail with EACCES, and the login is tried again only when that is allowed
//	off network  no route is allowed on this network: requests fail with EIO at once
//	closed       Close was called
//
// Five functions end a session: lostNow (its connection ended or is silent), leaveRoute (both sessions), replaceSessions (a planned move, which
// first waits until no request is pending), moveByLogoff (one to a server that takes no further connection) and Close. The server may still
// execute requests that were sent on an ended session, until a later sign-in names that session as its PreviousSessionId. Until then requests
// that change something wait (isCertain), for 30 s at most; after that they are sent, and a write fails if it could overwrite a newer one.
//
// Goroutines: recover restores what is missing; one watch per connection with pending requests notices silence (silence.go); watchNetwork reads
// changes of addresses and routes; keepRecord updates the record of the server. Commands of the daemon (commands.go, move.go) change the
// state and wake recover.
//
// Client.mu guards the fields below it, those of sessions and outage, and the second half of Conn. It is held for an instant, never during a
// request or a wait, but while the small files of sessions and server are written; a function whose caller holds it says so. Client.moving is held during a planned move, Client.recording while a record is
// made; both are locked before mu.
package client

import (
	"context"
	"log"
	"maps"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Session is one of the two sessions of a share. Samba refuses to rename a folder in which the same client has files open, or over a file
// that it has open, and allows both to another client; the library gives each connection its own ClientGuid.
type Session int

const (
	// Files holds all open files.
	Files Session = iota
	// Names renames and removes.
	Names
)

func (s Session) String() string {
	if s == Names {
		return "names"
	}
	return "files"
}

// Options do not change while the client is open.
type Options struct {
	Account smb.Account
	Routes  []smb.Route
	// The route to begin with; empty: the first.
	Wanted string
	// The routes that may be used; nil: all.
	Allowed []string
	// After a change of this machine's network no connection is made before Allow is called.
	OnlyOn   bool
	Patience time.Duration // how long requests wait for a route in an outage
	Logins   *logins.Account
	// Where the server is recorded; empty: only in memory.
	Folder string
	// A person accepts whatever server answers.
	NewServer bool
	// Killed says whether the program whose request has that context is being killed. Other signals end no wait: on a disk, open and write
	// never fail with EINTR, and few programs expect it.
	Killed func(ctx context.Context) bool
	// IsCheck says whether the daemon sent the request, to check the mount: then no program needs the share.
	IsCheck func(ctx context.Context) bool
	// Known returns known files, by which the server is recognized.
	Known func() []identity.Entry
	// Event is called with each line for the journal while mu is held, and returns at once.
	Event func(Event)
	// When programs waited before.
	Pauses Pauses
	// For tests; nil: time.After.
	After func(time.Duration) <-chan time.Time
}

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

// Client is the client of a share. The package comment has its states.
type Client struct {
	options Options
	traffic smb.Traffic
	life    context.Context // until Close
	end     context.CancelFunc
	// Held during a planned move.
	moving sync.Mutex
	// The longest that a program has waited for an answer.
	longest atomic.Int64
	sleeps  sleepDetector
	// Held while a record is made.
	recording sync.Mutex

	mu      sync.Mutex
	account smb.Account
	routes  []smb.Route
	wanted  string // the route that is tried first
	allowed map[string]bool
	// Routes that the daemon has reported as lost, until it names them in Try.
	down   map[string]bool
	onlyOn bool
	// The network has changed, and Allow was not called since.
	awaitsAllow bool
	patience    time.Duration

	current   *sessions // nil in an outage
	lastRoute smb.Route // the one in use, or in an outage the one before
	// Closed and replaced with each change of what requests wait for.
	changed chan struct{}
	// Not nil while a planned move waits for the pending requests: new ones wait until it is closed.
	resumed        chan struct{}
	idle           chan struct{} // buffers one: perhaps no request is pending
	outage         *outage
	previous       []*previousSession // sessions that the server may not have ended
	refused        *refusal           // nil: the login was not refused
	other          *OtherServer       // it answered last; nil: the recorded one did
	record         *identity.Record   // of the server; nil: none yet
	characters     identity.Characters
	proof          identity.Proof // by what the last sign-in proved the server
	maxConnections int            // 0: no limit is known
	wake           chan struct{}  // wakes recover; buffers one
	rootChanged    chan struct{}  // wakes keepRecord; buffers one
	acceptedGuid   *string        // the GUID of another server that a person accepts
	epoch          int            // how many servers a person has accepted instead of the one before
	clockAhead     time.Duration  // of the server's clock
	requestCount   int            // in all, and how many it was when the last record was begun
	countAtRecord  int
	commandAt      time.Duration // when a daemon last sent a command
	askedAt        time.Duration // when a program last sent a request during an outage
	isRootEmpty    bool          // the root has no entry by which the server could be recognized
	// forceMove runs.
	isForcingMove bool
	isClosed      bool
	// Ends the sign-in of the missing session.
	stopRestoring func()

	// See OnMove and OnFull.
	beforeLeaving func(*Conn)
	onConnected   func()
	onFull        func(*Conn) bool

	logged   map[string]string     // the last text about each route
	active   map[*request]struct{} // that wait for an answer or a route
	moves    int
	lastMove *Move
	pauses   Pauses
	opened   int // connections in all
	signIns  int
}

// sessions are the two sessions, which are always on one route.
type sessions struct {
	route smb.Route
	// nil: recover is signing in. The two are the same where the server takes only one connection.
	files, names *Conn
	// nil while both are there.
	missing *outage
}

// outage is a time without a session: without both, or without the one that is missing.
type outage struct {
	since          time.Duration
	reason         Reason
	route          smb.Route // the one that was left
	lost           *sessions
	isPastPatience bool // requests fail
	hasWaiter      bool // a request has waited
	// Why no route leads to the server.
	why, text    string
	isOtherNoted bool
}

// refusal is a login that the server refused.
type refusal struct {
	text  string
	since time.Duration
}

// OtherServer is a server that answers in place of the recorded one.
type OtherServer struct {
	Route        string `json:"route"`
	Address      string `json:"address"`
	Guid         string `json:"guid"`
	Text         string `json:"text"`
	NothingKnown bool   `json:"bare"`
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

// New returns a client that signs in when Start is called.
func New(options Options) *Client {
	cl := &Client{
		characters: identity.CharactersOf(options.Folder, options.Account.Share),
		options:    options, account: options.Account, routes: slices.Clone(options.Routes), patience: options.Patience, wanted: options.Wanted,
		onlyOn: options.OnlyOn, pauses: options.Pauses, changed: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		rootChanged: make(chan struct{}, 1), stopRestoring: func() {}, down: map[string]bool{}, logged: map[string]string{}, active: map[*request]struct{}{},
	}
	if cl.options.After == nil {
		cl.options.After = time.After
	}
	if cl.wanted == "" && len(cl.routes) > 0 {
		cl.wanted = cl.routes[0].Name
	}
	cl.allowed = map[string]bool{}
	for _, each := range cl.routes {
		cl.allowed[each.Name] = options.Allowed == nil || slices.Contains(options.Allowed, each.Name)
	}
	if options.Folder != "" && !options.NewServer {
		cl.record = identity.Read(options.Folder, options.Account.Share)
	}
	safely.Guard(&cl.mu)
	cl.previous = previousIn(options.Folder)
	cl.life, cl.end = context.WithCancel(context.Background())
	return cl
}

// Characters says how names are written on the server. It does not change.
func (cl *Client) Characters() identity.Characters { return cl.characters }

// OnMove sets two functions: one is called in a planned move before the connection for files is left, while no request is pending; the other
// whenever there is a new connection for files.
func (cl *Client) OnMove(leaving func(*Conn), connected func()) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.beforeLeaving, cl.onConnected = leaving, connected
}

// OnFull sets a function that closes a file on a connection whose server accepts no further open file, and returns whether it did.
func (cl *Client) OnFull(close func(*Conn) bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.onFull = close
}

func (cl *Client) makeRoom(c *Conn) bool {
	cl.mu.Lock()
	close := cl.onFull
	cl.mu.Unlock()
	return close != nil && close(c)
}

// callOnConnected: the caller holds mu.
func (cl *Client) callOnConnected() {
	if cl.onConnected != nil {
		safely.Go(cl.onConnected)
	}
}

func (cl *Client) callBeforeLeaving(c *Conn) {
	cl.mu.Lock()
	leaving := cl.beforeLeaving
	cl.mu.Unlock()
	if leaving != nil && c != nil {
		_, _ = Await(cl.life, nil, safely.Done(func() { leaving(c) }), time.Now().Add(logOffWithin))
	}
}

// Start signs in, so that a login error is known before anything is mounted.
func (cl *Client) Start(ctx context.Context) error {
	cl.mu.Lock()
	plan := cl.usable()
	cl.mu.Unlock()
	got := cl.race(ctx, plan, Files)
	if got.conn == nil {
		return got.err
	}
	cl.mu.Lock()
	cl.install(got.conn, Returned)
	cl.mu.Unlock()
	for _, each := range []func(){cl.recover, cl.keepRecord, cl.watchNetwork} {
		safely.Go(safely.Again(each))
	}
	return nil
}

// Close logs off, and ends all waits.
func (cl *Client) Close() {
	cl.recordLast()
	cl.mu.Lock()
	cl.isClosed = true
	s := cl.current
	cl.current = nil
	cl.wakeWaiters()
	cl.mu.Unlock()
	cl.end()
	if s != nil {
		s.each(func(c *Conn) { c.LogOff(logOffWithin) })
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.recordSessions()
}

const logOffWithin = 500 * time.Millisecond

func (s *sessions) each(do func(*Conn)) {
	if s.files != nil {
		do(s.files)
	}
	if s.names != nil && s.names != s.files {
		do(s.names)
	}
}

// wakeWaiters wakes requests and watchers, to check the state again. The caller holds mu.
func (cl *Client) wakeWaiters() {
	close(cl.changed)
	cl.changed = make(chan struct{})
}

// wakeRecover lets recover check again at once, whether mu is held or not.
func (cl *Client) wakeRecover() {
	select {
	case cl.wake <- struct{}{}:
	default:
	}
}

// usable returns the routes that may be tried now, the wanted one first. The caller holds mu.
func (cl *Client) usable() []smb.Route {
	if cl.awaitsAllow {
		return nil
	}
	var usable []smb.Route
	for _, each := range cl.routes {
		if !cl.allowed[each.Name] || cl.down[each.Name] {
			continue
		}
		if each.Name == cl.wanted {
			usable = slices.Insert(usable, 0, each)
		} else {
			usable = append(usable, each)
		}
	}
	return usable
}

// isOffNetwork: no route is allowed on this network. The caller holds mu.
func (cl *Client) isOffNetwork() bool {
	return !slices.Contains(slices.Collect(maps.Values(cl.allowed)), true)
}

// journal writes an event to the journal. The caller holds mu.
func (cl *Client) journal(e Event) {
	if cl.options.Event != nil {
		cl.options.Event(e)
	}
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
