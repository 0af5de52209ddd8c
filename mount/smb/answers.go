package smb2

import (
	"math"
	"slices"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// expected is what the answer to a request has to fulfil.
type expected struct {
	command uint16
	// The greatest length of its buffer; for a write, the number of bytes to write.
	most int
}

func expectedBy(req smb2.Packet) expected {
	e := expected{req.Header().Command, math.MaxInt}
	switch req := req.(type) {
	case *smb2.ReadRequest:
		e.most = int(req.Length)
	case *smb2.WriteRequest:
		e.most = len(req.Data)
	case *smb2.IoctlRequest:
		e.most = int(req.MaxOutputResponse)
	case *smb2.QueryDirectoryRequest:
		e.most = int(req.OutputBufferLength)
	case *smb2.ChangeNotifyRequest:
		e.most = int(req.OutputBufferLength)
	case *smb2.QueryInfoRequest:
		e.most = int(req.OutputBufferLength)
	}
	return e
}

// isMet: the answer is to that command, complete, and not longer than allowed. Of an error response only acceptError and control read fields, which
// check them.
func (e expected) isMet(pkt []byte) bool {
	p := smb2.PacketCodec(pkt)
	if p.Command() != e.command {
		return false
	}
	switch erref.NtStatus(p.Status()) {
	case erref.STATUS_SUCCESS:
		return smb2.IsWhole(e.command, p.Data(), e.most)
	case erref.STATUS_MORE_PROCESSING_REQUIRED:
		return e.command == smb2.SMB2_SESSION_SETUP && smb2.IsWhole(e.command, p.Data(), e.most)
	}
	return true
}

// The least message size that a server must accept (MS-SMB2 3.2.5.2).
const longestAtLeast = 4 << 10

// checkNegotiated: the server chose one of the offered dialects, and a useful message size.
func checkNegotiated(r smb2.NegotiateResponseDecoder, req *smb2.NegotiateRequest) error {
	if !slices.Contains(req.Dialects, r.DialectRevision()) {
		return &InvalidResponseError{"the server chose a dialect that it was not offered"}
	}
	if min(r.MaxTransactSize(), r.MaxReadSize(), r.MaxWriteSize()) < longestAtLeast {
		return &InvalidResponseError{"the server takes no message of a useful length"}
	}
	return nil
}

const isGuestOrNull = smb2.SMB2_SESSION_FLAG_IS_GUEST | smb2.SMB2_SESSION_FLAG_IS_NULL

// complete uses the flags of the last answer of a sign-in, if its signature proves that the server knows the password.
func (s *session) complete(pkt []byte, flags uint16) error {
	p := smb2.PacketCodec(pkt)
	isSigned, hasKey := p.Flags()&smb2.SMB2_FLAGS_SIGNED != 0, s.verifier != nil || s.gmac != nil
	isGuest := flags&isGuestOrNull != 0
	switch {
	case isGuest && !s.requireSigning:
	case isSigned && hasKey && !s.verify(pkt):
		return &InvalidResponseError{"the last answer of the sign-in is not the server's"}
	case isGuest:
		return &InvalidResponseError{"a guest's account doesn't support signing"}
	case !hasKey || !isSigned && (s.requireSigning || s.dialect == smb2.SMB311):
		return &InvalidResponseError{"the last answer of the sign-in is not signed"}
	}
	s.sessionFlags = flags
	return s.mayEncrypt(flags&smb2.SMB2_SESSION_FLAG_ENCRYPT_DATA != 0)
}

// mayEncrypt fails if the server wants encryption but no cipher was negotiated.
func (s *session) mayEncrypt(isWanted bool) error {
	if isWanted && (s.encrypter == nil || s.sessionFlags&isGuestOrNull != 0) {
		return &InvalidResponseError{"the server wants encryption, and there is no cipher"}
	}
	return nil
}
