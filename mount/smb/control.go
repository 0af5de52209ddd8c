package smb2

import (
	"errors"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// control sends an FSCTL, and returns the output even with an error, of which it may have the reason.
func (h *Handle) control(code uint32, input smb2.Encoder, most int) (output []byte, err error) {
	charge, granted, err := h.fs.borrowCredits(most)
	if err != nil {
		return nil, err
	}
	req := &smb2.IoctlRequest{CtlCode: code, FileId: h.id, MaxOutputResponse: uint32(min(most, granted)), Flags: smb2.SMB2_0_IOCTL_IS_FSCTL, Input: input}
	req.CreditCharge = charge
	rr, err := h.fs.send(h.fs.ctx, req)
	if err != nil {
		return nil, err
	}
	pkt, err := h.fs.recv(rr)
	if err != nil {
		return nil, err
	}
	_, err = answerOf(pkt)
	if res := smb2.PacketCodec(pkt).Data(); smb2.IsWhole(smb2.SMB2_IOCTL, res, most) {
		output = smb2.IoctlResponseDecoder(res).Output()
	}
	return output, err
}

// orMissing returns missing if err says that the server does not have the FSCTL.
func orMissing(err, missing error) error {
	switch statusOfError(err) {
	case erref.STATUS_NOT_SUPPORTED, erref.STATUS_INVALID_DEVICE_REQUEST, erref.STATUS_FS_DRIVER_REQUIRED, erref.STATUS_NOT_IMPLEMENTED:
		return missing
	}
	return err
}

// ErrNoCopy: the server has no server-side copy.
var ErrNoCopy = errors.New("the server copies no files")

// CopyLimits are the most that a server copies in one request.
type CopyLimits struct{ Chunks, Chunk, Total uint32 }

// UsualCopyLimits are those of Windows and Samba.
var UsualCopyLimits = CopyLimits{Chunks: 16, Chunk: 1 << 20, Total: 16 << 20}

func (l CopyLimits) chunks(from, to int64, length int) (chunks []*smb2.SrvCopychunk) {
	for left := min(uint32(length), l.Total); left > 0 && len(chunks) < int(l.Chunks); {
		next := min(left, l.Chunk)
		chunks = append(chunks, &smb2.SrvCopychunk{SourceOffset: from, TargetOffset: to, Length: next})
		from, to, left = from+int64(next), to+int64(next), left-next
	}
	return chunks
}

// CopyFrom has the server copy a part of another file of this session into this one. It returns how many bytes it has copied, perhaps less than
// length, and the limits for the next call: the server's, if the given ones are too high.
func (h *Handle) CopyFrom(source *Handle, from, to int64, length int, limits CopyLimits) (copied int, now CopyLimits, err error) {
	output, err := source.control(smb2.FSCTL_SRV_REQUEST_RESUME_KEY, nil, 32)
	if err == nil && len(output) < len(smb2.SrvCopychunkCopy{}.SourceKey) {
		err = ErrBroken
	}
	if err != nil {
		return 0, limits, orMissing(err, ErrNoCopy)
	}
	request := &smb2.SrvCopychunkCopy{SourceKey: [24]byte(output[:24]), Chunks: limits.chunks(from, to, length)}
	output, err = h.control(smb2.FSCTL_SRV_COPYCHUNK_WRITE, request, 32)
	r := smb2.SrvCopychunkResponseDecoder(output)
	if statusOfError(err) == erref.STATUS_INVALID_PARAMETER && !r.IsInvalid() {
		said := CopyLimits{r.ChunksWritten(), r.ChunksBytesWritten(), r.TotalBytesWritten()}
		now = CopyLimits{min(said.Chunks, limits.Chunks), min(said.Chunk, limits.Chunk), min(said.Total, limits.Total)}
		// Only once: a server may send different limits each time.
		if limits == UsualCopyLimits && now != limits && now.Chunks > 0 && now.Chunk > 0 && now.Total > 0 {
			return h.CopyFrom(source, from, to, length, now)
		}
	}
	if err == nil && (r.IsInvalid() || int(r.TotalBytesWritten()) > length || r.TotalBytesWritten() == 0) {
		err = ErrBroken
	}
	if err != nil {
		return 0, limits, orMissing(err, ErrNoCopy)
	}
	return int(r.TotalBytesWritten()), limits, nil
}
