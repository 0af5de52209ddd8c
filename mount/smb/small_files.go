package smb2

import (
	"bytes"
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// ReadSmall returns the first bytes of a file, in one round trip.
func (fs *Share) ReadSmall(name string, most int) ([]byte, error) {
	create := fs.createRequest(uint32(AccessRead), smb2.FILE_OPEN, smb2.FILE_NON_DIRECTORY_FILE)
	answers, err := fs.exchange(name, create, &smb2.ReadRequest{Length: uint32(most)}, &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	return bytes.Clone(smb2.ReadResponseDecoder(answers[1]).Data()), nil
}

// MakeSmall creates a file with this content in one round trip, and fails if the name exists. created is as in MakeFile.
func (fs *Share) MakeSmall(name string, data []byte, created time.Time) (*FileStat, error) {
	create := fs.createRequest(uint32(AccessWrite)|smb2.FILE_WRITE_ATTRIBUTES, smb2.FILE_CREATE, smb2.FILE_NON_DIRECTORY_FILE)
	mark := setFile(smb2.FileBasicInformation, creationOf(created))
	return fs.statBy(name, create, mark, &smb2.WriteRequest{Data: data}, queryAll(), &smb2.CloseRequest{})
}
