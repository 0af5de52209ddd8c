package smb2

import (
	"bytes"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// exchange sends a CREATE and following requests for the opened file, all in one message (a compound), and returns the answers in that order.
// After an error nothing stays open.
func (fs *Share) exchange(name string, create *smb2.CreateRequest, following ...smb2.Packet) (answers [][]byte, err error) {
	if err := intoSnapshot(create, name); err != nil {
		return nil, err
	}
	if err := validatePath("open", create.Name, false); err != nil {
		return nil, err
	}
	for range clientMaxSymlinkDepth {
		answers, err = fs.exchangeOnce(create, following)
		response, ok := err.(*ResponseError)
		if !ok || erref.NtStatus(response.Code) != erref.STATUS_STOPPED_ON_SYMLINK || len(response.data) == 0 {
			return answers, err
		}
		if create.Name, err = evalSymlinkError(create.Name, response.data[0], fs.mapping); err != nil {
			return nil, err
		}
	}
	return nil, &InternalError{"Too many levels of symbolic links"}
}

func (fs *Share) exchangeOnce(create *smb2.CreateRequest, following []smb2.Packet) ([][]byte, error) {
	wanted := uint16(1 + len(following))
	granted, _, err := fs.account.borrow(fs.ctx, wanted)
	if err != nil {
		return nil, err
	}
	var answers [][]byte
	if granted == wanted {
		answers, err = fs.compound(create, following)
	} else {
		fs.refundCredits(granted)
		answers, err = fs.oneByOne(create, following)
	}
	if err == nil {
		return answers, nil
	}
	last := len(following) - 1
	_, isClosing := following[last].(*smb2.CloseRequest)
	if answers != nil && answers[0] != nil && !(isClosing && answers[last+1] != nil) {
		_, _ = fs.handleOf(answers[0]).Close()
	}
	return nil, err
}

// compound sends one message. The caller has borrowed a credit for each request.
func (fs *Share) compound(create *smb2.CreateRequest, following []smb2.Packet) ([][]byte, error) {
	entries := []compoundEntry{{req: create, tc: fs.treeConn}}
	for _, req := range following {
		onFile(req, sentinelFileId)
		entries = append(entries, compoundEntry{req: req, tc: fs.treeConn, related: true})
	}
	for _, entry := range entries {
		*entry.req.Header() = smb2.PacketHeader{CreditCharge: 1}
	}
	pending, err := fs.sendCompound(fs.ctx, entries)
	if err != nil {
		return nil, err
	}
	answers := make([][]byte, len(entries))
	for i := range entries {
		pkt, each := fs.recv(pending[i])
		if each == nil {
			answers[i], each = answerOf(pkt)
		}
		if err == nil {
			err = each
		}
	}
	return answers, err
}

// oneByOne sends each request once the one before it is answered.
func (fs *Share) oneByOne(create *smb2.CreateRequest, following []smb2.Packet) ([][]byte, error) {
	answers := make([][]byte, 1+len(following))
	var err error
	for i, req := range append([]smb2.Packet{create}, following...) {
		*req.Header() = smb2.PacketHeader{}
		if i > 0 {
			onFile(req, smb2.CreateResponseDecoder(answers[0]).FileId().Decode())
		}
		if req.Header().CreditCharge, _, err = fs.borrowCredits(0); err != nil {
			return answers, err
		}
		rr, err := fs.send(fs.ctx, req)
		if err != nil {
			return answers, err
		}
		pkt, err := fs.recv(rr)
		if err != nil {
			return answers, err
		}
		answer, err := answerOf(pkt)
		if err != nil {
			return answers, err
		}
		// Its buffer may be used for the next answer.
		answers[i] = bytes.Clone(answer)
	}
	return answers, nil
}

func onFile(req smb2.Packet, id *smb2.FileId) {
	switch req := req.(type) {
	case *smb2.QueryInfoRequest:
		req.FileId = id
	case *smb2.SetInfoRequest:
		req.FileId = id
	case *smb2.ReadRequest:
		req.FileId = id
	case *smb2.WriteRequest:
		req.FileId = id
	case *smb2.CloseRequest:
		req.FileId = id
	}
}
