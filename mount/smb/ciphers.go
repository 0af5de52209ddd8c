package smb2

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/cloudsoda/go-smb2/internal/crypto/ccm"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// useCipher sets the keys by which a session of SMB 3.1.1 encrypts and decrypts. Keys of 256 bits come from the whole session key (MS-SMB2 3.1.4.2),
// which NTLM has in 16 bytes.
func (s *session) useCipher(sessionKey []byte) (err error) {
	if s.cipherId == 0 {
		return nil
	}
	length := uint16(16)
	if s.cipherId == smb2.AES256CCM || s.cipherId == smb2.AES256GCM {
		length = 32
	}
	toServer := kdfOf(length, sessionKey, []byte("SMBC2SCipherKey\x00"), s.preauthIntegrityHashValue[:])
	toClient := kdfOf(length, sessionKey, []byte("SMBS2CCipherKey\x00"), s.preauthIntegrityHashValue[:])
	if s.encrypter, err = cipherOf(s.cipherId, toServer); err != nil {
		return err
	}
	s.decrypter, err = cipherOf(s.cipherId, toClient)
	return err
}

func cipherOf(id uint16, key []byte) (sealer cipher.AEAD, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &InternalError{err.Error()}
	}
	if id == smb2.AES128CCM || id == smb2.AES256CCM {
		sealer, err = ccm.NewCCMWithNonceAndTagSizes(block, 11, 16)
	} else {
		sealer, err = cipher.NewGCMWithNonceSize(block, 12)
	}
	if err != nil {
		return nil, &InternalError{err.Error()}
	}
	return sealer, nil
}
