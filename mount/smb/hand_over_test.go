package smb2

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// slowWire writes a message only when the test lets it, as a socket does whose buffer is full
type slowWire struct {
	*deadTransport
	begun   chan struct{}
	goOn    chan error
	written [][]byte
}

func (t *slowWire) Write(p []byte) (int, error) {
	t.begun <- struct{}{}
	err := <-t.goOn
	t.written = append(t.written, append([]byte(nil), p...))
	return len(p), err
}

func newSlowConn() (*conn, *slowWire) {
	wire := &slowWire{newDeadTransport(), make(chan struct{}, 8), make(chan error, 8), nil}
	c := newTestConn(wire)
	c.account.settle(100, 100)
	return c, wire
}

func sendCancelled(t *testing.T, c *conn, wire *slowWire, when func() error, req smb2.Packet) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { _, err := c.sendWith(ctx, req, nil, 0); ended <- err }()
	require.NoError(t, when())
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func writeOf(letter byte) smb2.Packet {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = letter
	}
	req := &smb2.WriteRequest{FileId: &smb2.FileId{}, Data: data}
	req.CreditCharge = 1
	return req
}

func TestACancelledRequestKeepsWhatIsBeingWritten(t *testing.T) {
	c, wire := newSlowConn()
	defer wire.Close()
	sendCancelled(t, c, wire, func() error { <-wire.begun; return nil }, writeOf('a'))
	// The next one finds the sender busy, and gives up as well.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := c.sendWith(ctx, writeOf('b'), nil, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	wire.goOn <- nil
	// The third's answer is its own, not that of the first.
	wire.goOn <- nil
	_, err = c.sendWith(context.Background(), writeOf('c'), nil, 0)
	require.NoError(t, err)
	require.Len(t, wire.written, 2)
	for i, letter := range []byte("ac") {
		data := wire.written[i][len(wire.written[i])-1000:]
		require.Equal(t, writeOf(letter).(*smb2.WriteRequest).Data, data)
		require.EqualValues(t, i, smb2.PacketCodec(wire.written[i]).MessageId(), "no message id is left out")
	}
}

func TestAFailedWriteOfACancelledRequestFailsTheNextOne(t *testing.T) {
	c, wire := newSlowConn()
	defer wire.Close()
	sendCancelled(t, c, wire, func() error { <-wire.begun; return nil }, writeOf('a'))
	wire.goOn <- errors.New("connection reset")
	_, err := c.sendWith(context.Background(), writeOf('b'), nil, 0)
	var lost *TransportError
	require.ErrorAs(t, err, &lost)
	require.Len(t, wire.written, 1)
}
