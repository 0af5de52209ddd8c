// Package smb signs in to a share over a route, and says what an error means.
//
// SignIn.Do dials the route, negotiates, lets its caller judge the server (BeforeLogin) and wait for a turn (Turn), then sends the login and
// connects to the share (a tree connect). Its Connection is one TCP connection with one SMB session; once it has ended it is not used again:
// package link signs in to another one. CodeOf and IsLoss sort errors into the few kinds that callers act on. No lock is held here.
package smb

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Route is one way to the server.
type Route struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Port      int    `json:"port"`
	Interface string `json:"interface,omitempty"`
}

const usualPort = 445

// ParseRoute reads name=tb,address=10.0.0.2,port=445,interface=eth0.
func ParseRoute(text string) (Route, error) {
	r := Route{Port: usualPort}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "name":
			r.Name = value
		case "address":
			r.Address = value
		case "interface":
			r.Interface = value
		case "port":
			r.Port, _ = strconv.Atoi(value)
		default:
			return r, fmt.Errorf("a route has no %q", key)
		}
	}
	return r, r.Check()
}

// ParseAddress reads HOST:PORT, the only route.
func ParseAddress(text string) (Route, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Route{}, err
	}
	r := Route{Name: "only", Address: host}
	r.Port, _ = strconv.Atoi(port)
	return r, r.Check()
}

// Check returns why the route cannot be one.
func (r Route) Check() error {
	if r.Name == "" || r.Address == "" || r.Port < 1 || r.Port > 65535 {
		return fmt.Errorf("a route is name=NAME,address=ADDRESS,port=PORT, not %q %q %d", r.Name, r.Address, r.Port)
	}
	return nil
}

func (r Route) String() string { return net.JoinHostPort(r.Address, strconv.Itoa(r.Port)) }

// dial connects from the present address of the route's interface, so that a cable that was plugged in again is used with its new address.
func (r Route) dial(ctx context.Context, within time.Duration) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: within}
	if source := r.source(); source != nil {
		d.LocalAddr = source
	}
	c, err := d.DialContext(ctx, "tcp", r.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// source is the interface's address in the server's subnet; nil: it has none, and the system chooses.
func (r Route) source() net.Addr {
	if r.Interface == "" {
		return nil
	}
	target, err := netip.ParseAddr(r.Address)
	if err != nil {
		return nil
	}
	link, err := net.InterfaceByName(r.Interface)
	if err != nil {
		return nil
	}
	addresses, err := link.Addrs()
	if err != nil {
		return nil
	}
	for _, each := range addresses {
		prefix, err := netip.ParsePrefix(each.String())
		if err == nil && prefix.Contains(target.WithZone("")) {
			return &net.TCPAddr{IP: prefix.Addr().AsSlice(), Zone: target.Zone()}
		}
	}
	return nil
}
