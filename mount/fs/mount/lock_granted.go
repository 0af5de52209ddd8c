package mount

import (
	"context"
	"strings"
	"syscall"
	"time"

	"mountaineer/mount/fs/link"
	"mountaineer/mount/fs/safely"
)

// SQLite has files next to a database that exist only while it is changed; it locks only the database.
var databaseFiles = []string{"-journal", "-wal"}

// locked drops what was read before the lock: another client may have written since, under its own lock, whatever lease there was.
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
	for _, each := range databaseFiles {
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
