package smb2

import (
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// Server is what a server sends in its NEGOTIATE response, before the login.
type Server struct {
	// Guid identifies the server's installation. Zero: it has none.
	Guid [16]byte
	// Time is its clock at the answer.
	Time time.Time
	// Started is when it was started; zero: unknown.
	Started time.Time
	Dialect string
}

func (conn *conn) server() Server {
	return Server{conn.serverGuid, conn.systemTime, conn.startTime, dialects[conn.dialect]}
}

var dialects = map[uint16]string{
	smb2.SMB202: "2.0.2", smb2.SMB210: "2.1", smb2.SMB300: "3.0", smb2.SMB302: "3.0.2", smb2.SMB311: "3.1.1",
}

func (c *Session) Server() Server { return c.s.server() }

// Id is the session id, which a later Dialer may name as PreviousSessionId.
func (c *Session) Id() uint64 { return c.s.sessionId }

// IsUnsigned: the session is a guest's or anonymous. No message is signed, even if that is required.
func (c *Session) IsUnsigned() bool {
	return c.s.sessionFlags&(smb2.SMB2_SESSION_FLAG_IS_GUEST|smb2.SMB2_SESSION_FLAG_IS_NULL) != 0
}

// Signing is the algorithm by which messages are signed; empty: they are not.
func (c *Session) Signing() string {
	switch {
	case c.IsUnsigned() || !c.s.requireSigning:
		return ""
	case c.s.dialect < smb2.SMB300:
		return "HMAC-SHA256"
	case c.s.dialect < smb2.SMB311:
		return "AES-CMAC"
	}
	return signingNames[c.s.signingId]
}

var signingNames = map[uint16]string{
	smb2.SIGNING_AES_GMAC: "AES-GMAC", smb2.SIGNING_AES_CMAC: "AES-CMAC", smb2.SIGNING_HMAC_SHA256: "HMAC-SHA256",
}

// Encryption is the cipher by which messages of the share are encrypted; empty: they are not.
func (fs *Share) Encryption() string {
	switch {
	case fs.sessionFlags&smb2.SMB2_SESSION_FLAG_ENCRYPT_DATA == 0 && fs.shareFlags&smb2.SMB2_SHAREFLAG_ENCRYPT_DATA == 0:
		return ""
	case fs.dialect < smb2.SMB311:
		return "AES-128-CCM"
	}
	return cipherNames[fs.cipherId]
}

var cipherNames = map[uint16]string{
	smb2.AES128CCM: "AES-128-CCM", smb2.AES128GCM: "AES-128-GCM", smb2.AES256CCM: "AES-256-CCM", smb2.AES256GCM: "AES-256-GCM",
}

func filetimeOf(t smb2.FiletimeDecoder) time.Time {
	if t.LowDateTime() == 0 && t.HighDateTime() == 0 {
		return time.Time{}
	}
	return timeOf(t)
}

// IsReadOnly: this user may not write in the share, whatever the rights on its files are.
func (fs *Share) IsReadOnly() bool { return fs.maximalAccess&smb2.FILE_WRITE_DATA == 0 }
