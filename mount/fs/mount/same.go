package mount

import (
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
)

// fileInfo is a file or folder as the server sent it.
type fileInfo struct {
	stat *smb2.FileStat
	// Conn.Number and Conn.ServerNumber: servers reuse ids, but equal ids in one session are the same file.
	session, server int
	// When the server sent it, by its clock.
	at time.Time
	// The target, if it is a symbolic link; empty: it is not one; nil: unknown.
	target *string
	// The target in the file, also if it is shown as a regular file.
	read *string
}

func infoOn(c *client.Conn, stat *smb2.FileStat) fileInfo {
	return fileInfo{stat: stat, session: c.Number, server: c.ServerNumber, at: time.Now().Add(c.ClockAhead)}
}

func infoOrError(c *client.Conn, stat *smb2.FileStat, err error) (fileInfo, error) {
	if err != nil {
		return fileInfo{}, err
	}
	return infoOn(c, stat), nil
}

func statAt(t client.Attempt, path string) (fileInfo, error) {
	stat, err := t.Share.StatAt(path)
	return infoOrError(t.Conn, stat, err)
}

// lacksId: impacket's server lists files without ids, and only sends an id in the answer to an open.
func (f fileInfo) lacksId() bool { return f.stat.FileId == 0 }

// The error of times.wrote. The server keeps the file as long as it is open there, so that no other file gets its id so soon after a write.
const wroteSlack = 100 * time.Millisecond

// fileIdentity says which file a node is.
type fileIdentity struct {
	id              uint64
	session, server int
	isFolder        bool
	isLink          bool
	// The creation time, Unix ns; 0: the server may have derived it from other times.
	created int64
}

func (f fileInfo) identity() fileIdentity {
	return fileIdentity{
		id: f.stat.FileId, session: f.session, server: f.server, isFolder: f.stat.IsDir(), isLink: f.isLink(),
		created: identity.OwnCreation(f.stat),
	}
}

// isSame: info is of that file or folder, whose last known attributes are left, and which this mount has written since (times.wrote). A file that
// was created after that is a different one with a reused id. If Samba does not know the creation time, it sends the earliest of the other times:
// that may change, also by a write that is followed by a read, and proves nothing if it is older than before. For a folder the id suffices, as no
// bytes depend on it.
func (s fileIdentity) isSame(info fileInfo, left *smb2.FileStat, wrote time.Time) bool {
	now, made := info.identity(), info.stat.CreationTime
	switch {
	case now.server != s.server || now.id != s.id || now.isFolder != s.isFolder || info.target != nil && now.isLink != s.isLink:
		return false
	case now.session == s.session || now.isFolder:
		return true
	case made.After(left.CreationTime) && made.After(left.ChangeTime) && made.After(wrote.Add(wroteSlack)):
		return info.stat.EndOfFile == left.EndOfFile && info.stat.LastWriteTime.Equal(left.LastWriteTime)
	}
	return s.created == 0 || now.created == 0 || now.created == s.created
}

// next is the identity after a later answer: a known creation time is kept.
func (s fileIdentity) next(info fileInfo) fileIdentity {
	next := info.identity()
	next.isLink = s.isLink
	if s.created != 0 {
		next.created = s.created
	}
	return next
}
