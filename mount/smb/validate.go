package smb2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// ErrChanged: the negotiation, which nothing protects below SMB 3.1.1, differs from what the server sends in a signed message.
var ErrChanged = errors.New("somebody in between has changed what the server offers")

// negotiated has the negotiation as FSCTL_VALIDATE_NEGOTIATE_INFO compares it.
type negotiated struct{ client, server input }

func negotiatedIn(req *smb2.NegotiateRequest, r smb2.NegotiateResponseDecoder) negotiated {
	le := binary.LittleEndian
	client := append(le.AppendUint32(nil, req.Capabilities), req.ClientGuid[:]...)
	client = le.AppendUint16(le.AppendUint16(client, req.SecurityMode), uint16(len(req.Dialects)))
	for _, dialect := range req.Dialects {
		client = le.AppendUint16(client, dialect)
	}
	server := append(le.AppendUint32(nil, r.Capabilities()), r.ServerGuid()...)
	return negotiated{client, le.AppendUint16(le.AppendUint16(server, r.SecurityMode()), r.DialectRevision())}
}

type input []byte

func (i input) Size() int { return len(i) }

func (i input) Encode(to []byte) { copy(to, i) }

func isValidation(req smb2.Packet) bool {
	control, ok := req.(*smb2.IoctlRequest)
	return ok && control.CtlCode == smb2.FSCTL_VALIDATE_NEGOTIATE_INFO
}

// validate has the server compare the negotiation that it received, and compares the one that it sent, in signed messages (MS-SMB2 3.2.5.5). SMB 3.1.1
// does not need it. A server without this FSCTL (SMB 2) says so in a signed answer.
func (tc *treeConn) validate(ctx context.Context) error {
	if tc.dialect == smb2.SMB311 || tc.sessionFlags&isGuestOrNull != 0 {
		return nil
	}
	req := &smb2.IoctlRequest{
		CtlCode: smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, FileId: sentinelFileId, Flags: smb2.SMB2_0_IOCTL_IS_FSCTL,
		MaxOutputResponse: uint32(len(tc.negotiated.server)), Input: tc.negotiated.client,
	}
	req.CreditCharge = 1
	rr, err := tc.sendWith(ctx, req, tc, tc.account.take(1))
	if err != nil {
		return err
	}
	pkt, err := tc.recv(rr)
	if err != nil {
		return fmt.Errorf("%s, or the connection has just ended: %w", ErrChanged.Error(), err)
	}
	if !rr.encrypted && smb2.PacketCodec(pkt).Flags()&smb2.SMB2_FLAGS_SIGNED == 0 {
		return ErrChanged
	}
	res, err := accept(smb2.SMB2_IOCTL, pkt)
	switch statusOfError(err) {
	case erref.STATUS_NOT_SUPPORTED, erref.STATUS_INVALID_DEVICE_REQUEST, erref.STATUS_FS_DRIVER_REQUIRED, erref.STATUS_NOT_IMPLEMENTED, erref.STATUS_FILE_CLOSED:
		return nil
	}
	if r := smb2.IoctlResponseDecoder(res); err != nil || r.IsInvalid() || !bytes.Equal(r.Output(), tc.negotiated.server) {
		return ErrChanged
	}
	return nil
}
