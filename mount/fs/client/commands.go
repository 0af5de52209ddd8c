package client

import (
	"fmt"
	"slices"
	"time"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// CheckFresh refuses a command that was decided before the last move.
func (cl *Client) CheckFresh(seen *int) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if seen != nil && *seen != cl.moves {
		return smb.Fail(Stale, errStale)
	}
	return nil
}

// Lost leaves a route whose network interface is down. It is not tried again before Try names it.
func (cl *Client) Lost(name string) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err := cl.checkKnown(name); err != nil {
		return err
	}
	cl.down[name] = true
	time.AfterFunc(askEvery, safely.Of(func() { cl.retryWithoutDaemon(name) }))
	if cl.current != nil && cl.current.route.Name == name {
		cl.leaveRoute(LinkDown, smb.Monotonic())
		cl.wakeRecover()
	}
	return nil
}

// retryWithoutDaemon allows that route again if no daemon is running that would call Try.
func (cl *Client) retryWithoutDaemon(name string) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if !cl.down[name] {
		return
	}
	if smb.Monotonic()-cl.commandAt < daemonWithin {
		time.AfterFunc(askEvery, safely.Of(func() { cl.retryWithoutDaemon(name) }))
		return
	}
	delete(cl.down, name)
	cl.wakeRecover()
}

// Allow sets the routes that may be used on this network. If the one in use is not among them, it moves to one that is, or leaves it at once.
func (cl *Client) Allow(names []string) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err := cl.checkKnown(names...); err != nil {
		return err
	}
	for _, each := range cl.routes {
		cl.allowed[each.Name] = slices.Contains(names, each.Name)
	}
	cl.awaitsAllow = false
	if s := cl.current; s != nil && !cl.allowed[s.route.Name] {
		if usable := cl.usable(); len(usable) > 0 {
			safely.Go(func() { cl.leaveForbidden(s, usable) })
		} else {
			cl.leaveRoute(NotAllowed, smb.Monotonic())
		}
	}
	cl.wakeWaiters()
	cl.wakeRecover()
	return nil
}

// leaveForbidden moves to one of the usable routes, or else leaves the route in use, which is no longer allowed.
func (cl *Client) leaveForbidden(s *sessions, usable []smb.Route) {
	for _, each := range usable {
		if _, err := safely.Do(func() (MoveResult, error) { return cl.Use(cl.life, each.Name) }); err == nil {
			return
		}
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.current == s && !cl.allowed[s.route.Name] {
		cl.leaveRoute(NotAllowed, smb.Monotonic())
		cl.wakeRecover()
	}
}

// Try allows routes that were lost, which answer again, and wakes an outage.
func (cl *Client) Try(names []string) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err := cl.checkKnown(names...); err != nil {
		return err
	}
	for _, each := range names {
		delete(cl.down, each)
	}
	cl.commandAt = smb.Monotonic()
	if len(names) > 0 && cl.current == nil {
		cl.wakeRecover()
	}
	return nil
}

// Settings are new values; nil: the current one stays.
type Settings struct {
	Routes   []smb.Route
	Patience *time.Duration
	Password *string
	OnlyOn   *bool
	// A person asked for it: one sign-in is tried even if refusals forbid it.
	LoginNow bool
}

// Set changes settings. Connections stay, whatever the routes are now.
func (cl *Client) Set(s Settings) error {
	routes := s.Routes
	for _, each := range routes {
		if err := each.Check(); err != nil {
			return smb.Fail(smb.Usage, err)
		}
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if routes != nil {
		allowed := map[string]bool{}
		for _, each := range routes {
			before, isKnown := cl.allowed[each.Name]
			allowed[each.Name] = before || !isKnown
		}
		if !slices.Equal(routes, cl.routes) {
			// It was found over the old routes.
			cl.other = nil
		}
		cl.routes, cl.allowed = slices.Clone(routes), allowed
		if !cl.hasRoute(cl.wanted) && len(routes) > 0 {
			cl.wanted = routes[0].Name
		}
	}
	if s.Patience != nil {
		cl.patience = *s.Patience
	}
	if s.OnlyOn != nil {
		cl.onlyOn = *s.OnlyOn
		cl.awaitsAllow = cl.awaitsAllow && cl.onlyOn
	}
	if s.Password != nil && *s.Password != cl.account.Password {
		cl.account.Password = *s.Password
		cl.forgetRefusal()
		if cl.options.Logins != nil {
			cl.options.Logins.SetPassword(*s.Password)
		}
	}
	if s.LoginNow {
		cl.forgetRefusal()
		if cl.options.Logins != nil {
			cl.options.Logins.TryNow()
		}
	}
	cl.wakeWaiters()
	cl.wakeRecover()
	return nil
}

// ClockAhead is how far the server's clock is ahead of this machine's.
func (cl *Client) ClockAhead() time.Duration {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.clockAhead
}

// AcceptServer accepts the server that answers in place of the recorded one, if it still has that GUID. Open files of the old one are lost,
// unless it is the same server with a new GUID.
func (cl *Client) AcceptServer(guid string) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.other == nil || cl.other.Guid != guid {
		return smb.Fail(smb.Other, fmt.Errorf("no server with the id %q answers instead of the recorded one", guid))
	}
	cl.acceptedGuid = &guid
	cl.wakeRecover()
	return nil
}

// forgetServer begins a new record, for another server that a person accepts. The caller holds mu.
func (cl *Client) forgetServer() {
	cl.acceptedGuid, cl.record = nil, nil
	cl.serverNumber++
}
