package cmac

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

var key, _ = hex.DecodeString("2b7e151628aed2a6abf7158809cf4f3c")

// NIST SP 800-38B, appendix D.1, written in pieces of each size.
func TestVectorsInPieces(t *testing.T) {
	message, _ := hex.DecodeString("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	ciph, _ := aes.NewCipher(key)
	h := New(ciph)
	for length, want := range map[int]string{
		0:  "bb1d6929e95937287fa37d129b756746",
		16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827",
		64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		for size := 1; size <= 64; size++ {
			h.Reset()
			for rest := message[:length]; len(rest) > 0; {
				n, err := h.Write(rest[:min(size, len(rest))])
				if n != min(size, len(rest)) || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, size, err)
				}
				rest = rest[n:]
			}
			if got := hex.EncodeToString(h.Sum(nil)); got != want {
				t.Errorf("%d bytes in pieces of %d: %s, not %s", length, size, got, want)
			}
		}
	}
}

// bytewise is Write as the specification has it: a byte at a time.
func bytewise(d *cmac, p []byte) {
	for _, c := range p {
		if d.p >= len(d.ci) {
			d.c.Encrypt(d.ci, d.ci)
			d.p = 0
		}
		d.ci[d.p] ^= c
		d.p++
	}
}

func TestAnyPiecesAreTheSameByteByByte(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	ciph, _ := aes.NewCipher(key)
	fast, slow := New(ciph), New(ciph).(*cmac)
	for range 500 {
		fast.Reset()
		slow.Reset()
		for range random.IntN(6) {
			piece := make([]byte, random.IntN(200))
			for i := range piece {
				piece[i] = byte(random.Uint32())
			}
			fast.Write(piece)
			bytewise(slow, piece)
			if !bytes.Equal(fast.Sum(nil), slow.Sum(nil)) {
				t.Fatalf("seed %d: another sum", seed)
			}
		}
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	ciph, _ := aes.NewCipher(key)
	h := New(ciph)
	message := make([]byte, 1<<16)
	if n := testing.AllocsPerRun(10, func() { h.Write(message) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	ciph, _ := aes.NewCipher(key)
	h := New(ciph)
	message := make([]byte, 1<<20)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		h.Write(message)
	}
}
