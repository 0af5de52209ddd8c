package smb2

import "github.com/cloudsoda/go-smb2/internal/smb2"

// Id is what a later Dialer names as PreviousSessionId.
func (c *Session) Id() uint64 {
	return c.s.sessionId
}

// ServerGuid is the server's own mark: another machine, or another system on it, has another one.
func (c *Session) ServerGuid() [16]byte {
	return c.s.serverGuid
}

// MaxReadSize is the longest read that goes to the server as one request.
func (f *File) MaxReadSize() int {
	return f.maxReadSize()
}

// Look opens a file for its attributes only, which needs no right to read it, and returns them with its FileId.
func (fs *Share) Look(name string) (*FileStat, error) {
	name = normPath(name)
	if err := validatePath("look", name, false); err != nil {
		return nil, err
	}
	f, err := fs.createFile(name, &smb2.CreateRequest{
		RequestedOplockLevel: smb2.SMB2_OPLOCK_LEVEL_NONE,
		ImpersonationLevel:   smb2.Impersonation,
		DesiredAccess:        smb2.FILE_READ_ATTRIBUTES,
		FileAttributes:       smb2.FILE_ATTRIBUTE_NORMAL,
		ShareAccess:          shareAll,
		CreateDisposition:    smb2.FILE_OPEN,
		Mapping:              fs.mapping,
	}, true)
	if err != nil {
		return nil, err
	}
	seen, err := f.stat()
	// Nobody waits for the answer.
	go f.close()
	if err != nil {
		return nil, err
	}
	return seen.(*FileStat), nil
}
