package smb2

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// asked keeps the last request; the answer to it never comes
type asked struct {
	*deadTransport
	request chan []byte
}

func (t *asked) Write(p []byte) (int, error) {
	t.request <- append([]byte(nil), p...)
	return t.deadTransport.Write(p)
}

func TestOthersMayReadWriteAndRenameWhatIsOpen(t *testing.T) {
	for name, open := range map[string]func(*Share) error{
		"read":   func(s *Share) error { _, err := s.OpenFile("file", os.O_RDONLY, 0); return err },
		"write":  func(s *Share) error { _, err := s.OpenFile("file", os.O_WRONLY|os.O_CREATE, 0o644); return err },
		"rename": func(s *Share) error { return s.Rename("file", "other") },
		"remove": func(s *Share) error { return s.Remove("file") },
	} {
		wire := &asked{newDeadTransport(), make(chan []byte, 8)}
		c := newTestConn(wire)
		s := &session{conn: c}
		c.session.Store(s)
		share := &Share{treeConn: &treeConn{session: s}, ctx: context.Background()}
		require.Error(t, open(share), name)
		request := <-wire.request
		const shareAccess = 64 + 32
		require.EqualValues(t, 7, binary.LittleEndian.Uint32(request[shareAccess:]), name)
		_ = wire.Close()
	}
}
