package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/smb"
)

// Checked is the answer of `check`.
type Checked struct {
	Routes  map[string]*Route `json:"routes"`
	Verdict string            `json:"verdict"`
	By      *string           `json:"by"`
	Text    *string           `json:"text"`
}

// Route is the result of a route.
type Route struct {
	Error any `json:"error,omitempty"`
	// nil: the share could not be opened.
	*Opened
	TookMs int64 `json:"took_ms"`
}

// Opened is the share as it was opened over a route.
type Opened struct {
	Guid       string  `json:"guid"`
	Dialect    string  `json:"dialect"`
	Signing    *string `json:"signing"`
	Encryption *string `json:"encryption"`
	ReadOnly   bool    `json:"read_only"`
	FreeBytes  uint64  `json:"free_bytes"`
	TotalBytes uint64  `json:"total_bytes"`
	Entries    int     `json:"entries"`
	// How many snapshots the server lists.
	Snapshots int `json:"snapshots"`
}

// The verdicts, each of which outweighs those before it.
const (
	none = iota
	first
	same
	empty
	unproved
	different
)

var verdicts = []string{"none", "first", "same", "empty", "unproved", "different"}

// How often entries that differ are read: they may be changing.
const (
	comparesAtMost    = 3
	compareAgainAfter = time.Second
)

// check compares one route after another.
type check struct {
	Request
	known *identity.Record
	// known was recorded; else it is from the first route.
	isRecorded bool
	before     string // the address of the first route that opened the share
	verdict    int
	by         identity.Proof
	text       string
}

// Check signs in over all routes and compares the servers. isOpen: the share was opened over at least one.
func (r Request) Check(ctx context.Context) (checked Checked, isOpen bool) {
	c := check{Request: r, known: r.recorded()}
	c.isRecorded = c.known != nil
	checked.Routes = map[string]*Route{}
	for _, each := range r.Routes {
		began := time.Now()
		route := &Route{}
		if err := c.route(ctx, each, route); err != nil {
			route.Error, route.Opened = smb.Detail(err), nil
		} else {
			isOpen = true
		}
		route.TookMs = time.Since(began).Milliseconds()
		checked.Routes[each.Name] = route
	}
	if c.verdict == first || c.verdict == same || c.verdict == empty {
		c.record()
	}
	checked.Verdict = verdicts[c.verdict]
	if c.verdict == same {
		by := string(c.by)
		checked.By = &by
	}
	if c.verdict > same {
		checked.Text = &c.text
	}
	return checked, isOpen
}

func (c *check) route(ctx context.Context, route smb.Route, shown *Route) error {
	conn, err := c.signIn(ctx, route, c.known)
	if err != nil {
		var other otherServer
		if errors.As(err, &other) {
			c.add(identity.Verdict{Proof: identity.Different, Text: string(other)}, route)
		}
		return err
	}
	defer context.AfterFunc(ctx, conn.Reset)()
	defer conn.LogOff(logOffWithin)
	listed, err := identity.ListRoot(conn.Share)
	if err != nil {
		return err
	}
	shown.Opened = describe(conn, len(listed))
	verdict, err := c.compare(ctx, conn, listed)
	if err != nil {
		return err
	}
	c.add(verdict, route)
	if verdict.IsSame() || verdict.Proof == identity.ByGuid {
		c.known.Protect(conn.Proved(), conn.Share, false)
	}
	if c.before == "" {
		c.before = route.Address
	}
	return nil
}

// compare compares the server with the record, up to three times while it differs. Without a record it makes one.
func (c *check) compare(ctx context.Context, conn *smb.Connection, listed []identity.Entry) (identity.Verdict, error) {
	var entries []identity.Entry
	if c.known != nil {
		entries = c.known.Entries
	}
	for looks := 1; ; looks++ {
		now, err := identity.ReadRoot(conn.Share, conn.Server().Guid, entries)
		if err != nil {
			return identity.Verdict{}, err
		}
		steadiest := identity.LongestUnchanged(identity.WithFiles(conn.Share, listed))
		if c.known == nil {
			characters := identity.CharactersOf(c.State, c.Account.Share)
			c.known = &identity.Record{Guid: now.Guid, Share: c.Account.Share, Characters: characters, Root: now.Root, Entries: steadiest}
			if len(listed) == 0 {
				return identity.Verdict{Proof: identity.ByGuid, Text: "it is empty: nothing in it can be recognized"}, nil
			}
			return identity.Verdict{Proof: identity.First}, nil
		}
		verdict := c.known.Recognize(now)
		if verdict.IsSame() {
			next := c.known.Updated(verdict, now, steadiest, false)
			c.known = &next
		}
		if looks == comparesAtMost {
			verdict.Text += ". " + now.Shows(c.Account.Share)
		}
		if verdict.IsSame() || looks == comparesAtMost || verdict.Proof == identity.ByGuid {
			return verdict, nil
		}
		select {
		case <-time.After(compareAgainAfter):
		case <-ctx.Done():
			return verdict, ctx.Err()
		}
	}
}

// add merges a route's verdict into the verdict of all.
func (c *check) add(verdict identity.Verdict, route smb.Route) {
	next, text := unproved, verdict.Text
	switch {
	case verdict.IsSame() && (c.before != "" || c.isRecorded):
		next = same
	case verdict.IsSame():
		next = first
	case verdict.Proof == identity.ByGuid:
		next = empty
	case verdict.Proof == identity.Different:
		next = different
	}
	switch {
	case next == different && c.before != "":
		text = fmt.Sprintf("%s is another server than %s: %s", route.Address, c.before, verdict.Text)
	case next == different:
		text = fmt.Sprintf("%s is another server: %s", route.Address, verdict.Text)
	}
	if next > c.verdict {
		c.verdict, c.text = next, text
	}
	if verdict.Proof == identity.ByEntries || verdict.Proof == identity.ByCreation && c.by == "" {
		c.by = verdict.Proof
	}
}

func describe(c *smb.Connection, entries int) *Opened {
	o := &Opened{Guid: identity.GuidOf(c.Server().Guid), Dialect: c.Server().Dialect, ReadOnly: c.Share.IsReadOnly(), Entries: entries}
	if signing := c.Signing(); signing != "" {
		o.Signing = &signing
	}
	if encryption := c.Share.Encryption(); encryption != "" {
		o.Encryption = &encryption
	}
	if space, err := c.Share.Space(""); err == nil {
		o.FreeBytes, o.TotalBytes = space.AvailableBlockCount()*space.BlockSize(), space.TotalBlockCount()*space.BlockSize()
	}
	if root, err := c.Share.OpenFolder(""); err == nil {
		times, _ := root.Snapshots()
		_, _ = root.Close()
		o.Snapshots = len(times)
	}
	return o
}

// record writes the record of a server that was recognized, or is the first one.
func (c *check) record() {
	if c.State == "" || c.KeepRecord {
		return
	}
	if c.NewServer {
		_ = identity.Archive(c.State, time.Now())
	}
	_ = c.known.Write(c.State)
}
