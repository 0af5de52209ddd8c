package smb

import (
	"fmt"
	"strings"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// Connection is a TCP connection with one SMB session, and in it the share. Once it has ended it is not used again.
type Connection struct {
	Route   Route
	Cable   Cable
	Share   *smb2.Share
	session *smb2.Session
	wire    *wire
	// How far the server's clock is ahead of this machine's.
	ClockAhead time.Duration
}

// Id is the session id, which a later sign-in may name as Previous.
func (c *Connection) Id() uint64 { return c.session.Id() }

func (c *Connection) Server() smb2.Server { return c.session.Server() }

// Proved is the dialect if the session is signed, which proves it; empty: a guest's session is not.
func (c *Connection) Proved() string {
	if c.session.IsUnsigned() {
		return ""
	}
	return c.Server().Dialect
}

func (c *Connection) Signing() string { return c.session.Signing() }

// LastReceived is when bytes last came from the server, Monotonic.
func (c *Connection) LastReceived() time.Duration { return time.Duration(c.wire.received.Load()) }

// Ended is closed when the connection has ended.
func (c *Connection) Ended() <-chan struct{} { return c.wire.ended }

// Reset ends the connection, without sending what waits to be sent.
func (c *Connection) Reset() { c.wire.reset() }

// LogOff ends the session, and then the connection, even if the server does not answer.
func (c *Connection) LogOff(within time.Duration) {
	timer := time.AfterFunc(within, c.Reset)
	defer timer.Stop()
	_ = c.session.Logoff()
	c.Reset()
}

// Shares are the disk shares of the server, without administrative ones.
func (c *Connection) Shares() (shares []smb2.ShareInfo, err error) {
	all, err := c.session.ListShares()
	for _, each := range all {
		if each.Type() == smb2.ShareTypeDiskTree && !each.IsSpecial() && !strings.HasSuffix(each.Name, "$") {
			shares = append(shares, each)
		}
	}
	return shares, err
}

const sharesNamed = 12

// otherShares adds the names of the server's shares to the error that it has none of that name.
func (c *Connection) otherShares(share string, err error) error {
	shares, _ := c.Shares()
	var names []string
	for _, each := range shares[:min(len(shares), sharesNamed)] {
		names = append(names, fmt.Sprintf("%q", each.Name))
	}
	if len(names) == 0 {
		return err
	}
	return fmt.Errorf("the server has no share %q; it has %s (%w)", share, strings.Join(names, ", "), err)
}

// Also connects to another share in the same session.
func (c *Connection) Also(share string) (*smb2.Share, error) { return c.session.Mount(share) }

// Echo waits for the answer to an ECHO.
func (c *Connection) Echo() error { return c.session.Echo() }
