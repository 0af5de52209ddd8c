package smb2

import (
	"crypto/cipher"
	"encoding/binary"
	"net"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// A write of at least this length is sent from the caller's buffer, without a copy behind the header.
const inTwoPartsFrom = 16 << 10

// partsWriter is a connection that sends several parts at once.
type partsWriter interface {
	WriteParts(parts net.Buffers) (int64, error)
}

// writeParts sends the length and a message in two parts, by one system call.
func (t *directTCP) writeParts(head, tail []byte) error {
	size := len(head) + len(tail)
	if size > maxDirectTCPSize {
		return errTooLong
	}
	be.PutUint32(t.sb[:], uint32(size))
	first := 4 + copy(t.sb[4:], head)
	if w, ok := t.conn.(partsWriter); ok && first == 4+len(head) {
		_, err := w.WriteParts(net.Buffers{t.sb[:first], tail})
		return err
	}
	for _, part := range [][]byte{t.sb[:first], head[first-4:], tail} {
		if len(part) > 0 {
			if _, err := t.conn.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailOf returns the part of a request that may be sent from the caller's buffer; nil: none. The request must not be encrypted, and must not be
// cancellable, so that it is sent when send returns.
func (conn *conn) tailOf(req smb2.Packet, s *session, tc *treeConn, neverEnds bool) []byte {
	write, ok := req.(*smb2.WriteRequest)
	if !ok || !neverEnds || s == nil || len(write.Data) < inTwoPartsFrom || len(write.WriteChannelInfo) > 0 {
		return nil
	}
	if s.sessionFlags&smb2.SMB2_SESSION_FLAG_ENCRYPT_DATA != 0 || tc != nil && tc.shareFlags&smb2.SMB2_SHAREFLAG_ENCRYPT_DATA != 0 {
		return nil
	}
	if _, ok := conn.t.(*directTCP); !ok {
		return nil
	}
	return write.Data
}

// signParts signs a message in two parts, of which the first has the header.
func (s *session) signParts(head, tail []byte) {
	p := smb2.PacketCodec(head)
	p.SetFlags(p.Flags() | smb2.SMB2_FLAGS_SIGNED)
	if s.gmac != nil {
		p.SetSignature(s.gmacParts.tag(s.gmac, gmacNonce(head), head, tail))
		return
	}
	s.signer.Reset()
	s.signer.Write(head)
	s.signer.Write(tail)
	p.SetSignature(s.signer.Sum(nil))
}

// gmacParts computes the AES-GMAC tag of a message in two parts. GMAC is a polynomial over the blocks, so the contribution of the first part can be
// computed without the second (NIST SP 800-38D, 6.4). Guarded by conn.m.
type gmacParts struct {
	h     element // the hash key
	sizes map[[2]int]ofSizes
}

// ofSizes are the values that only depend on the sizes of the parts.
type ofSizes struct {
	power  element // h to the number of blocks of the second part
	length element // the contribution of the length blocks
}

// element is an element of GF(2^128) in GCM's bit order: bit 0 is the highest bit of hi.
type element struct{ hi, lo uint64 }

func elementOf(block []byte) element {
	return element{binary.BigEndian.Uint64(block), binary.BigEndian.Uint64(block[8:])}
}

func (a element) plus(b element) element { return element{a.hi ^ b.hi, a.lo ^ b.lo} }

// times multiplies in constant time.
func (a element) times(b element) (product element) {
	for i := range 128 {
		word := a.hi
		if i >= 64 {
			word = a.lo
		}
		mask := -(word >> (63 - i%64) & 1)
		product.hi ^= b.hi & mask
		product.lo ^= b.lo & mask
		carry := -(b.lo & 1)
		b.lo = b.lo>>1 | b.hi<<63
		b.hi = b.hi>>1 ^ carry&0xE1<<56
	}
	return product
}

func newGmacParts(block cipher.Block) *gmacParts {
	var zero, h [16]byte
	block.Encrypt(h[:], zero[:])
	return &gmacParts{h: elementOf(h[:]), sizes: map[[2]int]ofSizes{}}
}

const sizesAtMost = 64

func (g *gmacParts) of(head, tail int) ofSizes {
	sizes := [2]int{head, tail}
	if known, ok := g.sizes[sizes]; ok {
		return known
	}
	var made ofSizes
	made.power = element{hi: 1 << 63}
	square := g.h
	for left := (tail + 15) / 16; left > 0; left >>= 1 {
		if left&1 != 0 {
			made.power = made.power.times(square)
		}
		square = square.times(square)
	}
	inBits := func(bytes int) element { return element{hi: uint64(bytes) * 8}.times(g.h) }
	made.length = inBits(head).times(made.power).plus(inBits(tail)).plus(inBits(head + tail))
	if len(g.sizes) >= sizesAtMost {
		clear(g.sizes)
	}
	g.sizes[sizes] = made
	return made
}

// tag is the tag of head followed by tail. head consists of whole blocks.
func (g *gmacParts) tag(gmac cipher.AEAD, nonce, head, tail []byte) []byte {
	var first, mask [16]byte
	gmac.Seal(first[:0], nonce, nil, head)
	gmac.Seal(mask[:0], nonce, nil, nil) // the contribution of the nonce
	tag := gmac.Seal(nil, nonce, nil, tail)
	of := g.of(len(head), len(tail))
	sum := elementOf(first[:]).plus(elementOf(mask[:])).times(of.power).plus(of.length).plus(elementOf(tag))
	binary.BigEndian.PutUint64(tag, sum.hi)
	binary.BigEndian.PutUint64(tag[8:], sum.lo)
	return tag
}
