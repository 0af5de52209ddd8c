package smb

import (
	"context"
	"os"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/inplace"
)

// writtenInPlace is a file whose contents are changed where they are, so that
// mode, owner, ACL, streams and creation time stay as they are.
type writtenInPlace struct {
	*smb2.File
	fs *Fs
	cn *conn
}

var _ inplace.Opener = (*Fs)(nil)

// OpenInPlace opens a file that exists, and changes nothing of it.
func (f *Fs) OpenInPlace(ctx context.Context, remote string) (inplace.File, error) {
	share, name := f.split(remote)
	if share == "" || name == "" {
		return nil, fs.ErrorIsDir
	}
	file, cn, err := repeat(ctx, f, share, func(cn *conn) (*smb2.File, error) {
		return cn.smbShare.OpenFile(f.toSambaPath(name), os.O_WRONLY, 0o644)
	})
	if err != nil {
		f.putConnection(&cn, err)
		return nil, translateError(err, false)
	}
	f.addSession()
	return &writtenInPlace{File: file, fs: f, cn: cn}, nil
}

func (w *writtenInPlace) Size() int64 {
	return w.Opened().EndOfFile
}

func (w *writtenInPlace) ModTime() time.Time {
	return w.Opened().LastWriteTime
}

func (w *writtenInPlace) Close() error {
	err := w.File.Close()
	w.fs.putConnection(&w.cn, err)
	w.fs.removeSession()
	return err
}
