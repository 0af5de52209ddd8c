package smb2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/cloudsoda/go-smb2/internal/crypto/cmac"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// clientSigningAlgorithms are offered to a server of SMB 3.1.1, the fastest first.
var clientSigningAlgorithms = []uint16{smb2.SIGNING_AES_GMAC, smb2.SIGNING_AES_CMAC, smb2.SIGNING_HMAC_SHA256}

// acceptSigning returns the algorithm that the server chose.
func acceptSigning(data []byte) (uint16, error) {
	d := smb2.SigningContextDataDecoder(data)
	if d.IsInvalid() {
		return 0, &InvalidResponseError{"broken signing context data format"}
	}
	algs := d.SigningAlgorithms()
	if len(algs) != 1 {
		return 0, &InvalidResponseError{"not exactly one signing algorithm"}
	}
	if !slices.Contains(clientSigningAlgorithms, algs[0]) {
		return 0, &InvalidResponseError{"unknown signing algorithm"}
	}
	return algs[0], nil
}

// useSigning sets the keys by which a session of SMB 3.1.1 signs and verifies.
func (s *session) useSigning(algorithm uint16, key []byte) error {
	if algorithm == smb2.SIGNING_HMAC_SHA256 {
		s.signer, s.verifier = hmac.New(sha256.New, key), hmac.New(sha256.New, key)
		return nil
	}
	ciph, err := aes.NewCipher(key)
	if err != nil {
		return &InternalError{err.Error()}
	}
	if algorithm == smb2.SIGNING_AES_CMAC {
		s.signer, s.verifier = cmac.New(ciph), cmac.New(ciph)
		return nil
	}
	if s.gmac, err = cipher.NewGCM(ciph); err != nil {
		return &InternalError{err.Error()}
	}
	s.gmacParts = newGmacParts(ciph)
	return nil
}

// signature returns the signature of pkt, in which the signature field must be zero. h is not used with AES-GMAC, which has no state.
func (s *session) signature(h hash.Hash, pkt []byte) []byte {
	if s.gmac != nil {
		return s.gmac.Seal(nil, gmacNonce(pkt), nil, pkt)
	}
	h.Reset()
	h.Write(pkt)
	return h.Sum(nil)
}

// gmacNonce is never the same for two messages under one key, MS-SMB2 3.1.4.1: both sides count the same MessageIds, and a
// CANCEL has that of the request that it cancels.
func gmacNonce(pkt []byte) []byte {
	p := smb2.PacketCodec(pkt)
	nonce := make([]byte, 12)
	binary.LittleEndian.PutUint64(nonce, p.MessageId())
	if p.Flags()&smb2.SMB2_FLAGS_SERVER_TO_REDIR != 0 {
		nonce[8] |= 1
	}
	if p.Command() == smb2.SMB2_CANCEL {
		nonce[8] |= 2
	}
	return nonce
}
