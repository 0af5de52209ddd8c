// Package link keeps a share connected over one of its routes, moves it to another one, and repeats requests when a connection is lost.
// "Link" here is that connection to the server; symbolic links are in package mount.
//
// A Link signs in twice over the route in use: one SMB session has all open files, the other one renames and removes (Session says why).
// Together they are its current sessions. A file system sends each request with Do, which waits for a session, plays the request on it, and
// plays it again on the next session if the connection ends before the answer.
//
// What a Link is at a time:
//
//	serving     current has both sessions
//	restoring   current lacks one: recover signs in again over the same route; requests for the other session are sent
//	outage      current is nil: recover looks for a route (find); requests wait for the patience, then get EIO until a server answers
//	refused     the server refused the login: requests get EACCES, and the login is tried again only when it may be
//	away        no route is allowed on this network: requests get EIO at once
//	closed      Close was called
//
// A session is left by lostNow (its connection ended, or does not answer), leave (the whole route), change (a planned move, which first
// waits until no request is pending) or Close. The server may still do what a left session asked of it: until it has ended that session,
// which the next sign-in requests by its PreviousSessionId, requests that change something wait (isCertain).
//
// Goroutines: recover restores what is missing, one watch for each connection with pending requests notices silence (silence.go),
// watchNetwork reads changes of addresses and routes, keepRecord records what the server shows. Commands of the daemon come in from outside
// (commands.go, move.go); they change the state and wake recover.
//
// Link.mu guards the fields below it, those of sessions and outage, and the second half of Conn. It is held for an instant, never
// during a message to the server or a wait; functions that need it held say so. Link.moving is held during a planned move, and Link.remembering
// while a record is made; both are taken before mu.
package link

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

// Options of a link do not change while it is open.
type Options struct {
	Account smb.Account
	Routes  []smb.Route
	// The route to begin with; empty: the first.
	Wanted string
	// The routes that may be used; nil: all.
	Allowed []string
	// A change of this machine's network waits for Allow.
	OnlyOn   bool
	Patience time.Duration
	Logins   *logins.Account
	// Where the server is recorded; empty: only in memory.
	Folder string
	// A person lets in whatever server answers.
	NewServer bool
	// Killed says whether the program that waits with that context is being killed. Other signals do not end a wait: on a disk, no program
	// gets EINTR from open or write, and few expect it.
	Killed func(ctx context.Context) bool
	// Check says whether it is a daemon that asks, to learn how the mount is: no program needs the share for that.
	Check func(ctx context.Context) bool
	// Known returns files that are known of the server, which tell it from another one.
	Known func() []identity.Entry
	// Event notes what happened. It is called with the link locked, and returns at once.
	Event func(Event)
	// When programs waited before.
	Pauses Pauses
	// For tests; nil: time.After.
	After func(time.Duration) <-chan time.Time
}

// Event is a line of the journal.
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
	Asked      Reason = "asked"
	LinkDown   Reason = "link_down"
	Ended      Reason = "ended"
	Silent     Reason = "silent"
	Blocked    Reason = "blocked"
	NotAllowed Reason = "not_allowed"
	Returned   Reason = "returned"
)

// Link is a share over one route after another.
type Link struct {
	options Options
	traffic smb.Traffic
	life    context.Context
	end     context.CancelFunc
	// Held during a planned move.
	moving sync.Mutex
	// The longest that a program has waited for an answer.
	longest atomic.Int64
	awake   wakefulness
	// Held while the record is made.
	remembering sync.Mutex

	mu      sync.Mutex
	account smb.Account
	routes  []smb.Route
	wanted  string
	allowed map[string]bool
	// Routes whose link is down, until they are named in Try.
	down   map[string]bool
	onlyOn bool
	// The network has changed, and no Allow has come since.
	isUnconfirmed bool
	patience      time.Duration

	current *sessions // nil in an outage
	last    smb.Route
	// Closed and replaced with each change of what requests wait for.
	changed chan struct{}
	// New requests wait for it while a planned move waits for the pending ones; nil: they need not.
	hold        chan struct{}
	quiet       chan struct{} // has room for one: perhaps no request is pending
	outage      *outage
	previous    []*previousSession
	refused     *refusal
	other       *Other
	record      *identity.Record
	characters  identity.Characters
	proof       identity.Proof
	limit       int           // of connections; 0: none is known
	wake        chan struct{} // has room for one
	rootChanged chan struct{} // has room for one
	letIn       *string       // the GUID of a server that a person lets in
	epoch       int           // how many servers there were
	ahead       time.Duration // the server's clock
	requests    int           // of programs, and how many there were when the record was begun
	remembered  int
	commandAt   time.Duration // when a daemon last said something
	askedAt     time.Duration // when the newest request came that found no route, and was not a check
	isEmpty     bool          // the root has nothing by which the server can be told from another
	// The server is just asked to end the current sessions, for a planned move.
	isForcing bool
	isClosed  bool
	// Ends the sign-in of the session that is missing.
	stopRestoring func()

	// Called before the connection for files is left in a planned move, and once there is one again.
	leaving func(*Conn)
	arrived func()
	onFull  func(*Conn) bool

	logged   map[string]string // by route
	active   map[*request]struct{}
	moves    int
	lastMove *Move
	pauses   Pauses
	opened   int // connections in all
	signIns  int
}

// sessions are the two of a share, which are always on one route.
type sessions struct {
	route smb.Route
	// nil: it is being signed in. Both may be one where the server has no place for two.
	files, names *Conn
	// Since when one of them is missing.
	missing *outage
}

// outage is a time without the server.
type outage struct {
	since  time.Duration
	reason Reason
	from   smb.Route
	of     *sessions
	isOver bool // programs get errors
	waited bool // a program has waited
	// Why it lasts.
	why, text    string
	isOtherNoted bool
}

