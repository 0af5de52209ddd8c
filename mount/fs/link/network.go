package link

import (
	"time"

	"golang.org/x/sys/unix"
)

// One change of the network is many messages.
const networkQuiet = 100 * time.Millisecond

// watchNetwork has a lost server tried again when an address or a route of this machine changes, and, where shares are only for some
// networks, allows no new connection until Allow.
func (l *Link) watchNetwork() {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		l.logf("changes of the network are not noticed: %v", err)
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
	for l.life.Err() == nil {
		n, _, err := unix.Recvfrom(socket, buffer, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.ENOBUFS {
			return
		}
		if n > 0 || err == unix.ENOBUFS {
			l.networkChanged()
			time.Sleep(networkQuiet)
		}
	}
}

func (l *Link) networkChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onlyOn && !l.isUnconfirmed {
		l.isUnconfirmed = true
		l.logf("the network has changed: no new connection until this network is allowed")
		l.announce()
	}
	l.wakeRecover()
}
