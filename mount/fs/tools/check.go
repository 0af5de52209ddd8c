package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/smb"
)

// Checked is the answer of `check`: each route by its name, and whether all lead to one server. fs/README.md ("check") has its members.
type Checked struct {
	Routes  map[string]*Route `json:"routes"`
	Verdict string            `json:"verdict"`
	By      *string           `json:"by"`
	Text    *string           `json:"text"`
}

// Route is the result of a route: an error, or the share as it was opened.
type Route struct {
	Error any `json:"error,omitempty"`
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
	Entries    int     `json:"entries"`   // in the root
	Snapshots  int     `json:"snapshots"` // that the server lists
}

// verdict is the result of the comparisons: that of all routes is the highest one.
type verdict int

const (
	noneOpened verdict = iota
	firstServer
	sameServer
	emptyShare
	unproved
	differentServer
)

func (v verdict) String() string {
	return []string{"none", "first", "same", "empty", "unproved", "different"}[v]
}

// How often entries that differ from the record are read: they may be changing at that moment.
const (
	comparesAtMost    = 3
	compareAgainAfter = time.Second
)

// check is one run of the command.
type check struct {
	Request
	// What each server is compared with: the share's record, or else one that is made of the first server; nil: none yet.
	known        *identity.Record
	isRecorded   bool   // known is the share's record
	firstAddress string // of the first route that opened the share; empty: none yet
	// So far: the verdict of all routes, why, and by what the servers are the same.
	verdict verdict
	text    string
	by      identity.Proof
}

// Check signs in over the routes, one after another, and compares the servers. isOpen: the share was opened over at least one.
func (r Request) Check(ctx context.Context) (checked Checked, isOpen bool) {
	c := check{Request: r, known: r.recorded()}
	c.isRecorded = c.known != nil
	checked.Routes = map[string]*Route{}
	for _, each := range r.Routes {
		began := time.Now()
		route := &Route{}
		if opened, err := c.checkRoute(ctx, each); err != nil {
			route.Error = smb.Detail(err)
		} else {
			route.Opened, isOpen = opened, true
		}
		route.TookMs = time.Since(began).Milliseconds()
		checked.Routes[each.Name] = route
	}
	if c.verdict == firstServer || c.verdict == sameServer || c.verdict == emptyShare {
		c.writeRecord()
	}
	checked.Verdict = c.verdict.String()
	if c.verdict == sameServer {
		checked.By = new(string(c.by))
	}
	if c.verdict > sameServer {
		checked.Text = &c.text
	}
	return checked, isOpen
}

// checkRoute opens the share over a route, and compares its server.
func (c *check) checkRoute(ctx context.Context, route smb.Route) (*Opened, error) {
	conn, err := c.signIn(ctx, route, c.known)
	if err != nil {
		var other otherServer
		if errors.As(err, &other) {
			c.add(identity.Verdict{Proof: identity.Different, Text: string(other)}, route)
		}
		return nil, err
	}
	defer context.AfterFunc(ctx, conn.Reset)()
	defer conn.LogOff(logOffWithin)
	listed, err := identity.ListRoot(conn.Share)
	if err != nil {
		return nil, err
	}
	opened := describe(conn, len(listed))
	result, err := c.compare(ctx, conn, listed)
	if err != nil {
		return nil, err
	}
	c.add(result, route)
	if result.IsSame() || result.Proof == identity.ByGuid {
		c.known.Protect(conn.Proved(), conn.Share, false)
	}
	if c.firstAddress == "" {
		c.firstAddress = route.Address
	}
	return opened, nil
}

// compare compares the server with known, up to three times while it differs.
func (c *check) compare(ctx context.Context, conn *smb.Connection, listed []identity.Entry) (identity.Verdict, error) {
	var entries []identity.Entry
	if c.known != nil {
		entries = c.known.Entries
	}
	for try := 1; ; try++ {
		now, err := identity.ReadRoot(conn.Share, conn.Server().Guid, entries)
		if err != nil {
			return identity.Verdict{}, err
		}
		toRecord := identity.LongestUnchanged(identity.WithFiles(conn.Share, listed))
		if c.known == nil {
			return c.makeRecord(now, toRecord), nil
		}
		result := c.known.Recognize(now)
		if result.IsSame() {
			c.known = new(c.known.Updated(result, now, toRecord, false))
		}
		isLast := try == comparesAtMost
		if isLast {
			result.Text += ". " + now.Shows(c.Account.Share)
		}
		if result.IsSame() || isLast || result.Proof == identity.ByGuid {
			return result, nil
		}
		select {
		case <-time.After(compareAgainAfter):
		case <-ctx.Done():
			return result, ctx.Err()
		}
	}
}

// makeRecord makes known of the first server.
func (c *check) makeRecord(now identity.Reading, entries []identity.Entry) identity.Verdict {
	mapping := identity.NameMappingOf(c.State, c.Account.Share)
	c.known = &identity.Record{Guid: now.Guid, Share: c.Account.Share, NameMapping: mapping, Root: now.Root, Entries: entries}
	if len(entries) == 0 {
		return identity.Verdict{Proof: identity.ByGuid, Text: "it is empty: nothing in it can be recognized"}
	}
	return identity.Verdict{Proof: identity.First}
}

// add adds the result of a route to the verdict of all.
func (c *check) add(result identity.Verdict, route smb.Route) {
	next, text := c.verdictOf(result), result.Text
	switch {
	case next == differentServer && c.firstAddress != "":
		text = fmt.Sprintf("%s is another server than %s: %s", route.Address, c.firstAddress, text)
	case next == differentServer:
		text = fmt.Sprintf("%s is another server: %s", route.Address, text)
	}
	if next > c.verdict {
		c.verdict, c.text = next, text
	}
	if result.Proof == identity.ByEntries || result.Proof == identity.ByCreation && c.by == "" {
		c.by = result.Proof
	}
}

func (c *check) verdictOf(result identity.Verdict) verdict {
	switch {
	case result.IsSame() && (c.firstAddress != "" || c.isRecorded):
		return sameServer
	case result.IsSame():
		return firstServer
	case result.Proof == identity.ByGuid:
		return emptyShare
	case result.Proof == identity.Different:
		return differentServer
	}
	return unproved
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

// writeRecord makes known the share's record. If a person accepts any server, the record before is archived.
func (c *check) writeRecord() {
	if c.State == "" || c.KeepRecord {
		return
	}
	if c.NewServer {
		_ = identity.Archive(c.State, time.Now())
	}
	_ = c.known.Write(c.State)
}
