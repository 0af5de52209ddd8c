package mount

import (
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
)

// found is what the server shows at a name.
type found struct {
	seen *smb2.FileStat
	// In one session of one server, equal ids are one file. Ids are given again.
	session, epoch int
	// The server's clock when it was asked.
	at time.Time
	// The target, if it is a symbolic link; empty: it is not one; nil: unknown.
	target *string
	// The target also of a link that is shown as a file.
	read *string
}

func foundOn(c *client.Conn, seen *smb2.FileStat) found {
	return found{seen: seen, session: c.Number, epoch: c.Epoch, at: time.Now().Add(c.ClockAhead)}
}

func lookAt(t client.Attempt, path string) (found, error) {
	seen, err := t.Share.Look(path)
	if err != nil {
		return found{}, err
	}
	return foundOn(t.Conn, seen), nil
}

// lacksId: impacket's server lists files without their ids, and returns an id when one is opened. Its entries are only names.
func (f found) lacksId() bool { return f.seen.FileId == 0 }

// self says which file a node is.
type self struct {
	id             uint64
	session, epoch int
	isFolder       bool
	isLink         bool
	// When it was made, ns; 0: the server may have made that up.
	created int64
}

func (f found) self() self {
	return self{
		id: f.seen.FileId, session: f.session, epoch: f.epoch, isFolder: f.seen.IsDir(), isLink: f.isLink(),
		created: identity.OwnCreation(f.seen),
	}
}

// isSame: found is that file or folder, last seen as left. Samba has the earliest of a file's times as its creation time, if
// it does not know it: that becomes another of these times when the earliest one changes, and proves nothing if it is older than before. A file that was
// made since then is another one, to which the server has given the number again. A folder is the same if its id is: no bytes depend on it.
func (s self) isSame(at found, left *smb2.FileStat) bool {
	now, made := at.self(), at.seen.CreationTime
	switch {
	case now.epoch != s.epoch || now.id != s.id || now.isFolder != s.isFolder || at.target != nil && now.isLink != s.isLink:
		return false
	case now.session == s.session || now.isFolder:
		return true
	case made.After(left.CreationTime) && made.After(left.ChangeTime):
		return at.seen.EndOfFile == left.EndOfFile && at.seen.LastWriteTime.Equal(left.LastWriteTime)
	}
	return s.created == 0 || now.created == 0 || now.created == s.created
}

// next is the same file as found later: its creation time is kept once it is known.
func (s self) next(at found) self {
	next := at.self()
	next.isLink = s.isLink
	if s.created != 0 {
		next.created = s.created
	}
	return next
}
