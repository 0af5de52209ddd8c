package smb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/safely"
)

// Account says who signs in.
type Account struct {
	// Empty: only a session is opened.
	Share        string
	User, Domain string
	Password     string
	// Sign every message, also where the server does not ask for it.
	Sign  bool
	Guest bool
}

const (
	connectWithin = 10 * time.Second
	signInWithin  = 30 * time.Second
	// The server answers a sign-in that names a previous session once it has ended that. Samba may take a minute, or never answer.
	endsWithin = 3 * time.Second
)

// Credits limits the requests in flight, counted in 64 KiB.
var Credits uint16 = 512

// Turn is the right to sign in. Ended is called with the result.
type Turn interface{ Ended(err error) }

// ErrNotEnded: the server has not ended the previous session in time. It may do so later.
var ErrNotEnded = errors.New("the server does not end the session before")

// SignIn is one attempt to open the share over a route.
type SignIn struct {
	Account Account
	Route   Route
	Traffic *Traffic
	// Previous is the id of a session that the server ends (PreviousSessionId); 0: none.
	Previous uint64
	// BeforeLogin may refuse the server before it gets a byte of the login.
	BeforeLogin func(smb2.Server) error
	// Turn waits for the right to sign in; nil: it is not limited.
	Turn func(ctx context.Context, server smb2.Server) (Turn, error)
}

// Do signs in. It returns an error of the server unchanged, or as a Failure.
func (s SignIn) Do(ctx context.Context) (*Connection, error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, signInWithin)
	defer cancel()
	tcp, cable, err := s.Route.dial(ctx, connectWithin)
	if err != nil {
		return nil, err
	}
	w := &wire{TCPConn: tcp, traffic: s.Traffic, ended: make(chan struct{})}
	// While it sends, the library only notices the end of the wire, not of ctx.
	defer context.AfterFunc(ctx, w.reset)()
	c := &Connection{Route: s.Route, Cable: cable, wire: w}
	if err = s.openSession(ctx, cancel, c, started); err != nil {
		w.reset()
		return nil, fmt.Errorf("signing in: %w", err)
	}
	if s.Account.Share == "" {
		return c, nil
	}
	if c.Share, err = safely.Do(func() (*smb2.Share, error) { return c.session.Mount(s.Account.Share) }); err != nil {
		if CodeOf(err) == NoShare {
			err = c.otherShares(s.Account.Share, err)
		}
		w.reset()
		return nil, fmt.Errorf("opening the share: %w", err)
	}
	return c, nil
}

// openSession negotiates, waits for the right to sign in, and sends the login.
func (s SignIn) openSession(ctx context.Context, cancel func(), c *Connection, started time.Time) (err error) {
	endTurn := func(error) {}
	isLoginSent := false
	d := smb2.Dialer{
		MaxCreditBalance: Credits,
		// A guest has no key to sign with.
		Negotiator:        smb2.Negotiator{RequireMessageSigning: s.Account.Sign && !s.Account.mayBeGuest()},
		Initiator:         s.Account.initiator(),
		PreviousSessionId: s.Previous,
		BeforeLogin: func(server smb2.Server) (err error) {
			took := time.Since(started)
			c.ClockAhead = time.Until(server.Time) + took/4
			if err = s.BeforeLogin(server); err != nil {
				return err
			}
			if s.Turn != nil {
				turn, err := s.Turn(ctx, server)
				if err != nil {
					return err
				}
				endTurn = turn.Ended
			}
			if isLoginSent = true; s.Previous != 0 {
				// Each of the two messages of the login takes about as long as the negotiation.
				time.AfterFunc(endsWithin+2*took, cancel)
			}
			return nil
		},
	}
	c.session, err = safely.Do(func() (*smb2.Session, error) { return d.DialConn(ctx, c.wire, s.Route.Address) })
	if err == nil && c.session.IsUnsigned() && !s.Account.mayBeGuest() || err != nil && strings.Contains(err.Error(), "account doesn't support signing") {
		err = Failure{LogonFailure, errors.New("the server does not know this user, or refuses the password, and would let it in as a guest only")}
	}
	endTurn(err)
	if err != nil && isLoginSent && s.Previous != 0 && ctx.Err() != nil {
		return ErrNotEnded
	}
	return err
}

// mayBeGuest: an account named guest may also have a password.
func (a Account) mayBeGuest() bool { return a.Guest || strings.EqualFold(a.User, "guest") }

func (a Account) initiator() smb2.Initiator {
	if a.Guest {
		return &smb2.NTLMInitiator{User: "guest"}
	}
	return &smb2.NTLMInitiator{User: a.User, Domain: a.Domain, Password: a.Password}
}

func init() { smb2.OnPanic = safely.Panicked }

var errAsked = errors.New("only probed")

// Ask negotiates with the server, without a login.
func (r Route) Ask(ctx context.Context, within time.Duration) (server smb2.Server, cable Cable, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tcp, cable, err := r.dial(ctx, within)
	if err != nil {
		return server, cable, err
	}
	defer tcp.Close()
	defer context.AfterFunc(ctx, safely.Of(func() { _ = tcp.Close() }))()
	d := smb2.Dialer{Initiator: &smb2.NTLMInitiator{}, BeforeLogin: func(answered smb2.Server) error {
		server = answered
		return errAsked
	}}
	if _, err = safely.Do(func() (*smb2.Session, error) { return d.DialConn(ctx, tcp, r.Address) }); errors.Is(err, errAsked) {
		err = nil
	}
	return server, cable, err
}
