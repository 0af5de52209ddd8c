package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// How many requests may be under way, counted in 64 KiB.
var creditsWanted uint16 = 512

const (
	dialAtMost = 10 * time.Second
	// From the server's first answer on.
	signInAtMost = 3 * time.Second
	retryFirst   = 20 * time.Millisecond
	retryAtMost  = time.Second
	// Many servers lock an account after a few refused tries within some minutes.
	refusedFor = 15 * time.Minute
)

type account struct {
	address, share         string
	user, domain, password string
	sign, guest            bool
}

// A connection that has ended is never used again.
type connection struct {
	wire    *wire
	pending atomic.Int32
	since   atomic.Int64 // when the first of the pending requests began, ns
	session *smb2.Session
	share   *smb2.Share
}

// server is the share over one connection after another.
type server struct {
	account  account
	login    *login
	patience time.Duration

	mu      sync.Mutex
	begun   bool          // signing in, or signed in before
	current *connection   // nil while there is none
	changed chan struct{} // closed and replaced with each change of current and refused
	lostAt  time.Time
	refused error // the server does not let this account in
	closed  bool
	ended   chan struct{} // closed with it
}

// login is what all connections of an account know of it.
type login struct {
	mu        sync.Mutex
	refused   error
	refusedAt time.Time
}

// refusal: the server has refused this account a while ago, and is not asked again yet.
func (l *login) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused != nil && time.Since(l.refusedAt) < refusedFor {
		return l.refused
	}
	return nil
}

func (l *login) wasRefused(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused, l.refusedAt = why, time.Now()
}

// newServer connects when it is first asked.
func newServer(a account, l *login, patience time.Duration) *server {
	return &server{account: a, login: l, patience: patience, changed: make(chan struct{}), ended: make(chan struct{})}
}

// signIn connects at once: what is wrong with the account is said before anything is mounted.
func (s *server) signIn() error {
	answered := make(chan answer[*connection], 1)
	go func() { answered <- safely(func() (*connection, error) { return s.dial(new(uint64)) }) }()
	got, err := await(context.Background(), answered, time.Now().Add(s.patience))
	if err != nil {
		return failure{"no_answer", fmt.Errorf("%s does not answer within %v", s.account.address, s.patience)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	if got.err == nil {
		s.become(got.value, nil)
	}
	return got.err
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.ended)
	}
	s.closed = true
	if s.current != nil {
		_ = s.current.wire.Close()
	}
}