// refusal is a login that the server did not accept.
type refusal struct {
	text  string
	since time.Duration
}

// Other is a server that is not the recorded one.
type Other struct {
	Route   string `json:"route"`
	Address string `json:"address"`
	Guid    string `json:"guid"`
	Text    string `json:"text"`
	Bare    bool   `json:"bare"`
}

// Pauses are the times when programs waited.
type Pauses struct {
	Count     int   `json:"count"`
	TotalMs   int64 `json:"total_ms"`
	LongestMs int64 `json:"longest_ms"`
}

// Add counts a pause if programs noticed it.
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

// New signs in when Start is called.
func New(options Options) *Link {
	l := &Link{
		characters: identity.CharactersOf(options.Folder, options.Account.Share),
		options:    options, account: options.Account, routes: slices.Clone(options.Routes), patience: options.Patience, wanted: options.Wanted, onlyOn: options.OnlyOn, pauses: options.Pauses,
		changed: make(chan struct{}), wake: make(chan struct{}, 1), quiet: make(chan struct{}, 1), rootChanged: make(chan struct{}, 1), stopRestoring: func() {}, down: map[string]bool{}, logged: map[string]string{}, active: map[*request]struct{}{},
	}
	if l.options.After == nil {
		l.options.After = time.After
	}
	if l.wanted == "" && len(l.routes) > 0 {
		l.wanted = l.routes[0].Name
	}
	l.allowed = map[string]bool{}
	for _, each := range l.routes {
		l.allowed[each.Name] = options.Allowed == nil || slices.Contains(options.Allowed, each.Name)
	}
	if options.Folder != "" && !options.NewServer {
		l.record = identity.Read(options.Folder, options.Account.Share)
	}
	safely.Guard(&l.mu)
	l.previous = previousIn(options.Folder)
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// Characters are those of the share, as long as the link is open.
func (l *Link) Characters() identity.Characters { return l.characters }

// OnMove sets what is called before the connection for files is left in a planned move, while no request is pending, and once there is another.
func (l *Link) OnMove(leaving func(*Conn), arrived func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving, l.arrived = leaving, arrived
}

// OnFull sets what closes something on a connection whose server takes no further open file, and returns whether it has.
func (l *Link) OnFull(close func(*Conn) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onFull = close
}

func (l *Link) makesRoom(c *Conn) bool {
	l.mu.Lock()
	close := l.onFull
	l.mu.Unlock()
	return close != nil && close(c)
}

// hasFiles calls what OnMove set: there is a connection for files. The caller holds mu.
func (l *Link) hasFiles() {
	if l.arrived != nil {
		safely.Go(l.arrived)
	}
}

// leaveFiles closes what is open on the connection for files, while no request is pending.
func (l *Link) leaveFiles(c *Conn) {
	l.mu.Lock()
	leaving := l.leaving
	l.mu.Unlock()
	if leaving != nil && c != nil {
		_, _ = Await(l.life, nil, safely.Done(func() { leaving(c) }), time.Now().Add(logOffWithin))
	}
}

// Start signs in, so that an error of the account is known before anything is mounted.
func (l *Link) Start(ctx context.Context) error {
	l.mu.Lock()
	plan := l.usable()
	l.mu.Unlock()
	got := l.race(ctx, plan, Files)
	if got.conn == nil {
		return got.err
	}
	l.mu.Lock()
	l.install(got.conn, Returned)
	l.mu.Unlock()
	for _, each := range []func(){l.recover, l.keepRecord, l.watchNetwork} {
		safely.Go(safely.Again(each))
	}
	return nil
}

// Close logs off, and ends all waits.
func (l *Link) Close() {
	l.rememberLast()
	l.mu.Lock()
	l.isClosed = true
	p := l.current
	l.current = nil
	l.announce()
	l.mu.Unlock()
	l.end()
	if p != nil {
		p.each(func(c *Conn) { c.LogOff(logOffWithin) })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteSessions()
}

const logOffWithin = 500 * time.Millisecond

func (p *sessions) each(do func(*Conn)) {
	if p.files != nil {
		do(p.files)
	}
	if p.names != nil && p.names != p.files {
		do(p.names)
	}
}

// announce wakes all that wait for a change. The caller holds mu.
func (l *Link) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wakeRecover lets recover check again at once. It may be called with mu or without.
func (l *Link) wakeRecover() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// usable returns the routes that may be tried now, the wanted one first. The caller holds mu.
func (l *Link) usable() []smb.Route {
	if l.isUnconfirmed {
		return nil
	}
	var usable []smb.Route
	for _, each := range l.routes {
		if !l.allowed[each.Name] || l.down[each.Name] {
			continue
		}
		if each.Name == l.wanted {
			usable = slices.Insert(usable, 0, each)
		} else {
			usable = append(usable, each)
		}
	}
	return usable
}

// isAway: no route is allowed on this network. The caller holds mu.
func (l *Link) isAway() bool {
	return !slices.Contains(slices.Collect(maps.Values(l.allowed)), true)
}

// note writes an event to the journal and the log. The caller holds mu.
func (l *Link) note(e Event) {
	if l.options.Event != nil {
		l.options.Event(e)
	}
}

func (l *Link) logf(format string, values ...any) { log.Printf(format, values...) }

// logChange logs what happens on a route, but not the same again and again.
func (l *Link) logChange(route, text string) {
	// Each connection has another port.
	text = regexp.MustCompile(`[0-9.:\[\]a-f]+:[0-9]+->`).ReplaceAllString(text, "")
	l.mu.Lock()
	isSame := l.logged[route] == text
	l.logged[route] = text
	l.mu.Unlock()
	if !isSame {
		l.logf("%s: %s", route, text)
	}
}
