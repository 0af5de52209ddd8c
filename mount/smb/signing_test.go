package smb2

import (
	"context"
	"encoding/hex"
	"net"
	"testing"

	"github.com/cloudsoda/go-smb2/internal/smb2"
	"github.com/stretchr/testify/require"
)

// Made by Samba 4.17.12, which had agreed to AES-128-GMAC, for an account made for this.
const sambaKey = "012911cc1ada530b6a40911af254890a"

var sambaAnswers = map[string]string{
	"the last SESSION_SETUP": "fe534d42400001000000000001007e00090000000000000002000000000000000000000000000000" +
		"9619d04a000000005ff88016d814a99694c275ada84e456f" +
		"0900000048001d00a11b3019a0030a0100a312041001000000a1620dfeb2e1052300000000",
	"ECHO": "fe534d4240000100000000000d000100090000000000000003000000000000000000000000000000" +
		"9619d04a0000000094003a7798f6400324df7356bb442930" + "04000000",
	"LOGOFF": "fe534d42400001000000000002000100090000000000000004000000000000000000000000000000" +
		"9619d04a00000000f76676c54c0f0090df824e58d26830b0" + "04000000",
}

func decoded(t *testing.T, digits string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(digits)
	require.NoError(t, err)
	return bytes
}

func signingSession(t *testing.T, algorithm uint16) *session {
	t.Helper()
	s := &session{}
	require.NoError(t, s.useSigning(algorithm, decoded(t, sambaKey)))
	return s
}

func TestSambasGmacHolds(t *testing.T) {
	for name, digits := range sambaAnswers {
		require.True(t, signingSession(t, smb2.SIGNING_AES_GMAC).verify(decoded(t, digits)), name)
		for _, other := range []uint16{smb2.SIGNING_AES_CMAC, smb2.SIGNING_HMAC_SHA256} {
			require.False(t, signingSession(t, other).verify(decoded(t, digits)), name)
		}
		for bit := range len(decoded(t, digits)) * 8 {
			pkt := decoded(t, digits)
			pkt[bit/8] ^= 1 << (bit % 8)
			require.False(t, signingSession(t, smb2.SIGNING_AES_GMAC).verify(pkt), "%s, bit %d", name, bit)
		}
	}
}

func TestWhatIsSignedHolds(t *testing.T) {
	for _, algorithm := range clientSigningAlgorithms {
		s := signingSession(t, algorithm)
		// Of all lengths around a block, and twice over: nothing stays from the last one.
		for size := 64; size < 200; size++ {
			pkt := make([]byte, size)
			smb2.PacketCodec(pkt).SetMessageId(uint64(size))
			require.True(t, s.verify(s.sign(pkt)), "algorithm %d, %d bytes", algorithm, size)
			pkt[size-1] ^= 1
			require.False(t, s.verify(pkt))
		}
	}
}

func TestGmacNonces(t *testing.T) {
	for _, one := range []struct {
		command uint16
		flags   uint32
		want    string
	}{
		{smb2.SMB2_READ, smb2.SMB2_FLAGS_SIGNED, "887766554433221100000000"},
		{smb2.SMB2_READ, smb2.SMB2_FLAGS_SERVER_TO_REDIR | smb2.SMB2_FLAGS_ASYNC_COMMAND, "887766554433221101000000"},
		{smb2.SMB2_CANCEL, smb2.SMB2_FLAGS_ASYNC_COMMAND, "887766554433221102000000"},
	} {
		pkt := smb2.PacketCodec(make([]byte, 64))
		pkt.SetMessageId(0x1122334455667788)
		pkt.SetCommand(one.command)
		pkt.SetFlags(one.flags)
		require.Equal(t, one.want, hex.EncodeToString(gmacNonce(pkt)))
	}
}

// negotiateWith returns what NEGOTIATE comes to with a server that answers with these contexts, and what it was asked.
func negotiateWith(t *testing.T, contexts ...smb2.Encoder) (*conn, []byte, error) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	asked := make(chan []byte, 1)
	go func() {
		wire := direct(server)
		n, err := wire.ReadSize()
		if err != nil {
			return
		}
		request := make([]byte, n)
		if _, err := wire.Read(request); err != nil {
			return
		}
		asked <- request
		answer := &smb2.NegotiateResponse{
			DialectRevision: smb2.SMB311,
			MaxTransactSize: 1 << 20,
			MaxReadSize:     1 << 20,
			MaxWriteSize:    1 << 20,
			SystemTime:      &smb2.Filetime{},
			ServerStartTime: &smb2.Filetime{},
			Contexts:        contexts,
		}
		pkt := make([]byte, answer.Size())
		answer.Encode(pkt)
		smb2.PacketCodec(pkt).SetFlags(smb2.SMB2_FLAGS_SERVER_TO_REDIR)
		smb2.PacketCodec(pkt).SetCreditResponse(1)
		_, _ = wire.Write(pkt)
	}()
	c, err := (&Negotiator{}).negotiate(context.Background(), direct(client), openAccount(128))
	return c, <-asked, err
}

func chose(algorithms ...uint16) *smb2.SigningContext {
	return &smb2.SigningContext{SigningAlgorithms: algorithms}
}

var anyHash = &smb2.HashContext{HashAlgorithms: []uint16{smb2.SHA512}, HashSalt: make([]byte, 32)}

func TestTheServersChoiceDecides(t *testing.T) {
	for _, algorithm := range clientSigningAlgorithms {
		for _, contexts := range [][]smb2.Encoder{{anyHash, chose(algorithm)}, {chose(algorithm), anyHash}} {
			c, _, err := negotiateWith(t, contexts...)
			require.NoError(t, err)
			require.Equal(t, algorithm, c.signingId)
			require.NotEqual(t, [64]byte{}, c.preauthIntegrityHashValue)
		}
	}
	c, _, err := negotiateWith(t, anyHash)
	require.NoError(t, err)
	require.EqualValues(t, smb2.SIGNING_AES_CMAC, c.signingId, "no context")
}

func TestWhatWasNotOfferedIsNotTaken(t *testing.T) {
	for _, wrong := range []*smb2.SigningContext{chose(3), chose(0xffff), chose(), chose(smb2.SIGNING_AES_GMAC, smb2.SIGNING_AES_CMAC)} {
		_, _, err := negotiateWith(t, anyHash, wrong)
		require.IsType(t, &InvalidResponseError{}, err)
	}
}

func TestNegotiateOffersGmacFirst(t *testing.T) {
	_, request, err := negotiateWith(t, anyHash, chose(smb2.SIGNING_AES_GMAC))
	require.NoError(t, err)
	require.Contains(t, string(request), "\x08\x00\x08\x00\x00\x00\x00\x00"+"\x03\x00"+"\x02\x00\x01\x00\x00\x00")
	for _, dialect := range []uint16{smb2.SMB302, smb2.SMB210} {
		req, err := (&Negotiator{SpecifiedDialect: dialect}).makeRequest()
		require.NoError(t, err)
		require.Empty(t, req.Contexts)
	}
}