// wire calls first with the first bytes that come, and knows when the last came.
type wire struct {
	net.Conn
	once  sync.Once
	first func()
	heard atomic.Int64 // ns
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.once.Do(w.first)
		w.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// begin notes that a request waits for its answer, until what it returns is called.
func (c *connection) begin() func() {
	if c.pending.Add(1) == 1 {
		c.since.Store(time.Now().UnixNano())
	}
	return func() { c.pending.Add(-1) }
}

// watch ends a connection on which requests wait and nothing comes, as on a cable that was pulled.
func (s *server) watch(c *connection) {
	ticker := time.NewTicker(min(max(s.patience/4, time.Millisecond), time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.ended:
			return
		}
		s.mu.Lock()
		isCurrent := s.current == c
		s.mu.Unlock()
		if !isCurrent {
			return
		}
		silent := time.Since(time.Unix(0, max(c.wire.heard.Load(), c.since.Load())))
		if c.pending.Load() > 0 && silent > s.patience {
			s.lost(c)
			return
		}
	}
}

// dial waits as long as it takes for the first answer: a relay keeps a connection open until it has a route. It asks the server to end the
// session previous, once: Samba ends it only once it has sent what it owes it, and so perhaps never.
func (s *server) dial(previous *uint64) (*connection, error) {
	if err := s.login.refusal(); err != nil {
		return nil, err
	}
	tcp, err := net.DialTimeout("tcp", s.account.address, dialAtMost)
	if err != nil {
		return nil, err
	}
	isSignedIn := make(chan struct{})
	defer close(isSignedIn)
	wire := &wire{Conn: tcp, first: func() {
		go func() {
			select {
			case <-time.After(signInAtMost):
				_ = tcp.Close()
			case <-isSignedIn:
			}
		}()
	}}
	user := smb2.NTLMInitiator{User: s.account.user, Domain: s.account.domain, Password: s.account.password}
	if s.account.guest {
		user = smb2.NTLMInitiator{User: "guest"}
	}
	d := smb2.Dialer{
		MaxCreditBalance: creditsWanted,
		// A guest has no key to sign with.
		Negotiator:        smb2.Negotiator{RequireMessageSigning: s.account.sign && !s.account.guest},
		Initiator:         &user,
		PreviousSessionId: *previous,
	}
	host, _, _ := net.SplitHostPort(s.account.address)
	session, err := d.DialConn(context.Background(), wire, host)
	if wire.heard.Load() > 0 {
		// After the first answer the sign-in was sent, which names it.
		*previous = 0
	}
	if err == nil && session.IsUnsigned() && !s.account.guest || err != nil && strings.Contains(err.Error(), "account doesn't support signing") {
		err = failure{"logon_failure", errors.New("the server does not accept this user and password, and would let a guest in")}
	}
	if err != nil {
		_ = wire.Close()
		if isRefusal(err) {
			s.login.wasRefused(err)
		}
		return nil, fmt.Errorf("signing in: %w", err)
	}
	share, err := session.Mount(s.account.share)
	if err != nil {
		_ = wire.Close()
		return nil, fmt.Errorf("opening the share: %w", err)
	}
	return &connection{wire: wire, session: session, share: share}, nil
}

// connected waits for a connection: until the one who asks is killed (EINTR), or patience ends (EIO).
func (s *server) connected(ctx context.Context) (*connection, error) {
	for {
		s.mu.Lock()
		if s.current == nil && !s.begun && !s.closed {
			s.begun = true
			s.lostAt = time.Now()
			go s.signInAgain(0)
		}
		current, changed, refused, until := s.current, s.changed, s.refused, s.lostAt.Add(s.patience)
		s.mu.Unlock()
		switch {
		case current != nil:
			return current, nil
		case refused != nil:
			return nil, syscall.EACCES
		}
		if _, err := await(ctx, changed, until); err != nil {
			return nil, err
		}
	}
}

// lost begins to sign in again. Only the first to notice counts.
func (s *server) lost(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != c || s.closed {
		return
	}
	_ = c.wire.Close()
	s.lostAt = time.Now()
	s.become(nil, nil)
	go s.signInAgain(c.session.Id())
}

// lostFor is lost, for a request that began then: perhaps it is what ends connections (EIO).
func (s *server) lostFor(c *connection, began time.Time) error {
	s.lost(c)
	if time.Since(began) > s.patience {
		return syscall.EIO
	}
	return nil
}

// become: the caller holds mu.
func (s *server) become(c *connection, refused error) {
	s.current, s.refused = c, refused
	if c != nil {
		go s.watch(c)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) signInAgain(previous uint64) {
	for wait := retryFirst; ; wait = min(2*wait, retryAtMost) {
		got := safely(func() (*connection, error) { return s.dial(&previous) })
		c, err := got.value, got.err
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			if c != nil {
				_ = c.wire.Close()
			}
			return
		}
		if err == nil {
			s.become(c, nil)
			s.mu.Unlock()
			return
		}
		if isRefusal(err) {
			s.become(nil, err)
			wait = refusedFor
		}
		s.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-s.ended:
			return
		}
	}
}

// ask plays op on a connection, and again on the next one if that is lost meanwhile: op changes nothing on the server, or the same if it is
// played twice. It returns when who asks is killed; op goes on then, and may not touch what belongs to the caller.
func ask[T any](ctx context.Context, s *server, op func(*connection) (T, error)) (T, error) {
	return askAgain(ctx, s, func(c *connection, _ bool) (T, error) { return op(c) }, nil)
}

type answer[T any] struct {
	value T
	err   error
}

// askAgain is ask for an op that needs to know of a try before (again), the outcome of which nobody knows. unwanted gets what op brings
// when nobody waits any more.
func askAgain[T any](ctx context.Context, s *server, op func(c *connection, again bool) (T, error), unwanted func(T)) (T, error) {
	began := time.Now()
	for again := false; ; again = true {
		c, err := s.connected(ctx)
		if err != nil {
			return *new(T), err
		}
		answered := make(chan answer[T], 1)
		go func() {
			defer c.begin()()
			answered <- safely(func() (T, error) { return op(c, again) })
		}()
		got, err := await(ctx, answered, time.Time{})
		if err != nil {
			if unwanted != nil {
				go func() {
					if late := <-answered; late.err == nil {
						unwanted(late.value)
					}
				}()
			}
			return *new(T), err
		}
		if !isLoss(got.err) {
			return got.value, got.err
		}
		if err := s.lostFor(c, began); err != nil {
			return *new(T), err
		}
	}
}

// safely: a mistake in one operation ends that one, not the files of all programs.
func safely[T any](op func() (T, error)) (got answer[T]) {
	defer func() {
		if mistake := recover(); mistake != nil {
			log.Printf("mountaineer-fs: %v\n%s", mistake, debug.Stack())
			got = answer[T]{err: syscall.EIO}
		}
	}()
	got.value, got.err = op()
	return got
}
