package mount

import (
	"crypto/rand"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/link"
)

// leaseKey names the file to the server, which wants another key for another path.
func (n *node) leaseKey(path string) smb2.LeaseKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leasedPath != path || n.lease == (smb2.LeaseKey{}) {
		_, _ = rand.Read(n.lease[:])
		n.leasedPath = path
	}
	return n.lease
}

// vouched: the server lets know when another client changes the file, so that what is read of it may be kept; nil: it does not. Not what its
// own system, or other programs on it, change.
func (n *node) vouched(c *link.Conn, promise smb2.Promise) {
	n.mu.Lock()
	n.promise, n.promiseOn = promise, c
	n.mu.Unlock()
	if promise == nil {
		return
	}
	c.Share.OnBreak(promise, func() {
		n.mu.Lock()
		if n.promise == promise && n.promiseOn == c {
			n.promise = nil
		}
		n.mu.Unlock()
		n.dropRead()
		n.dropPages(0)
	})
}

// isVouched: what is read of it now may be kept until the server says otherwise.
func (n *node) isVouched() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.promise != nil
}

// unvouch forgets the promise once the file is closed.
func (n *node) unvouch() {
	n.mu.Lock()
	promise, c := n.promise, n.promiseOn
	n.promise, n.promiseOn = nil, nil
	n.mu.Unlock()
	if promise != nil {
		c.Share.ForgetBreak(promise)
	}
}

// closedOne: the server has closed a handle.
func (n *node) closedOne() {
	n.mu.Lock()
	isLast := len(n.open) == 0 && n.closing == 0
	aside := n.aside
	if isLast {
		n.aside = nil
	}
	n.mu.Unlock()
	if !isLast {
		return
	}
	n.unvouch()
	for _, path := range aside {
		n.share.removeAside(path, n)
	}
}

// useLease takes over the key by which the file was opened at that path.
func (n *node) useLease(path string, key smb2.LeaseKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lease, n.leasedPath = key, path
}
