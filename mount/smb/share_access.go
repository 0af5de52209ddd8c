package smb2

import "github.com/cloudsoda/go-smb2/internal/smb2"

// shareAll allows what POSIX systems allow while a file is open: to read, write, rename, replace and remove it.
const shareAll = uint32(smb2.FILE_SHARE_READ | smb2.FILE_SHARE_WRITE | smb2.FILE_SHARE_DELETE)

// Opened returns the attributes that the server sent when the file was opened.
func (f *File) Opened() *FileStat {
	return f.fileStat
}
