package smb2

import (
	"bytes"
	"crypto/rand"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// writes keeps what each Write had.
type writes struct {
	net.Conn
	each [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.each = append(w.each, slices.Clone(p))
	return len(p), nil
}

func TestASmallMessageIsOneWrite(t *testing.T) {
	for _, size := range []int{0, 1, 64, 4095, 4096, 4097, 1 << 20} {
		message := make([]byte, size)
		_, _ = rand.Read(message)
		conn := &writes{}
		n, err := direct(conn).Write(message)
		require.NoError(t, err)
		require.Equal(t, size+4, n)
		if size <= 4096 {
			require.Len(t, conn.each, 1, "%d bytes", size)
		}
		wire := bytes.Join(conn.each, nil)
		require.EqualValues(t, size, be.Uint32(wire))
		require.True(t, bytes.Equal(message, wire[4:]), "%d bytes", size)
	}
}
