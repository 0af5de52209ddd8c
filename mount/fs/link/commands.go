package link

import (
	"fmt"
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Check refuses a command that was decided before the last move.
func (l *Link) Check(seen *int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen != nil && *seen != l.moves {
		return smb.Fail(Stale, errStale)
	}
	return nil
}

// Lost says that the link of a route is down: it is left now, and not tried before Try names it.
func (l *Link) Lost(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasRoute(name) {
		return smb.Fail(UnknownRoute, fmt.Errorf("there is no route %q", name))
	}
	l.down[name] = true
	time.AfterFunc(askEvery, safely.Of(func() { l.unlessDaemon(name) }))
	if l.current != nil && l.current.route.Name == name {
		l.leave(LinkDown, smb.Monotonic())
		l.wakeRecover()
	}
	return nil
}

// unlessDaemon lets a route be tried again whose link was down, if no daemon is there to say when.
func (l *Link) unlessDaemon(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down[name] {
		return
	}
	if smb.Monotonic()-l.commandAt < daemonWithin {
		time.AfterFunc(askEvery, safely.Of(func() { l.unlessDaemon(name) }))
		return
	}
	delete(l.down, name)
	l.wakeRecover()
}

func (l *Link) hasRoute(name string) bool {
	return slices.ContainsFunc(l.routes, func(each smb.Route) bool { return each.Name == name })
}

// Allow says which routes may be used on this network. The one in use is left if it is not among them: for one that is, or at once.
func (l *Link) Allow(names []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range names {
		if !l.hasRoute(each) {
			return smb.Fail(UnknownRoute, fmt.Errorf("there is no route %q", each))
		}
	}
	for _, each := range l.routes {
		l.allowed[each.Name] = slices.Contains(names, each.Name)
	}
	l.isUnconfirmed = false
	if p := l.current; p != nil && !l.allowed[p.route.Name] {
		if usable := l.usable(); len(usable) > 0 {
			safely.Go(func() { l.moveAway(p, usable) })
		} else {
			l.leave(NotAllowed, smb.Monotonic())
		}
	}
	l.announce()
	l.wakeRecover()
	return nil
}

// moveAway leaves a route that may no longer be used.
func (l *Link) moveAway(p *sessions, usable []smb.Route) {
	for _, each := range usable {
		if _, err := safely.Do(func() (Moved, error) { return l.Use(l.life, each.Name) }); err == nil {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == p && !l.allowed[p.route.Name] {
		l.leave(NotAllowed, smb.Monotonic())
		l.wakeRecover()
	}
}

// Try says that these routes answer now.
func (l *Link) Try(names []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range names {
		if !l.hasRoute(each) {
			return smb.Fail(UnknownRoute, fmt.Errorf("there is no route %q", each))
		}
		delete(l.down, each)
	}
	l.commandAt = smb.Monotonic()
	if len(names) > 0 && l.current == nil {
		l.wakeRecover()
	}
	return nil
}

// Settings are new values; nil: the present one stays.
type Settings struct {
	Routes   []smb.Route
	Patience *time.Duration
	Password *string
	OnlyOn   *bool
	// A person asked: one sign-in is tried even if refusals forbid it.
	LoginNow bool
}

// Set takes new values. A connection in use stays, whatever the routes are now.
func (l *Link) Set(s Settings) error {
	routes := s.Routes
	for _, each := range routes {
		if err := each.Check(); err != nil {
			return smb.Fail(smb.Usage, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if routes != nil {
		allowed := map[string]bool{}
		for _, each := range routes {
			before, isKnown := l.allowed[each.Name]
			allowed[each.Name] = before || !isKnown
		}
		if !slices.Equal(routes, l.routes) {
			// It was found where these may not lead.
			l.other = nil
		}
		l.routes, l.allowed = slices.Clone(routes), allowed
		if !l.hasRoute(l.wanted) && len(routes) > 0 {
			l.wanted = routes[0].Name
		}
	}
	if s.Patience != nil {
		l.patience = *s.Patience
	}
	if s.OnlyOn != nil {
		l.onlyOn = *s.OnlyOn
		l.isUnconfirmed = l.isUnconfirmed && l.onlyOn
	}
	if s.Password != nil && *s.Password != l.account.Password {
		l.account.Password = *s.Password
		l.forgetRefusal()
		if l.options.Logins != nil {
			l.options.Logins.Use(*s.Password)
		}
	}
	if s.LoginNow {
		l.forgetRefusal()
		if l.options.Logins != nil {
			l.options.Logins.TryNow()
		}
	}
	l.announce()
	l.wakeRecover()
	return nil
}

// Ahead is how far the server's clock is ahead of this machine's.
func (l *Link) Ahead() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ahead
}

// LetIn accepts the server that answers instead of the recorded one, if it still has that GUID. Files that were open on the one before stay
// lost, unless it is the same one with a new GUID.
func (l *Link) LetIn(guid string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.other == nil || l.other.Guid != guid {
		return smb.Fail(smb.Other, fmt.Errorf("no server with the id %q answers instead of the recorded one", guid))
	}
	l.letIn = &guid
	l.wakeRecover()
	return nil
}

// takeIn forgets the server before for one that a person has let in. The caller holds mu.
func (l *Link) takeIn() {
	l.letIn, l.record = nil, nil
	l.epoch++
}
