package client

import (
	"fmt"
	"maps"
	"slices"

	"mountaineer/mount/fs/smb"
)

// Which routes may be used, and in which order they are tried. A route is usable while the daemon allows it on this network (allowed), has not reported
// its link as down (down), and the network has not changed since (awaitsAllow).

// usable returns the usable routes, the wanted one first. The caller holds mu.
func (cl *Client) usable() []smb.Route {
	if cl.awaitsAllow {
		return nil
	}
	var usable []smb.Route
	for _, each := range cl.routes {
		if !cl.allowed[each.Name] || cl.down[each.Name] {
			continue
		}
		if each.Name == cl.wanted {
			usable = slices.Insert(usable, 0, each)
		} else {
			usable = append(usable, each)
		}
	}
	return usable
}

// others are the usable routes but this one.
func (cl *Client) others(than smb.Route) (others []smb.Route) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for _, each := range cl.usable() {
		if each.Name != than.Name {
			others = append(others, each)
		}
	}
	return others
}

// isOffNetwork: no route is allowed on this network. The caller holds mu.
func (cl *Client) isOffNetwork() bool {
	return !slices.Contains(slices.Collect(maps.Values(cl.allowed)), true)
}

func (cl *Client) hasRoute(name string) bool {
	return slices.ContainsFunc(cl.routes, func(each smb.Route) bool { return each.Name == name })
}

// checkKnown fails if one of the names is not that of a route. The caller holds mu.
func (cl *Client) checkKnown(names ...string) error {
	for _, each := range names {
		if !cl.hasRoute(each) {
			return smb.Fail(UnknownRoute, fmt.Errorf("there is no route %q", each))
		}
	}
	return nil
}

// allowedRoute is the route of that name, if new connections over it are allowed. The caller holds mu.
func (cl *Client) allowedRoute(name string) (smb.Route, error) {
	if err := cl.checkKnown(name); err != nil {
		return smb.Route{}, err
	}
	if !cl.allowed[name] || cl.awaitsAllow {
		return smb.Route{}, smb.Fail(RouteForbidden, fmt.Errorf("%s may not be used now", name))
	}
	return cl.routes[slices.IndexFunc(cl.routes, func(each smb.Route) bool { return each.Name == name })], nil
}

// mayConnect: new connections over that route are allowed. An existing one stays where they are not.
func (cl *Client) mayConnect(route smb.Route) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	_, err := cl.allowedRoute(route.Name)
	return err == nil
}

// routeOrder is the order of the routes. In the first round the lost route comes first if its connection ended, and last if it was silent. The
// caller holds mu.
func (cl *Client) routeOrder(o *outage, round int) []smb.Route {
	usable := cl.usable()
	if round > 0 || len(usable) < 2 {
		return usable
	}
	var first, others []smb.Route
	for _, each := range usable {
		if each.Name == o.route.Name {
			first = append(first, each)
		} else {
			others = append(others, each)
		}
	}
	if o.reason == Ended {
		return append(first, others...)
	}
	return append(others, first...)
}
