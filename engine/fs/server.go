package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

const (
	creditsWanted = 512
	dialAtMost    = 10 * time.Second
	// From the server's first answer on.
	signInAtMost = 3 * time.Second
	retryFirst   = 20 * time.Millisecond
	retryAtMost  = time.Second
)

type account struct {
	address, share         string
	user, domain, password string
	sign, guest            bool
}

// A connection that has ended is never used again.
type connection struct {
	wire    net.Conn
	session *smb2.Session
	share   *smb2.Share
}

// server is the share over one connection after another.
type server struct {
	account  account
	patience time.Duration
	options  options

	mu      sync.Mutex
	current *connection   // nil while there is none
	changed chan struct{} // closed and replaced with each change of current and refused
	lostAt  time.Time
	refused error // the server knows the user no more: it is not asked again
	closed  bool
}

func signIn(a account, patience time.Duration) (*server, error) {
	s := &server{account: a, patience: patience, changed: make(chan struct{})}
	type answer struct {
		c   *connection
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		c, err := s.dial(0)
		answered <- answer{c, err}
	}()
	select {
	case got := <-answered:
		s.current = got.c
		return s, got.err
	case <-time.After(patience):
		return nil, failure{"no_answer", fmt.Errorf("%s does not answer within %v", a.address, patience)}
	}
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.current != nil {
		_ = s.current.wire.Close()
	}
}

// answered calls first once, with the first bytes that come.
type answered struct {
	net.Conn
	once  sync.Once
	first func()
}

func (a *answered) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	if n > 0 {
		a.once.Do(a.first)
	}
	return n, err
}

// dial waits as long as it takes for the first answer: a relay keeps a connection open until it has a route.
func (s *server) dial(previous uint64) (*connection, error) {
	tcp, err := net.DialTimeout("tcp", s.account.address, dialAtMost)
	if err != nil {
		return nil, err
	}
	isSignedIn := make(chan struct{})
	defer close(isSignedIn)
	wire := &answered{Conn: tcp, first: func() {
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
		PreviousSessionId: previous,
	}
	host, _, _ := net.SplitHostPort(s.account.address)
	session, err := d.DialConn(context.Background(), wire, host)
	if err != nil {
		_ = wire.Close()
		return nil, fmt.Errorf("signing in: %w", err)
	}
	share, err := session.Mount(s.account.share)
	if err != nil {
		_ = wire.Close()
		return nil, fmt.Errorf("opening the share: %w", err)
	}
	return &connection{wire, session, share}, nil
}

// connected waits for a connection: until ctx ends (EINTR), or patience does (EIO).
func (s *server) connected(ctx context.Context) (*connection, error) {
	for {
		s.mu.Lock()
		current, changed, refused, left := s.current, s.changed, s.refused, s.patience-time.Since(s.lostAt)
		s.mu.Unlock()
		switch {
		case current != nil:
			return current, nil
		case refused != nil:
			return nil, syscall.EACCES
		case left <= 0:
			return nil, syscall.EIO
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, syscall.EINTR
		}
		timer.Stop()
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

// lostFor is lost, for a request that lost its first connection then: perhaps it is what ends them (EIO).
func (s *server) lostFor(c *connection, began *time.Time) error {
	s.lost(c)
	if began.IsZero() {
		*began = time.Now()
	}
	if time.Since(*began) > s.patience {
		return syscall.EIO
	}
	return nil
}

// become: the caller holds mu.
func (s *server) become(c *connection, refused error) {
	s.current, s.refused = c, refused
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) signInAgain(previous uint64) {
	for wait := retryFirst; ; wait = min(2*wait, retryAtMost) {
		c, err := s.dial(previous)
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			if c != nil {
				_ = c.wire.Close()
			}
			return
		}
		if err == nil || isRefusal(err) {
			s.become(c, err)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		// Samba ends the lost session only once it has sent what it owes it, and so perhaps never: the next try does not ask for that.
		previous = 0
		time.Sleep(wait)
	}
}

// ask plays op on a connection, and again on the next one if that is lost meanwhile: op changes nothing on the server.
// It returns when ctx ends; op goes on then, and may not touch what belongs to the caller.
func ask[T any](ctx context.Context, s *server, op func(*connection) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var began time.Time
	for {
		c, err := s.connected(ctx)
		if err != nil {
			return *new(T), err
		}
		answered := make(chan answer, 1)
		go func() {
			value, err := op(c)
			answered <- answer{value, err}
		}()
		select {
		case got := <-answered:
			if !isLoss(got.err) {
				return got.value, got.err
			}
			if err := s.lostFor(c, &began); err != nil {
				return *new(T), err
			}
		case <-ctx.Done():
			return *new(T), syscall.EINTR
		}
	}
}

func statusOf(err error) uint32 {
	var response *smb2.ResponseError
	if errors.As(err, &response) {
		return response.Code
	}
	return 0
}

// isLoss: the connection, or the server's part of it, has ended.
func isLoss(err error) bool {
	var transport *smb2.TransportError
	var invalid *smb2.InvalidResponseError
	if errors.As(err, &transport) || errors.As(err, &invalid) {
		return true
	}
	switch statusOf(err) {
	case 0xC0000203, 0xC000035C, 0xC00000C9, 0xC000020C, 0xC0000128:
		// USER_SESSION_DELETED, NETWORK_SESSION_EXPIRED, NETWORK_NAME_DELETED, CONNECTION_DISCONNECTED, FILE_CLOSED
		return true
	}
	return false
}

// isRefusal: a further try would only bring the account nearer to being locked.
func isRefusal(err error) bool {
	switch statusOf(err) {
	case 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071, 0xC0000072, 0xC0000224, 0xC0000234:
		// LOGON_FAILURE, ACCOUNT_RESTRICTION, INVALID_LOGON_HOURS, INVALID_WORKSTATION, PASSWORD_EXPIRED,
		// ACCOUNT_DISABLED, PASSWORD_MUST_CHANGE, ACCOUNT_LOCKED_OUT
		return true
	}
	return false
}
