package smb2

import (
	"slices"
	"testing"
)

func TestSigningContextIsReadBack(t *testing.T) {
	algorithms := []uint16{SIGNING_AES_GMAC, SIGNING_AES_CMAC, SIGNING_HMAC_SHA256}
	req := &NegotiateRequest{
		Dialects: []uint16{SMB311},
		Contexts: []Encoder{
			&HashContext{HashAlgorithms: []uint16{SHA512}, HashSalt: make([]byte, 32)},
			&SigningContext{SigningAlgorithms: algorithms},
		},
	}
	pkt := make([]byte, req.Size())
	req.Encode(pkt)

	r := NegotiateRequestDecoder(PacketCodec(pkt).Data())
	if r.IsInvalid() || r.NegotiateContextCount() != 2 {
		t.Fatalf("%d contexts", r.NegotiateContextCount())
	}
	// NegotiateContextList of a request counts from 36, not 64.
	list := NegotiateContextDecoder(pkt[r.NegotiateContextOffset():])
	last := list[list.Next():]
	if last.IsInvalid() || last.ContextType() != SMB2_SIGNING_CAPABILITIES || int(last.DataLength()) != 8 {
		t.Fatalf("type %d of %d bytes", last.ContextType(), last.DataLength())
	}
	d := SigningContextDataDecoder(last.Data())
	if d.IsInvalid() || !slices.Equal(d.SigningAlgorithms(), algorithms) {
		t.Errorf("%v, not %v", d.SigningAlgorithms(), algorithms)
	}
}

func TestBrokenSigningContexts(t *testing.T) {
	for _, data := range [][]byte{nil, {1}, {1, 0}, {1, 0, 2}, {2, 0, 2, 0}} {
		if !SigningContextDataDecoder(data).IsInvalid() {
			t.Errorf("%v is taken", data)
		}
	}
}
