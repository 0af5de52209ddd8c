package mount

import (
	"crypto/rand"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
)

// leaseKey names the file to the server, which wants another key for another path.
func (n *node) leaseKey(path string) smb2.LeaseKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leasedPath != path || n.leasedKey == (smb2.LeaseKey{}) {
		_, _ = rand.Read(n.leasedKey[:])
		n.leasedPath = path
	}
	return n.leasedKey
}

// setLease takes the lease of an open file; nil: none. The server breaks it when another client changes the file, but perhaps not when a program
// on the server itself does.
func (n *node) setLease(c *client.Conn, lease smb2.Lease) {
	n.mu.Lock()
	n.lease, n.leaseOn = lease, c
	n.mu.Unlock()
	if lease == nil {
		return
	}
	c.Share.OnBreak(lease, func() {
		n.mu.Lock()
		if n.lease == lease && n.leaseOn == c {
			n.lease = nil
		}
		n.mu.Unlock()
		n.dropRead()
		n.dropPages(0)
	})
}

// isLeased: bytes that are read of it now may be kept until the server breaks the lease.
func (n *node) isLeased() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lease != nil
}

// endLease forgets the lease once the file is closed.
func (n *node) endLease() {
	n.mu.Lock()
	lease, c := n.lease, n.leaseOn
	n.lease, n.leaseOn = nil, nil
	n.mu.Unlock()
	if lease != nil {
		c.Share.ForgetBreak(lease)
	}
}

// closedOne: the server has closed a handle.
func (n *node) closedOne() {
	n.mu.Lock()
	isLast := len(n.open) == 0 && n.closing == 0
	hidden := n.hidden
	if isLast {
		n.hidden = nil
	}
	n.mu.Unlock()
	if !isLast {
		return
	}
	n.endLease()
	for _, path := range hidden {
		n.share.removeHidden(path, n)
	}
}

// useLease takes over the key by which the file was opened at that path.
func (n *node) useLease(path string, key smb2.LeaseKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leasedKey, n.leasedPath = key, path
}
