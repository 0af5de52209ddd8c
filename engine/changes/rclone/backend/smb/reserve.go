package smb

import (
	"context"
	"errors"
	"os"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/rclone/rclone/fs"
)

// Reserve creates an empty file, or fails with os.ErrExist: of all clients
// that ask the server for a name, one gets it.
//
// It is repeated after a lost connection. If the answer to the first try was
// lost after the server had created the file, the second one finds it there:
// nobody has won then, which is safe, and never two.
func (f *Fs) Reserve(ctx context.Context, remote string) (fs.Object, error) {
	share, name := f.split(remote)
	if share == "" || name == "" {
		return nil, fs.ErrorIsDir
	}
	created, cn, err := repeat(ctx, f, share, func(cn *conn) (*smb2.FileStat, error) {
		file, err := cn.smbShare.OpenFile(f.toSambaPath(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		// Without an answer to the close, the file is there all the same.
		_ = file.Close()
		return file.Opened(), nil
	})
	f.putConnection(&cn, err)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fs.ErrorPermissionDenied
	case err != nil:
		return nil, translateError(err, false)
	}
	return f.makeEntry(share, name, created), nil
}
