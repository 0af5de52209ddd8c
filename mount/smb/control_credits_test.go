package smb2

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// counting counts the credits that are left when something is sent. No answer comes.
type counting struct {
	*deadTransport
	account *account
	left    chan int
}

func (t *counting) Write(p []byte) (int, error) {
	t.left <- len(t.account.balance)
	return len(p), nil
}

// Else the client counts one credit more than the server for each of these requests, and sends what the server refuses then.
func TestAControlRequestTakesACredit(t *testing.T) {
	for name, ask := range map[string]func(*session){
		"tree connect":    func(s *session) { _, _ = treeConnect(context.Background(), s, `\\server\share`, 0, 0) },
		"tree disconnect": func(s *session) { _ = (&treeConn{session: s}).disconnect(context.Background()) },
		"echo":            func(s *session) { _ = s.echo(context.Background()) },
		"log off":         func(s *session) { _ = s.logoff(context.Background()) },
	} {
		wire := &counting{deadTransport: newDeadTransport(), left: make(chan int, 8)}
		c := newTestConn(wire)
		wire.account = c.account
		c.account.settle(4, 4)
		s := &session{conn: c, sessionFlags: smb2.SMB2_SESSION_FLAG_IS_GUEST}
		c.session.Store(s)
		before := len(c.account.balance)
		go ask(s)
		require.Equal(t, before-1, <-wire.left, name)
		_ = wire.Close()
	}
}
