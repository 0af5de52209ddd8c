// Package smb signs in to a share over a route, and says what an error means.
//
// SignIn.Do dials the route, negotiates, lets its caller refuse the server (BeforeLogin) and wait for a turn (Turn), then sends the login and
// connects to the share (a tree connect). Its Connection is one TCP connection with one SMB session; once it has ended it is not used again:
// package client signs in to another one. CodeOf and IsLoss sort errors into the few kinds that callers act on. No lock is held here.
package smb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Route is an address of the server, and the interface by which it is reached.
type Route struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Port      int    `json:"port"`
	Interface string `json:"interface,omitempty"`
	// Named: a person has named the interface.
	Named bool `json:"named,omitempty"`
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
		case "named":
			r.Named = value == "true"
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

// Check returns why the route is invalid.
func (r Route) Check() error {
	if r.Name == "" || r.Address == "" || r.Port < 1 || r.Port > 65535 {
		return fmt.Errorf("a route is name=NAME,address=ADDRESS,port=PORT, not %q %q %d", r.Name, r.Address, r.Port)
	}
	return nil
}

func (r Route) String() string { return net.JoinHostPort(r.Address, strconv.Itoa(r.Port)) }

// Cable is the interface by which a connection leaves.
type Cable struct {
	// Interface is the one to which the connection is bound; empty: the system chooses.
	Interface string `json:"interface"`
	// Uncertain says why another interface may be used; empty: no reason is known.
	Uncertain string `json:"uncertain"`
}

func (c Cable) String() string {
	switch {
	case c.Uncertain != "":
		return "; its cable is not certain: " + c.Uncertain
	case c.Interface != "":
		return " over " + c.Interface
	}
	return ""
}

// A bound connection gets this long, and at most half of the deadline, before an unbound one is tried.
const boundWithin = 1500 * time.Millisecond

// dial connects from the current address of the route's interface, which may change when a cable is plugged in again.
func (r Route) dial(ctx context.Context, within time.Duration) (*net.TCPConn, Cable, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	w := r.binding()
	if !w.isBound {
		c, err := w.connect(ctx, nil)
		return c, w.Cable, err
	}
	bound, end := context.WithTimeout(ctx, min(boundWithin, within/2))
	defer end()
	c, err := w.connect(bound, w.bind)
	if err == nil {
		return c, w.Cable, nil
	}
	var why *net.OpError
	if errors.As(err, &why) {
		err = why.Err
	}
	uncertain := fmt.Sprintf("%s itself gives no answer (%v)", w.Interface, err)
	c, err = w.connect(ctx, nil)
	return c, Cable{Uncertain: uncertain}, err
}

// binding is the interface and addresses of a new connection.
type binding struct {
	Cable
	isBound bool
	// nil: the interface has no address in the server's network, and the system chooses.
	source net.Addr
	to     string
}

func (w binding) connect(ctx context.Context, control func(string, string, syscall.RawConn) error) (*net.TCPConn, error) {
	c, err := (&net.Dialer{LocalAddr: w.source, Control: control}).DialContext(ctx, "tcp", w.to)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// SO_BINDTODEVICE of Linux. Since 5.7 it needs no right.
const bindToDevice = 25

func (w binding) bind(_, _ string, c syscall.RawConn) error {
	if runtime.GOOS != "linux" {
		return errors.ErrUnsupported
	}
	var err error
	return cmp.Or(c.Control(func(socket uintptr) {
		err = syscall.SetsockoptString(int(socket), syscall.SOL_SOCKET, bindToDevice, w.Interface)
	}), err)
}

// binding: a connection is bound to the configured interface. If another interface has an address of the server's network, it is bound only if
// that network is link-local: in a LAN the server may answer to the other interface.
func (r Route) binding() binding {
	w := binding{to: r.String()}
	target, err := netip.ParseAddr(r.Address)
	if err != nil {
		return w
	}
	if target.Is6() && target.IsLinkLocalUnicast() && target.Zone() == "" {
		target = target.WithZone(r.Interface)
	}
	w.to = netip.AddrPortFrom(target, uint16(r.Port)).String()
	interfaces, _ := net.Interfaces()
	named := cmp.Or(r.Interface, target.Zone())
	own, other := named, ""
	for _, one := range interfaces {
		addresses, _ := one.Addrs()
		for _, each := range addresses {
			prefix, err := netip.ParsePrefix(each.String())
			switch {
			case err != nil || one.Flags&net.FlagUp == 0 || !prefix.Contains(target.WithZone("")):
			case own == "":
				own = one.Name
			case one.Name != own:
				other = one.Name
			case named != "" && w.source == nil:
				w.source = &net.TCPAddr{IP: prefix.Addr().AsSlice(), Zone: target.Zone()}
			}
		}
	}
	if w.isBound = named != "" && (other == "" && r.Named || other != "" && target.IsLinkLocalUnicast()); w.isBound {
		w.Interface = named
	} else if other != "" {
		w.Uncertain = other + " has an address of the same network"
	}
	return w
}
