package smb2

import "github.com/cloudsoda/go-smb2/internal/smb2"

// shareAll is what POSIX systems let others do with a file that is open: it
// may be renamed, replaced and removed while it is read, and read, written
// and sent while it is renamed.
const shareAll = uint32(smb2.FILE_SHARE_READ | smb2.FILE_SHARE_WRITE | smb2.FILE_SHARE_DELETE)

// Opened returns the attributes that the server sent when the file was opened.
func (f *File) Opened() *FileStat {
	return f.fileStat
}
