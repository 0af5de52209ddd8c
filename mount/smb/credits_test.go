package smb2

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// The server refuses a request that asks for more than its credits pay for (INVALID_PARAMETER).
func TestAnAnswerIsAskedForThatTheGrantedCreditsPayFor(t *testing.T) {
	for name, one := range map[string]struct {
		length int // where the request says how long its answer may be
		ask    func(*File)
	}{
		"listing": {64 + 28, func(f *File) { _, _ = f.readdir("*") }},
		"stat":    {64 + 4, func(f *File) { _, _ = f.stat() }},
		"control": {64 + 44, func(f *File) {
			_, _ = f.ioctl(&smb2.IoctlRequest{MaxOutputResponse: uint32(f.maxTransactSize())})
		}},
	} {
		for credits := 1; credits <= 20; credits++ {
			wire := &asked{newDeadTransport(), make(chan []byte, 8)}
			c := newTestConn(wire)
			c.maxTransactSize = 1 << 20
			c.account.settle(uint16(credits-1), uint16(credits-1))
			s := &session{conn: c}
			c.session.Store(s)
			share := &Share{treeConn: &treeConn{session: s}, ctx: context.Background()}
			one.ask(&File{fs: share, fd: &smb2.FileId{}})
			request := <-wire.request
			charge := min(credits, 16)
			require.EqualValues(t, charge, smb2.PacketCodec(request).CreditCharge(), name)
			require.EqualValues(t, charge<<16, binary.LittleEndian.Uint32(request[one.length:]), "%s with %d credits", name, credits)
			_ = wire.Close()
		}
	}
}
