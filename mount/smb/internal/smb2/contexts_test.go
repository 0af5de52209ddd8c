package smb2

import (
	"encoding/binary"
	"strings"
	"testing"
)

// someContext is a create context of a length that is not a multiple of 8
type someContext int

func (c someContext) Size() int { return int(c) }

func (c someContext) Encode(b []byte) {
	for i := 4; i < int(c); i++ {
		b[i] = byte(c)
	}
}

func TestCreateContextsAreFoundWhateverTheNamesLength(t *testing.T) {
	for length := 1; length <= 8; length++ {
		req := &CreateRequest{Name: strings.Repeat("n", length), Contexts: []Encoder{someContext(28), someContext(56), someContext(17)}}
		pkt := make([]byte, req.Size())
		req.Encode(pkt)
		at, room := binary.LittleEndian.Uint32(pkt[64+48:]), binary.LittleEndian.Uint32(pkt[64+52:])
		if int(at+room) != len(pkt) {
			t.Errorf("name of %d: %d bytes of contexts at %d in a request of %d", length, room, at, len(pkt))
		}
		for i, want := range []byte{28, 56, 17} {
			if at%8 != 0 || pkt[at+4] != want {
				t.Fatalf("name of %d: context %d is not at %d", length, i, at)
			}
			at += binary.LittleEndian.Uint32(pkt[at:])
		}
	}
}
