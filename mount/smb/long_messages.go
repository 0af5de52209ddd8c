package smb2

import (
	"io"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// PassesLongMessages: messages of this number of bytes reach the server, and its answers this client. It writes to an invalid handle, and reads from
// the file name, which has as many bytes; without a name it lists the root.
func (fs *Share) PassesLongMessages(name string, bytes int) bool {
	nowhere := &Handle{fs: fs, id: &smb2.FileId{}}
	if _, err := nowhere.Write(make([]byte, bytes), 0, bytes); statusOfError(err) == 0 {
		return false
	}
	if name == "" {
		folder, err := fs.OpenFolder("")
		if err != nil {
			return false
		}
		defer folder.Close()
		_, err = folder.List()
		return err == nil || statusOfError(err) != 0 || err == io.EOF
	}
	file, err := fs.OpenAt(name, AccessRead, MustExist, LeaseKey{})
	if err != nil {
		return statusOfError(err) != 0
	}
	defer file.Close()
	block, err := file.Read(bytes, 0)
	defer block.Release()
	return err == nil || statusOfError(err) != 0
}
