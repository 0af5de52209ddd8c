package identity

import (
	"fmt"

	smb2 "github.com/cloudsoda/go-smb2"
)

// Refusal is why a server gets no byte of the login; empty: it gets the login. Without a record, any server does.
func (r *Record) Refusal(server smb2.Server) string {
	switch guid := GuidOf(server.Guid); {
	case r == nil:
		return ""
	case !r.GuidChanges && r.Guid != "" && r.Guid != guid:
		return GuidText(guid, r.Guid)
	case server.Dialect < r.Dialect: // 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1
		return fmt.Sprintf("it offers SMB %s at most, and offered %s before: somebody in between may have changed that", server.Dialect, r.Dialect)
	}
	return ""
}

// RefusalOf is why nothing may be read from the share over this connection; empty: it may be read.
func (r *Record) RefusalOf(share *smb2.Share) string {
	if r != nil && r.Encrypted && share.Encryption() == "" {
		return "it does not encrypt, and did before: somebody in between may have changed that"
	}
	return ""
}

// Protect records the dialect and encryption of a proved connection. They only increase, unless a person has accepted the server.
func (r *Record) Protect(dialect string, share *smb2.Share, isAccepted bool) {
	isEncrypted := share.Encryption() != ""
	if isAccepted {
		r.Dialect, r.Encrypted = dialect, isEncrypted
	}
	r.Dialect, r.Encrypted = max(r.Dialect, dialect), r.Encrypted || isEncrypted
}
