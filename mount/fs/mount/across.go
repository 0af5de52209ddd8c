package mount

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/smb"
)

// The most that one request copies, so that the caller can stop in between, and show how far it is.
const acrossAtMost = 32 << 20

// CopyAcross has the server copy a part of a file into a file of another share. The caller has created that file with a unique name, which proves
// that both shares are on one server.
func (s *Share) CopyAcross(ctx context.Context, part client.CopyPart) (client.CopyResult, error) {
	from, err := s.mapping.pathOnServer(part.From)
	if err != nil {
		return client.CopyResult{}, err
	}
	to, err := nameMapping(part.NameMapping).pathOnServer(part.To)
	if err != nil {
		return client.CopyResult{}, err
	}
	return change(ctx, s, client.Files, func(t client.Attempt) (done client.CopyResult, err error) {
		source, err := openPlainly(t.Share, from, smb2.AccessRead)
		if err != nil {
			return done, err
		}
		defer source.Close()
		done.Size, done.ModifiedAt = source.FileStat.EndOfFile, source.FileStat.LastWriteTime.UnixMilli()
		into, err := t.Also(part.Share)
		if err == nil {
			defer into.Umount()
			var target smb2.Opened
			if target, err = openPlainly(into, to, smb2.AccessWrite); err == nil {
				defer target.Close()
				for end := min(done.Size, part.Offset+acrossAtMost); err == nil && part.Offset+done.Copied < end; {
					at, n := part.Offset+done.Copied, 0
					n, err = s.copies.copy(t, source.Handle, target.Handle, at, at, int(end-at))
					done.Copied += int64(n)
				}
				return done, err
			}
		}
		if smb.IsLoss(err) {
			return done, err
		}
		return done, smb.Fail(smb.NoShare, fmt.Errorf("the server does not let this login into %s: %w", part.Share, err))
	}, nil)
}

func openPlainly(share *smb2.Share, path string, access smb2.Access) (smb2.Opened, error) {
	var key smb2.LeaseKey
	_, _ = rand.Read(key[:])
	return share.OpenAt(path, access, smb2.MustExist, key)
}

// pathOnServer is a path in the mount as the server has it.
func (m nameMapping) pathOnServer(path string) (there string, err error) {
	names := strings.Split(path, "/")
	if len(names) > 1 && names[0] == versionsFolder {
		if at, err := time.Parse(versionForm, names[1]); err == nil {
			there, names = smb2.SnapshotPath(at), names[2:]
		}
	}
	for i := 0; i < len(names) && err == nil; i++ {
		there, err = m.join(there, names[i])
	}
	return there, err
}
