package link

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
	quietWithin = 2 * time.Second
	// How long a move waits for a route in an outage.
	foundWithin = 10 * time.Second
	backWithin  = time.Second
)

// Moved says how a planned move went.
type Moved struct {
	Quiet  bool
	TookMs int64
}

// Use moves to a route in an instant in which no request waits, and wants that route from now on. It signs in there first.
func (l *Link) Use(ctx context.Context, name string) (Moved, error) {
	l.moving.Lock()
	defer l.moving.Unlock()
	began := smb.Monotonic()
	l.mu.Lock()
	route, err := l.allowedRoute(name)
	if err != nil {
		l.mu.Unlock()
		return Moved{}, err
	}
	before := l.wanted
	l.wanted = name
	old := l.current
	l.mu.Unlock()
	if old == nil {
		return l.waitFor(ctx, route, began)
	}
	if old.route == route {
		return Moved{Quiet: true}, nil
	}
	isQuiet, err := l.moveTo(ctx, old, route, began)
	if err != nil {
		l.mu.Lock()
		if l.current == old {
			l.wanted = before
		}
		l.mu.Unlock()
		return Moved{}, err
	}
	return Moved{isQuiet, (smb.Monotonic() - began).Milliseconds()}, nil
}

// allowedRoute: the caller holds mu.
func (l *Link) allowedRoute(name string) (smb.Route, error) {
	for _, each := range l.routes {
		if each.Name == name {
			if !l.allowed[name] || l.isUnconfirmed {
				return each, smb.Fail(RouteForbidden, fmt.Errorf("%s may not be used now", name))
			}
			return each, nil
		}
	}
	return smb.Route{}, smb.Fail(UnknownRoute, fmt.Errorf("there is no route %q", name))
}

// waitFor waits while there is no route at all.
func (l *Link) waitFor(ctx context.Context, route smb.Route, began time.Duration) (Moved, error) {
	l.wakeRecover()
	for until := time.Now().Add(foundWithin); ; {
		l.mu.Lock()
		p, changed := l.current, l.changed
		l.mu.Unlock()
		switch {
		case p != nil && p.route.Name == route.Name:
			return Moved{TookMs: (smb.Monotonic() - began).Milliseconds()}, nil
		case p != nil:
			return Moved{}, smb.Fail(smb.NoAnswer, fmt.Errorf("%s does not answer, %s does", route.Name, p.route.Name))
		}
		if _, err := Await(ctx, nil, changed, until); err != nil {
			return Moved{}, smb.Fail(smb.NoAnswer, errors.New(l.lastFailure()))
		}
	}
}

// lastFailure is what the last look for a route said.
func (l *Link) lastFailure() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outage != nil && l.outage.text != "" {
		return l.outage.text
	}
	return "no route answers"
}

// moveTo changes the route of both sessions. The stages: sign in there; hold new requests until the pending ones are answered; change. If they are not
// answered in time, the server is asked to end the old sessions, as in an unplanned move: else it could still do, after newer requests, what
// it has not answered.
func (l *Link) moveTo(ctx context.Context, old *sessions, route smb.Route, began time.Duration) (isQuiet bool, err error) {
	next, err := l.signIn(ctx, route, Files)
	if smb.CodeOf(err) == smb.NoPlaces {
		return true, l.exchange(ctx, old, route, began)
	}
	if err != nil {
		return false, err
	}
	release, isQuiet := l.holdUntilQuiet(old)
	defer release()
	if !isQuiet {
		next.LogOff(logOffWithin)
		return false, l.force(ctx, old, route, began)
	}
	l.mu.Lock()
	isMoved := l.change(old, next, nil, began, true)
	l.mu.Unlock()
	if !isMoved {
		next.LogOff(logOffWithin)
		return false, errMoved
	}
	// The old sessions close their files before anything is sent over the new ones.
	l.leaveFiles(old.files)
	var leaving sync.WaitGroup
	old.each(func(c *Conn) { leaving.Go(safely.Of(func() { c.LogOff(logOffWithin) })) })
	leaving.Wait()
	return true, nil
}

var errStale = errors.New("the mount has moved since")

var errMoved = smb.Fail(smb.NoAnswer, errors.New("the mount was moved meanwhile"))

