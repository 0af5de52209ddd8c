package smb2

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

func TestAnEncryptedRequestWantsAnEncryptedAnswer(t *testing.T) {
	wire := newDeadTransport()
	defer wire.Close()
	c := newTestConn(wire)
	// A session whose answers need no signature.
	c.session.Store(&session{conn: c, sessionFlags: smb2.SMB2_SESSION_FLAG_IS_GUEST})
	answer := make([]byte, 64)
	smb2.PacketCodec(answer).SetMessageId(7)
	smb2.PacketCodec(answer).SetFlags(smb2.SMB2_FLAGS_SERVER_TO_REDIR)
	require.NoError(t, c.tryVerify(answer, false))
	c.outstandingRequests.set(7, &requestResponse{encrypted: true, recv: make(chan []byte, 1)})
	require.Error(t, c.tryVerify(answer, false))
	require.NoError(t, c.tryVerify(answer, true))
}

func TestAShortAnswerKeepsNoLargeBuffer(t *testing.T) {
	wire := newDeadTransport()
	defer wire.Close()
	c := newTestConn(wire)
	for range 4 {
		c.bufferFor(1 << 20).release()
	}
	require.LessOrEqual(t, cap(c.bufferFor(500).b), shortMessage)
	require.LessOrEqual(t, cap(c.bufferFor(64<<10).b), 128<<10)
}

func TestWhatWaitsAtALogoffGetsAnError(t *testing.T) {
	wire := newDeadTransport()
	c := newTestConn(wire)
	waiting := &requestResponse{msgId: 7, ctx: context.Background(), recv: make(chan []byte, 1)}
	c.outstandingRequests.set(7, waiting)
	c.rdone <- struct{}{}
	_ = wire.Close()
	<-waiting.recv
	require.Error(t, waiting.err)
	<-c.wdone
	require.Error(t, c.err)
}

// answered is a connection to which these messages come from an attacker in between, and the request that waits.
func answered(t *testing.T, command uint16, most int, messages ...[]byte) (*conn, *requestResponse) {
	wire := newDeadTransport()
	t.Cleanup(func() { _ = wire.Close() })
	c := newTestConn(wire)
	c.requireSigning = true
	c.session.Store(&session{conn: c, verifier: hmac.New(sha256.New, nil)})
	rr := &requestResponse{msgId: 7, creditRequest: 1, ctx: context.Background(), recv: make(chan []byte, 1), expected: expected{command, most}}
	c.outstandingRequests.set(7, rr)
	for _, each := range messages {
		_ = c.tryHandle(each, c.tryVerify(each, false), nil)
	}
	return c, rr
}

func message(command uint16, id uint64, status erref.NtStatus, body ...byte) []byte {
	pkt := append(make([]byte, 64), body...)
	p := smb2.PacketCodec(pkt)
	p.SetProtocolId()
	p.SetStructureSize()
	p.SetCommand(command)
	p.SetMessageId(id)
	p.SetStatus(uint32(status))
	p.SetFlags(smb2.SMB2_FLAGS_SERVER_TO_REDIR)
	return pkt
}

func TestWhatIsNotSignedEndsNoRequest(t *testing.T) {
	pending := message(smb2.SMB2_READ, 7, erref.STATUS_PENDING)
	smb2.PacketCodec(pending).SetAsyncId(3)
	smb2.PacketCodec(pending).SetCreditResponse(100)
	other := bytes.Clone(pending)
	smb2.PacketCodec(other).SetAsyncId(4)
	c, rr := answered(t, smb2.SMB2_READ, 10, message(smb2.SMB2_READ, 7, erref.STATUS_FILE_CLOSED), pending, other)
	require.True(t, c.outstandingRequests.has(rr))
	require.EqualValues(t, 3, rr.asyncId)
	require.LessOrEqual(t, len(c.account.balance), 2)
	// It did not come from the server either: the connection ends, and what waits with an error.
	<-rr.recv
	require.IsType(t, &TransportError{}, rr.err)
}

// Samba counts what is dropped as granted: with "smb2 max credits = 8" ever fewer requests are in flight.
func TestCreditsOfAnInterimAnswerAreKept(t *testing.T) {
	c, rr := answered(t, smb2.SMB2_WRITE, 10)
	rr.creditRequest = 4
	rr.loan.Store(4)
	<-c.account.balance // of the four that the request took, the account had one
	pending := message(smb2.SMB2_WRITE, 7, erref.STATUS_PENDING)
	smb2.PacketCodec(pending).SetCreditResponse(4 + 1)
	require.NoError(t, c.tryHandle(pending, nil, nil))
	require.Len(t, c.account.balance, 4+1)
}

// A write of several parts waits for credits before it takes the answer to its first part, which brings some back.
func TestAWaitForCreditsEndsWithTheConnection(t *testing.T) {
	wire := newDeadTransport()
	c := newTestConn(wire)
	<-c.account.balance
	go wire.Close()
	_, _, err := c.account.borrow(t.Context(), 1)
	require.IsType(t, &TransportError{}, err)
}

func TestAnAnswerIsWholeOrNotUsed(t *testing.T) {
	body := func(size int, fields ...byte) []byte { return append([]byte{byte(size), 0}, fields...) }
	for _, each := range []struct {
		command uint16
		most    int
		body    []byte
		isWhole bool
	}{
		{smb2.SMB2_QUERY_INFO, 4, body(9, 72, 0, 4, 0, 0, 0, 1, 2, 3, 4), true},
		{smb2.SMB2_QUERY_INFO, 3, body(9, 72, 0, 4, 0, 0, 0, 1, 2, 3, 4), false},
		{smb2.SMB2_QUERY_INFO, 1 << 20, body(9, 72, 0, 0, 0, 1, 0, 1, 2, 3, 4), false},
		{smb2.SMB2_QUERY_INFO, 4, body(9, 64, 0, 4, 0, 0, 0, 1, 2, 3, 4), false},
		{smb2.SMB2_READ, 4, body(17, 80, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), true},
		{smb2.SMB2_READ, 4, body(49, 80, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), false},
		{smb2.SMB2_WRITE, 4, body(17, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), false},
		{smb2.SMB2_LOCK, 0, nil, false},
	} {
		e := expected{each.command, each.most}
		require.Equal(t, each.isWhole, e.isMet(message(each.command, 7, 0, each.body...)), each)
		require.False(t, e.isMet(message(each.command+1, 7, 0, each.body...)), "another command")
	}
}

func TestABreakIsActedOnOnceAndOfWhatIsLeased(t *testing.T) {
	c, _ := answered(t, smb2.SMB2_READ, 10)
	fs := &Share{treeConn: &treeConn{session: &session{conn: c}}}
	b := &c.breaks
	broken := make(chan struct{}, 10)
	held, asked, strange := LeaseKey{1}, LeaseKey{2}, LeaseKey{3}
	b.request(held)(held)
	fs.OnBreak(held, func() { broken <- struct{}{} })
	answer := b.request(asked)
	for range 3 {
		b.accept(strange)
		b.accept(smb2.FileId{})
	}
	require.Empty(t, b.early)
	require.True(t, b.accept(held))
	require.False(t, b.accept(held))
	<-broken
	require.True(t, b.accept(asked), "before its answer")
	require.False(t, b.accept(asked))
	answer(asked)
	fs.OnBreak(asked, func() { broken <- struct{}{} })
	<-broken
	require.Empty(t, b.granted)
	require.Empty(t, b.early)
	require.Empty(t, broken)
}
