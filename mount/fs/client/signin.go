package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// headStart is how long a route is tried before the next one is tried as well.
const headStart = 300 * time.Millisecond

// signedIn is the result of a sign-in.
type signedIn struct {
	conn *Conn
	err  error
}

// race signs in over these routes at the same time: each starts a head start after the one before, or once that one has failed. It returns the
// first session, and cancels the other sign-ins; or the first error that tells more than that there was no answer.
func (cl *Client) race(ctx context.Context, routes []smb.Route, session Session) (*Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(routes) == 0 {
		return nil, smb.Fail(smb.NoAnswer, errors.New("no route may be used"))
	}
	results := make(chan signedIn, len(routes))
	var failed error
	running, next := 0, 0
	start := func() {
		route := routes[next]
		next++
		running++
		safely.Go(func() {
			conn, err := safely.Do(func() (*Conn, error) { return cl.signIn(ctx, route, session) })
			results <- signedIn{conn, err}
		})
	}
	start()
	for running > 0 {
		var after <-chan time.Time
		if next < len(routes) {
			after = time.After(headStart)
		}
		select {
		case got := <-results:
			running--
			if got.conn != nil {
				cancel()
				safely.Go(func() { dropLate(results, running) })
				return got.conn, nil
			}
			if failed == nil || smb.CodeOf(failed) == smb.NoAnswer {
				failed = got.err
			}
			if next < len(routes) {
				start()
			}
		case <-after:
			start()
		}
	}
	return nil, failed
}

// dropLate logs off the sessions that came after the first.
func dropLate(results <-chan signedIn, running int) {
	for range running {
		if late := <-results; late.conn != nil {
			late.conn.LogOff(logOffWithin)
		}
	}
}

// signIn opens a session over that route, which ends a previous one, and proves the server. If the server does not end the previous session in time,
// which Samba may take a minute for, it signs in again without naming one.
func (cl *Client) signIn(ctx context.Context, route smb.Route, session Session) (*Conn, error) {
	p := cl.nextPrevious()
	c, err := cl.signInEnding(ctx, route, session, p)
	if errors.Is(err, smb.ErrNotEnded) {
		cl.logf("%s: the server does not end the session before: it will be asked again", route.Name)
		c, err = cl.signInEnding(ctx, route, session, nil)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			cl.logChange(route.Name, err.Error())
		}
		return nil, err
	}
	if err := cl.prove(ctx, c); err != nil {
		cl.logChange(route.Name, err.Error())
		c.LogOff(logOffWithin)
		return nil, err
	}
	cl.logChange(route.Name, fmt.Sprintf("signed in (%s)%s", session, c.Cable))
	return c, nil
}

// signInEnding opens a session over that route. p is the session that it names as PreviousSessionId (nil: none), which the server ends before it
// answers.
func (cl *Client) signInEnding(ctx context.Context, route smb.Route, session Session, p *previousSession) (*Conn, error) {
	cl.mu.Lock()
	account := cl.account
	cl.signIns++
	number := cl.signIns
	cl.mu.Unlock()
	request := smb.SignIn{Account: account, Route: route, Traffic: &cl.traffic, BeforeLogin: func(server smb2.Server) error {
		return cl.checkServer(route, server)
	}}
	if p != nil {
		request.Previous = p.id
	}
	if cl.options.Logins != nil {
		request.Turn = func(ctx context.Context, server smb2.Server) (smb.Turn, error) {
			return cl.options.Logins.Enter(ctx, server, route)
		}
	}
	got, err := request.Do(ctx)
	if err != nil {
		return nil, err
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if p != nil {
		cl.forgetPrevious(p.id)
	}
	cl.opened++
	c := &Conn{Connection: got, Number: number, client: cl}
	safely.Go(func() {
		<-c.Ended()
		cl.lose(c, Ended)
	})
	return c, nil
}
