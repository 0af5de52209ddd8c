package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Codes of refused commands.
const (
	Stale          = "stale"
	UnknownRoute   = "unknown_route"
	RouteForbidden = "not_allowed"
	NotQuiet       = "not_quiet"
)

const (
	// How long a move waits for the pending requests.
	quietWithin = 2 * time.Second
	// How long a move waits for a route in an outage.
	foundWithin = 10 * time.Second
	// How long moveByLogoff tries to return to the old route.
	backWithin = time.Second
)

// MoveResult says how a planned move went.
type MoveResult struct {
	Quiet  bool // no request was pending: none was sent again
	TookMs int64
}

// Use signs in over a route and moves there in an instant without a pending request. From now on that route is the wanted one.
func (cl *Client) Use(ctx context.Context, name string) (MoveResult, error) {
	cl.moving.Lock()
	defer cl.moving.Unlock()
	began := smb.Monotonic()
	cl.mu.Lock()
	route, err := cl.allowedRoute(name)
	if err != nil {
		cl.mu.Unlock()
		return MoveResult{}, err
	}
	before := cl.wanted
	cl.wanted = name
	old := cl.current
	cl.mu.Unlock()
	if old == nil {
		return cl.waitFor(ctx, route, began)
	}
	if old.route == route {
		return MoveResult{Quiet: true}, nil
	}
	isQuiet, err := cl.moveTo(ctx, old, route, began)
	if err != nil {
		cl.mu.Lock()
		if cl.current == old {
			cl.wanted = before
		}
		cl.mu.Unlock()
		return MoveResult{}, err
	}
	return MoveResult{isQuiet, (smb.Monotonic() - began).Milliseconds()}, nil
}

// waitFor waits for a route in an outage.
func (cl *Client) waitFor(ctx context.Context, route smb.Route, began time.Duration) (MoveResult, error) {
	cl.wakeRecover()
	for until := time.Now().Add(foundWithin); ; {
		cl.mu.Lock()
		s, changed := cl.current, cl.changed
		cl.mu.Unlock()
		switch {
		case s != nil && s.route.Name == route.Name:
			return MoveResult{TookMs: (smb.Monotonic() - began).Milliseconds()}, nil
		case s != nil:
			return MoveResult{}, smb.Fail(smb.NoAnswer, fmt.Errorf("%s does not answer, %s does", route.Name, s.route.Name))
		}
		if _, err := Await(ctx, nil, changed, until); err != nil {
			return MoveResult{}, smb.Fail(smb.NoAnswer, errors.New(cl.lastFailure()))
		}
	}
}

// lastFailure is the error of the last attempt to find a route.
func (cl *Client) lastFailure() string {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.outage != nil && cl.outage.text != "" {
		return cl.outage.text
	}
	return "no route answers"
}

// moveTo moves both sessions. The stages: sign in there; pause new requests until the pending ones are answered; replace the sessions. If they
// are not answered in time, forceMove has the server end the old sessions: unanswered requests could otherwise take effect after newer ones.
func (cl *Client) moveTo(ctx context.Context, old *sessions, route smb.Route, began time.Duration) (isQuiet bool, err error) {
	next, err := cl.signIn(ctx, route, Files)
	if smb.CodeOf(err) == smb.NoPlaces {
		return true, cl.moveByLogoff(ctx, old, route, began)
	}
	if err != nil {
		return false, err
	}
	release, isQuiet := cl.pauseRequests(old)
	defer release()
	if !isQuiet {
		next.LogOff(logOffWithin)
		return false, cl.forceMove(ctx, old, route, began)
	}
	cl.mu.Lock()
	isMoved := cl.replaceSessions(old, next, nil, began, true)
	cl.mu.Unlock()
	if !isMoved {
		next.LogOff(logOffWithin)
		return false, errMoved
	}
	// The old sessions close their files before anything is sent over the new ones.
	cl.callBeforeLeaving(old.files)
	var leaving sync.WaitGroup
	old.each(func(c *Conn) { leaving.Go(safely.Of(func() { c.LogOff(logOffWithin) })) })
	leaving.Wait()
	return true, nil
}

var errStale = errors.New("the mount has moved since")

var errMoved = smb.Fail(smb.NoAnswer, errors.New("the mount has moved since then"))

