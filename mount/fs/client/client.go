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
// Five functions end a session: loseLocked (its connection ended or is silent), leaveRoute (both sessions), replaceSessions (a planned move, which
// first waits until no request is pending), moveByLogoff (one to a server that takes no further connection) and Close. The server may still
// execute requests that were sent on an ended session, until a later sign-in names that session as its PreviousSessionId. Until then requests
// that change something wait (isCertain), for 30 s at most; after that they are sent, and a write fails if it could overwrite a newer one.
//
// Goroutines: recover restores what is missing; probeWhileSilent, one per connection with pending requests, probes the routes while the server is
// silent (silence.go); watchNetwork reads changes of addresses and routes; keepRecord updates the record of the server. Commands of the daemon
// (commands.go, move.go) change the state and wake recover.
//
// Client.mu guards the fields below it, those of sessions and outage, and the second half of Conn. It is held for an instant, never during a
// request or a wait, but while the small files of sessions and server are written; a function whose caller holds it says so. Client.moving is
// held during a planned move, Client.recording while a record is made; both are locked before mu.
package client

import (
	"context"
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
	// Known returns files that the kernel knows, by which the server is recognized as well.
	Known func() []identity.Entry
	// Event is called with each line for the journal while mu is held, and returns at once.
	Event func(Event)
	// When programs waited before.
	Pauses Pauses
	// For tests; nil: time.After.
	After func(time.Duration) <-chan time.Time
}

// Client is the client of a share. The package comment has its states.
type Client struct {
	options     Options
	traffic     smb.Traffic
	life        context.Context // until Close
	end         context.CancelFunc
	nameMapping identity.NameMapping
	// Held during a planned move.
	moving sync.Mutex
	// Held while a record is made.
	recording sync.Mutex
	sleeps    sleepDetector
	// The longest that a program has waited for an answer.
	longest atomic.Int64

	mu sync.Mutex

	// What a person or a daemon has set.
	account  smb.Account
	routes   []smb.Route
	wanted   string // the route that is tried first
	allowed  map[string]bool
	patience time.Duration
	onlyOn   bool
	// The network has changed, and Allow was not called since.
	awaitsAllow bool
	// Routes that the daemon has reported as lost, until it names them in Try.
	down      map[string]bool
	commandAt time.Duration // when a daemon last sent a command

	// The sessions.
	current        *sessions          // nil in an outage
	outage         *outage            // nil: there is none
	lastRoute      smb.Route          // the one in use, or in an outage the one before
	previous       []*previousSession // sessions that the server may not have ended
	refused        *refusal           // nil: the login was not refused
	maxConnections int                // 0: no limit is known
	stopRestoring  func()             // ends the sign-in of the missing session
	isForcingMove  bool               // forceMove runs
	isClosed       bool

	// The server.
	record        *identity.Record // nil: none yet
	proof         identity.Proof   // by what the last sign-in proved the server
	other         *OtherServer     // it answered last; nil: the recorded one did
	acceptedGuid  *string          // the GUID of another server that a person accepts
	serverNumber  int              // how many servers a person has accepted instead of the one before
	clockAhead    time.Duration    // of the server's clock
	isRootEmpty   bool             // the root has no entry by which the server could be recognized
	requestCount  int              // in all, and how many it was when the last record was begun
	countAtRecord int

	// What wakes whom.
	changed     chan struct{} // closed and replaced with each change of what requests wait for
	resumed     chan struct{} // not nil while a planned move waits for the pending requests: new ones wait until it is closed
	idle        chan struct{} // wakes a planned move: perhaps no request is pending; buffers one
	wake        chan struct{} // wakes recover; buffers one
	rootChanged chan struct{} // wakes keepRecord; buffers one

	// See SetHooks.
	beforeLeaving func(*Conn)
	onConnected   func()
	onFull        func(*Conn) bool

	// For people.
	active   map[*request]struct{} // that wait for an answer or a route
	askedAt  time.Duration         // when a program last sent a request during an outage
	moves    int
	lastMove *Move
	pauses   Pauses
	opened   int // connections in all
	signIns  int
	logged   map[string]string // the last text about each route
}

// New returns a client that signs in when Start is called.
func New(options Options) *Client {
	cl := &Client{
		nameMapping: identity.NameMappingOf(options.Folder, options.Account.Share),
		options:     options, account: options.Account, routes: slices.Clone(options.Routes), patience: options.Patience, wanted: options.Wanted,
		onlyOn: options.OnlyOn, pauses: options.Pauses, changed: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		rootChanged: make(chan struct{}, 1), stopRestoring: func() {}, down: map[string]bool{}, logged: map[string]string{}, active: map[*request]struct{}{},
	}
	if cl.options.After == nil {
		cl.options.After = time.After
	}
	if cl.options.Known == nil {
		cl.options.Known = func() []identity.Entry { return nil }
	}
	cl.SetHooks(func(*Conn) {}, func() {}, func(*Conn) bool { return false })
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

// NameMapping says how names are written on the server. It does not change.
func (cl *Client) NameMapping() identity.NameMapping { return cl.nameMapping }

// SetHooks sets what the file system does: leaving, in a planned move before the connection for files is left, while no request is pending;
// connected, whenever there is a new connection for files; full, on a connection whose server accepts no further open file: it closes one, and
// returns whether it did.
func (cl *Client) SetHooks(leaving func(*Conn), connected func(), full func(*Conn) bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.beforeLeaving, cl.onConnected, cl.onFull = leaving, connected, full
}

func (cl *Client) makeRoom(c *Conn) bool {
	cl.mu.Lock()
	full := cl.onFull
	cl.mu.Unlock()
	return full(c)
}

func (cl *Client) callBeforeLeaving(c *Conn) {
	cl.mu.Lock()
	leaving := cl.beforeLeaving
	cl.mu.Unlock()
	if c != nil {
		_, _ = Await(cl.life, nil, safely.Done(func() { leaving(c) }), time.Now().Add(logOffWithin))
	}
}

// Start signs in, so that a login error is known before anything is mounted.
func (cl *Client) Start(ctx context.Context) error {
	cl.mu.Lock()
	plan := cl.usable()
	cl.mu.Unlock()
	c, err := cl.race(ctx, plan, Files)
	if err != nil {
		return err
	}
	cl.mu.Lock()
	cl.install(c, Returned)
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

// wakeWaiters wakes requests and watchers, to check the state again. The caller holds mu.
func (cl *Client) wakeWaiters() {
	close(cl.changed)
	cl.changed = make(chan struct{})
}

// wakeRecover lets recover check again at once, whether mu is held or not.
func (cl *Client) wakeRecover() { notify(cl.wake) }

// notify wakes the goroutine that receives from c, which buffers one: now, or when it receives next.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
