package mount

import (
	"crypto/rand"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
)

// leaseKey identifies the file's lease. A server requires a different key for a different path.
func (n *node) leaseKey(path string) smb2.LeaseKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leasedPath != path || n.leasedKey == (smb2.LeaseKey{}) {
		_, _ = rand.Read(n.leasedKey[:])
		n.leasedPath = path
	}
	return n.leasedKey
}

// setLease stores the lease that the server granted with an open; nil: none. The server breaks it when another client changes the file; for a change
// by a program on the server it may not.
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

// isLeased: bytes that are read now may be cached until the server breaks the lease.
func (n *node) isLeased() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lease != nil
}

// endLease: the server's handle was closed.
func (n *node) endLease() {
	n.mu.Lock()
	lease, c := n.lease, n.leaseOn
	n.lease, n.leaseOn = nil, nil
	n.mu.Unlock()
	if lease != nil {
		c.Share.ForgetBreak(lease)
	}
}

// useLease sets the lease key by which the file was opened at that path.
func (n *node) useLease(path string, key smb2.LeaseKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leasedKey, n.leasedPath = key, path
}
