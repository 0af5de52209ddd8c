package mount

import (
	"context"
	"strings"
	"syscall"
	"time"

	"mountaineer/mount/fs/link"
	"mountaineer/mount/fs/safely"
)

// SQLite has, beside a database, files that are there only while it is changed; what it locks is the database.
var companions = []string{"-journal", "-wal"}

// locked: what was read before is not what another client has written under its lock, whatever the server vouched for.
func (n *node) locked(ctx context.Context) syscall.Errno {
	if n.isSharedMemory() {
		return 0
	}
	n.dropRead()
	_, _ = link.Await(ctx, Killed, safely.Done(func() { n.dropPages(0) }), time.Time{})
	parent, name := n.folder()
	if parent == nil {
		return 0
	}
	for _, each := range companions {
		parent.names.forget(name + each)
		if parent.childOf(name+each) != nil {
			_ = parent.NotifyEntry(name + each)
		}
	}
	return 0
}

// isSharedMemory: SQLite's index of a write-ahead log is memory that processes of one machine share, and written while it is locked.
func (n *node) isSharedMemory() bool {
	_, name := n.folder()
	return strings.HasSuffix(name, "-shm")
}
