package client

import (
	"time"

	"golang.org/x/sys/unix"
)

// One change of the network comes as many messages.
const networkQuiet = 100 * time.Millisecond

// watchNetwork wakes recover when an address or a route of this machine changes. With Options.OnlyOn it then forbids new connections until
// Allow is called.
func (cl *Client) watchNetwork() {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		cl.logf("changes of the network are not noticed: %v", err)
		return
	}
	groups := uint32(1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) | 1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1))
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(socket)
		return
	}
	timeout := unix.NsecToTimeval(int64(time.Second))
	_ = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	defer unix.Close(socket)
	buffer := make([]byte, 16<<10)
	for cl.life.Err() == nil {
		n, _, err := unix.Recvfrom(socket, buffer, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.ENOBUFS {
			return
		}
		if n > 0 || err == unix.ENOBUFS {
			cl.networkChanged()
			time.Sleep(networkQuiet)
		}
	}
}

func (cl *Client) networkChanged() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.onlyOn && !cl.awaitsAllow {
		cl.awaitsAllow = true
		cl.logf("the network has changed: no new connection until this network is allowed")
		cl.wakeWaiters()
	}
	cl.wakeRecover()
}