// pauseRequests makes new requests wait, and returns once none is pending on the old sessions, after 2 s at most. release ends the pause.
func (cl *Client) pauseRequests(old *sessions) (release func(), isQuiet bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	hold := make(chan struct{})
	cl.resumed = hold
	release = func() {
		cl.mu.Lock()
		defer cl.mu.Unlock()
		if cl.resumed == hold {
			cl.resumed = nil
			close(hold)
		}
	}
	until := time.Now().Add(quietWithin)
	for {
		pending := 0
		old.each(func(c *Conn) { pending += c.pending })
		switch {
		case cl.current != old:
			return release, false
		case pending == 0:
			return release, true
		case time.Now().After(until):
			return release, false
		}
		cl.mu.Unlock()
		select {
		case <-cl.idle:
		case <-time.After(10 * time.Millisecond):
		}
		cl.mu.Lock()
	}
}

// wakeMove lets pauseRequests check again whether requests are pending. The caller holds mu.
func (cl *Client) wakeMove() { notify(cl.idle) }

// isLast: no other sessions have come into use since. The caller holds mu.
func (cl *Client) isLast(old *sessions) bool {
	isLost := cl.current == nil && cl.outage != nil && cl.outage.lost == old
	return (cl.current == old || isLost) && !cl.isClosed
}

// replaceSessions begins to use the new sessions, unless recover has found another route since. The caller holds mu.
func (cl *Client) replaceSessions(old *sessions, files, names *Conn, began time.Duration, isQuiet bool) bool {
	if !cl.isLast(old) {
		return false
	}
	cl.use(files)
	took := (smb.Monotonic() - began).Milliseconds()
	cl.recordMove(Move{From: old.route.Name, To: files.Route.Name, Reason: Asked, Asked: true, Quiet: isQuiet, TookMs: took})
	old.each(func(c *Conn) { c.isRetired = true })
	if names != nil {
		names.ServerNumber = cl.serverNumber
		cl.addSession(cl.current, names)
	}
	cl.dropEnded()
	return true
}

// forceMove signs in over the new route so that the server ends the old sessions, and gives up if it does not do so in time.
func (cl *Client) forceMove(ctx context.Context, old *sessions, route smb.Route, began time.Duration) error {
	cl.mu.Lock()
	cl.isForcingMove = true
	before := []*Conn{old.files, old.names}
	cl.mu.Unlock()
	var made []*Conn
	var err error
	for session, c := range before {
		if err != nil || c == nil || session == int(Names) && c == before[Files] {
			continue
		}
		var next *Conn
		if next, err = cl.signInEnding(ctx, route, Session(session), &previousSession{id: c.Id()}); err == nil {
			made = append(made, next)
			err = cl.prove(ctx, next)
		}
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.isForcingMove = false
	cl.wakeRecover()
	if err == nil && len(made) == 0 {
		err = errMoved
	}
	if err == nil {
		var names *Conn
		if len(made) > 1 {
			names = made[1]
		}
		if cl.replaceSessions(old, made[0], names, began, false) {
			for _, c := range before {
				if c != nil {
					c.Reset()
					cl.forgetPrevious(c.Id())
				}
			}
			return nil
		}
		err = errMoved
	}
	for _, each := range made {
		safely.Go(func() { each.LogOff(logOffWithin) })
	}
	if errors.Is(err, smb.ErrNotEnded) {
		return smb.Fail(NotQuiet, errors.New("requests were not answered within 2 s, and the server does not end their session"))
	}
	return err
}

// moveByLogoff moves where the server accepts no further connection: it logs off while no request is pending, then signs in over the new route,
// or if that fails over the old one again.
func (cl *Client) moveByLogoff(ctx context.Context, old *sessions, route smb.Route, began time.Duration) error {
	release, isQuiet := cl.pauseRequests(old)
	defer release()
	if !isQuiet {
		return smb.Fail(NotQuiet, errors.New("requests were not answered within 2 s, and the server has no place for another connection"))
	}
	cl.mu.Lock()
	old.each(func(c *Conn) { c.isRetired = true })
	cl.mu.Unlock()
	cl.callBeforeLeaving(old.files)
	old.each(func(c *Conn) { c.LogOff(logOffWithin) })
	next, err := cl.signIn(ctx, route, Files)
	failed := err
	for until := time.Now().Add(backWithin); err != nil && time.Now().Before(until); {
		next, err = cl.signIn(ctx, old.route, Files)
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	switch {
	case err != nil:
		if cl.current == old {
			old.each(func(c *Conn) { c.isRetired = true })
			cl.outage = &outage{since: smb.Monotonic(), reason: Ended, route: old.route}
			cl.current = nil
			cl.wakeWaiters()
			cl.wakeRecover()
		}
		return failed
	case !cl.isLast(old):
		safely.Go(func() { next.LogOff(logOffWithin) })
		return errMoved
	case failed != nil:
		cl.install(next, Ended)
		if cl.current != nil {
			cl.addSession(cl.current, next)
		}
		return failed
	}
	cl.replaceSessions(old, next, nil, began, true)
	return nil
}
