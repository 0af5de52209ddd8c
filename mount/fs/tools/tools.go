// Package tools checks and lists servers and shares without mounting anything. Each command signs in on its own (smb.SignIn), compares the
// server with the record in the share's folder (identity), and logs off; nothing is shared between commands and nothing is held while they wait.
package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/smb"
)

// Request has the routes, the account and the record to compare with.
type Request struct {
	Account smb.Account
	Routes  []smb.Route
	Logins  *logins.Account
	// The share's folder in the home, whose record a server is compared with before it gets a login; empty: there is none.
	State string
	// The record is only read.
	KeepRecord bool
	// A person accepts whatever server answers.
	NewServer bool
}

const logOffWithin = 300 * time.Millisecond

// recorded is the record of the share's server; nil: there is none, or a person accepts any server.
func (r Request) recorded() *identity.Record {
	if r.State == "" || r.NewServer {
		return nil
	}
	return identity.Read(r.State, r.Account.Share)
}

// otherServer is why a server is not the recorded one.
type otherServer string

func (o otherServer) Error() string { return "it is another server: " + string(o) }

// signIn opens a session over a route. The server is compared with the record (nil: not at all) before it gets a byte of the login.
func (r Request) signIn(ctx context.Context, route smb.Route, known *identity.Record) (*smb.Connection, error) {
	refusal := func(text string) error {
		if text == "" {
			return nil
		}
		return smb.Fail(smb.OtherServer, fmt.Errorf("%s: %w", route.Address, otherServer(text)))
	}
	c, err := smb.SignIn{
		Account: r.Account, Route: route, Traffic: &smb.Traffic{},
		BeforeLogin: func(server smb2.Server) error { return refusal(known.Refusal(server)) },
		Turn: func(ctx context.Context, server smb2.Server) (smb.Turn, error) {
			return r.Logins.Enter(ctx, server, route)
		},
	}.Do(ctx)
	if err == nil && c.Share != nil {
		if err = refusal(known.RefusalOf(c.Share)); err != nil {
			c.LogOff(logOffWithin)
		}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// first opens a session over the first route that answers.
func (r Request) first(ctx context.Context, known *identity.Record) (c *smb.Connection, err error) {
	for _, each := range r.Routes {
		if c, err = r.signIn(ctx, each, known); err == nil || smb.CodeOf(err) != smb.NoAnswer {
			break
		}
	}
	if err == nil {
		context.AfterFunc(ctx, c.Reset)
	}
	return c, err
}

// Shares is the answer of the command of that name.
type Shares struct {
	Server struct {
		Guid    string `json:"guid"`
		Dialect string `json:"dialect"`
	} `json:"server"`
	Shares []Share `json:"shares"`
}

type Share struct {
	Name    string `json:"name"`
	Comment string `json:"comment"`
}

// ListShares lists the shares of the server.
func (r Request) ListShares(ctx context.Context) (s Shares, err error) {
	known := r.recorded()
	r.Account.Share = ""
	c, err := r.first(ctx, known)
	if err != nil {
		return s, err
	}
	defer c.LogOff(logOffWithin)
	s.Server.Guid, s.Server.Dialect, s.Shares = identity.GuidOf(c.Server().Guid), c.Server().Dialect, []Share{}
	all, err := c.Shares()
	for _, each := range all {
		s.Shares = append(s.Shares, Share{each.Name, each.Comment})
	}
	slices.SortFunc(s.Shares, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	return s, err
}

// Listing is the answer of `list`.
type Listing struct {
	Entries []Entry `json:"entries"`
	More    bool    `json:"more"`
}

type Entry struct {
	Name       string `json:"name"`
	Folder     bool   `json:"folder"`
	Size       int64  `json:"size"`
	ModifiedAt int64  `json:"modified_at"`
	CreatedAt  int64  `json:"created_at"`
}

// List lists a folder of the share.
func (r Request) List(ctx context.Context, path string, most int) (l Listing, err error) {
	c, err := r.first(ctx, r.recorded())
	if err != nil {
		return l, err
	}
	defer c.LogOff(logOffWithin)
	folder, err := c.Share.OpenFolder(path)
	if err != nil {
		return l, err
	}
	defer folder.Close()
	l.Entries = []Entry{}
	for {
		page, err := folder.List()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		for _, each := range page {
			if len(l.Entries) == most {
				l.More = true
				return l, nil
			}
			l.Entries = append(l.Entries, Entry{each.FileName, each.IsDir(), each.EndOfFile, each.LastWriteTime.UnixMilli(), each.CreationTime.UnixMilli()})
		}
	}
}
