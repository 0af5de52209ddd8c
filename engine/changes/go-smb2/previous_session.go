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

// IsUnsigned: the server let the user in as a guest or as nobody: no message is signed, even if that is required.
func (c *Session) IsUnsigned() bool {
	return c.s.sessionFlags&(smb2.SMB2_SESSION_FLAG_IS_GUEST|smb2.SMB2_SESSION_FLAG_IS_NULL) != 0
}
