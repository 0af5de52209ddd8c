package smb2

import (
	"errors"
	"strings"
	"time"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
	"github.com/cloudsoda/go-smb2/internal/utf16le"
)

// ErrNoSnapshots: the server has no snapshots of this share, or does not list them.
var ErrNoSnapshots = errors.New("the server shows no snapshots")

// A path that begins with a folder of this form is in that snapshot, and cannot be changed.
const snapshotForm = "@GMT-2006.01.02-15.04.05"

// SnapshotPath is the path of a snapshot's root.
func SnapshotPath(at time.Time) string { return at.UTC().Format(snapshotForm) }

// IsSnapshotPath: the path is in a snapshot.
func IsSnapshotPath(name string) bool {
	_, _, ok := cutSnapshot(name)
	return ok
}

func cutSnapshot(name string) (rest string, at time.Time, ok bool) {
	if !strings.HasPrefix(name, "@GMT-") {
		return name, at, false
	}
	first, rest, _ := strings.Cut(normPath(name), `\`)
	at, err := time.Parse(snapshotForm, first)
	return rest, at, err == nil
}

// timeWarp is the context by which a CREATE opens a file of a snapshot (MS-SMB2 2.2.13.2.7).
type timeWarp struct{ at time.Time }

func (c timeWarp) Size() int { return 24 + 8 }

func (c timeWarp) Encode(b []byte) { smb2.EncodeTimeWarp(b, smb2.NsecToFiletime(c.at.UnixNano())) }

// intoSnapshot sets the name of a CREATE, and the context if the name is in a snapshot.
func intoSnapshot(create *smb2.CreateRequest, name string) error {
	rest, at, ok := cutSnapshot(name)
	create.Name = normPath(rest)
	if !ok {
		return nil
	}
	const changing = smb2.GENERIC_WRITE | smb2.FILE_WRITE_DATA | smb2.FILE_WRITE_ATTRIBUTES | smb2.DELETE
	if create.DesiredAccess&changing != 0 || create.CreateDisposition != smb2.FILE_OPEN {
		return &ResponseError{Code: uint32(erref.STATUS_MEDIA_WRITE_PROTECTED)}
	}
	create.RequestedOplockLevel = smb2.SMB2_OPLOCK_LEVEL_NONE
	create.Contexts = []smb2.Encoder{timeWarp{at}}
	return nil
}

const (
	snapshotsAtOnce = 64 << 10
	snapshotsAtMost = 1 << 20
)

// Snapshots returns the times of the snapshots, in the order of the server.
func (h *Handle) Snapshots() (times []time.Time, err error) {
	for _, most := range []int{snapshotsAtOnce, snapshotsAtMost} {
		output, err := h.control(smb2.FSCTL_SRV_ENUMERATE_SNAPSHOTS, nil, min(most, h.fs.longest(h.fs.maxTransactSize)))
		if err != nil {
			return nil, orMissing(err, ErrNoSnapshots)
		}
		list, isWhole, ok := smb2.SnapshotsIn(output)
		if !ok {
			return nil, ErrBroken
		}
		for _, each := range strings.Split(utf16le.Decode(list, utf16le.MapCharsNone), "\x00") {
			if at, err := time.Parse(snapshotForm, each); err == nil {
				times = append(times, at)
			}
		}
		if isWhole {
			break
		}
		times = nil
	}
	return times, nil
}
