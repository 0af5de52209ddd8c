package smb2

import (
	"os"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// SetModTime sets the time of the last write. Most servers keep it from then
// on while this handle writes.
func (f *File) SetModTime(modTime time.Time) error {
	err := f.setInfo(&smb2.SetInfoRequest{
		FileInfoClass: smb2.FileBasicInformation,
		Input:         &smb2.FileBasicInformationEncoder{LastWriteTime: smb2.NsecToFiletime(modTime.UnixNano())},
	})
	if err != nil {
		return &os.PathError{Op: "chtimes", Path: f.name, Err: err}
	}
	return nil
}
