package smb2

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

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