// holdUntilQuiet lets new requests wait until none is pending on the old sessions, 2 s at most. release lets them be sent.
func (l *Link) holdUntilQuiet(old *sessions) (release func(), isQuiet bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hold := make(chan struct{})
	l.hold = hold
	release = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.hold == hold {
			l.hold = nil
			close(hold)
		}
	}
	until := time.Now().Add(quietWithin)
	for {
		pending := 0
		old.each(func(c *Conn) { pending += c.pending })
		switch {
		case l.current != old:
			return release, false
		case pending == 0:
			return release, true
		case time.Now().After(until):
			return release, false
		}
		l.mu.Unlock()
		select {
		case <-l.quiet:
		case <-time.After(10 * time.Millisecond):
		}
		l.mu.Lock()
	}
}

// wakeMove lets holdUntilQuiet check again whether requests are pending. The caller holds mu.
func (l *Link) wakeMove() {
	select {
	case l.quiet <- struct{}{}:
	default:
	}
}

// change replaces the old sessions, unless another route was found in the meantime. The caller holds mu.
func (l *Link) change(old *sessions, files, names *Conn, began time.Duration, isQuiet bool) bool {
	isLost := l.current == nil && l.outage != nil && l.outage.of == old
	if l.current != old && !isLost || l.isClosed {
		return false
	}
	l.trust(files)
	l.current = &sessions{route: files.Route, files: files, missing: &outage{since: smb.Monotonic(), from: files.Route}}
	if names != nil {
		names.Epoch = l.epoch
		l.complete(l.current, names)
	}
	l.noteSessions()
	l.hasFiles()
	l.last, l.outage = files.Route, nil
	took := (smb.Monotonic() - began).Milliseconds()
	l.moved(Move{From: old.route.Name, To: files.Route.Name, Reason: Asked, Asked: true, Quiet: isQuiet, TookMs: took})
	old.each(func(c *Conn) { c.isAbandoned = true })
	l.wakeRecover()
	return true
}

// force signs in over the new route so that the server ends the old sessions, and gives up if it does not do so in time.
func (l *Link) force(ctx context.Context, old *sessions, route smb.Route, began time.Duration) error {
	l.mu.Lock()
	l.isForcing = true
	before := []*Conn{old.files, old.names}
	l.mu.Unlock()
	var made []*Conn
	var err error
	for session, c := range before {
		if err != nil || c == nil || session == int(Names) && c == before[Files] {
			continue
		}
		var next *Conn
		if next, err = l.signInNaming(ctx, route, Session(session), &previousSession{id: c.Id()}); err == nil {
			made = append(made, next)
			err = l.prove(ctx, next)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isForcing = false
	l.wakeRecover()
	if err == nil && len(made) == 0 {
		err = errMoved
	}
	if err == nil {
		var names *Conn
		if len(made) > 1 {
			names = made[1]
		}
		if l.change(old, made[0], names, began, false) {
			for _, c := range before {
				if c != nil {
					c.Reset()
					l.forget(c.Id())
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

// exchange moves where the server has no place for another connection: it logs off in a quiet instant, and goes back if it cannot sign in.
func (l *Link) exchange(ctx context.Context, old *sessions, route smb.Route, began time.Duration) error {
	release, isQuiet := l.holdUntilQuiet(old)
	defer release()
	if !isQuiet {
		return smb.Fail(NotQuiet, errors.New("requests were not answered within 2 s, and the server has no place for another connection"))
	}
	l.mu.Lock()
	old.each(func(c *Conn) { c.isAbandoned = true })
	l.mu.Unlock()
	l.leaveFiles(old.files)
	old.each(func(c *Conn) { c.LogOff(logOffWithin) })
	next, err := l.signIn(ctx, route, Files)
	failed := err
	for until := time.Now().Add(backWithin); err != nil && time.Now().Before(until); {
		next, err = l.signIn(ctx, old.route, Files)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		if l.current == old {
			old.each(func(c *Conn) { c.isAbandoned = true })
			l.outage = &outage{since: smb.Monotonic(), reason: Ended, from: old.route}
			l.current = nil
			l.announce()
			l.wakeRecover()
		}
		return failed
	case failed != nil:
		l.trust(next)
		l.current = &sessions{route: old.route, files: next}
		l.complete(l.current, next)
		l.hasFiles()
		return failed
	}
	l.change(old, next, nil, began, true)
	return nil
}
