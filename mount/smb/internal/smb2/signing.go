package smb2

// SMB2_SIGNING_CAPABILITIES, MS-SMB2 2.2.3.1.7: in its layout, SMB2_ENCRYPTION_CAPABILITIES with other numbers.

// ContextType
const SMB2_SIGNING_CAPABILITIES = 0x8

// SigningAlgorithms
const (
	SIGNING_HMAC_SHA256 = iota
	SIGNING_AES_CMAC
	SIGNING_AES_GMAC
)

type SigningContext struct {
	SigningAlgorithms []uint16
}

func (c *SigningContext) Size() int {
	return (&CipherContext{c.SigningAlgorithms}).Size()
}

func (c *SigningContext) Encode(p []byte) {
	(&CipherContext{c.SigningAlgorithms}).Encode(p)
	le.PutUint16(p[:2], SMB2_SIGNING_CAPABILITIES) // ContextType
}

type SigningContextDataDecoder []byte

func (d SigningContextDataDecoder) IsInvalid() bool {
	return CipherContextDataDecoder(d).IsInvalid()
}

func (d SigningContextDataDecoder) SigningAlgorithms() []uint16 {
	return CipherContextDataDecoder(d).Ciphers()
}
