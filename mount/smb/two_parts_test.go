package smb2

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"testing"
)

func TestTagOfTwoPartsIsThatOfTheWhole(t *testing.T) {
	for _, length := range []int{1, 15, 16, 17, 1000, 16 << 10, 65536, 65537, 262144, 1<<20 - 3} {
		var key [16]byte
		rand.Read(key[:])
		block, _ := aes.NewCipher(key[:])
		gmac, _ := cipher.NewGCM(block)
		parts := newGmacParts(block)
		for _, first := range []int{16, 112, 128} {
			whole := make([]byte, first+length)
			rand.Read(whole)
			nonce := make([]byte, 12)
			rand.Read(nonce)
			want := gmac.Seal(nil, nonce, nil, whole)
			if got := parts.tag(gmac, nonce, whole[:first], whole[first:]); !bytes.Equal(got, want) {
				t.Errorf("%d and %d: %x, not %x", first, length, got, want)
			}
		}
	}
}

func BenchmarkTagOfTwoParts(b *testing.B) {
	block, _ := aes.NewCipher(make([]byte, 16))
	gmac, _ := cipher.NewGCM(block)
	parts := newGmacParts(block)
	data, nonce := make([]byte, 112+256<<10), make([]byte, 12)
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			gmac.Seal(nil, nonce, nil, data)
		}
	})
	b.Run("parts", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			parts.tag(gmac, nonce, data[:112], data[112:])
		}
	})
}
