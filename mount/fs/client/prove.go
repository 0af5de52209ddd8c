package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// Each sign-in checks twice that the server is the recorded one: checkServer before the login (GUID and dialect), prove after it (encryption, and
// entries of the share). Each fails with the code OtherServer. What prove has read becomes part of the record once the session is used (record.go).

const (
	// How long prove may take: the server's disks may have to wake up.
	provedWithin = 30 * time.Second
	// How many entries prove reads while the other session to the server is alive.
	knownAtMost = 8
)

// serverCheck is the result of prove.
type serverCheck struct {
	verdict identity.Verdict
	reading identity.Reading
	// It is not the recorded server, but a person accepts it.
	isReplacement bool
}

// checkServer compares the server with the record before it gets a byte of the login. A server in another network that has the same address
// could otherwise attack the password, and its refusals would count against the account.
func (cl *Client) checkServer(route smb.Route, server smb2.Server) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	guid := identity.GuidOf(server.Guid)
	text := cl.record.Refusal(server)
	if text == "" || cl.isAccepted(guid) {
		return nil
	}
	return cl.recordOther(route, OtherServer{Guid: guid, Text: "is another server: " + text})
}

// isAccepted: a person accepts the server with that GUID in place of the recorded one. The caller holds mu.
func (cl *Client) isAccepted(guid string) bool {
	return cl.acceptedGuid != nil && *cl.acceptedGuid == guid
}

// recordOther records that a route leads to another server, and returns the error. For a route that is no longer configured it records nothing,
// as nothing would ever clear that. The caller holds mu.
func (cl *Client) recordOther(route smb.Route, other OtherServer) error {
	other.Route, other.Address = route.Name, route.Address
	if slices.Contains(cl.routes, route) {
		cl.other = &other
		cl.wakeWaiters()
	}
	return smb.Fail(smb.OtherServer, fmt.Errorf("%s %s", route.Address, other.Text))
}

// prove compares the server with the record after the login, before any file is opened again. The result is in c.checked.
func (cl *Client) prove(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, provedWithin)
	defer cancel()
	defer context.AfterFunc(ctx, c.Reset)()
	guid := identity.GuidOf(c.Server().Guid)
	cl.mu.Lock()
	record, isAccepted := cl.record, cl.isAccepted(guid)
	var living *Conn
	if cl.current != nil {
		living = cmp.Or(cl.current.files, cl.current.names)
	}
	if text := record.RefusalOf(c.Share); text != "" && !isAccepted {
		defer cl.mu.Unlock()
		return cl.recordOther(c.Route, OtherServer{Guid: guid, Text: "is another server: " + text})
	}
	cl.mu.Unlock()
	known := cl.recordToProve(record, living != nil)
	now, err := identity.ReadRoot(c.Share, c.Server().Guid, known.Entries)
	if err != nil {
		return fmt.Errorf("reading the root: %w", err)
	}
	c.checked = serverCheck{verdict: identity.Verdict{Proof: identity.First}, reading: now}
	if record == nil {
		return nil
	}
	verdict := known.Recognize(now)
	if !verdict.IsSame() && verdict.SameRoot && living != nil {
		verdict = cl.compareWith(living, c, verdict)
	}
	c.checked.verdict = verdict
	switch {
	case verdict.IsSame() || verdict.Proof == identity.ByGuid:
		return nil
	case isAccepted:
		c.checked.isReplacement = true
		return nil
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	text := fmt.Sprintf("is another server: %s. %s", verdict.Text, now.Shows(cl.account.Share))
	return cl.recordOther(c.Route, OtherServer{Guid: guid, Text: text, NothingKnown: verdict.NothingKnown})
}

// recordToProve is the record with the known files before its entries; isShort: only a few of all. Without a record it is empty.
func (cl *Client) recordToProve(record *identity.Record, isShort bool) (known identity.Record) {
	if record == nil {
		return known
	}
	known = *record
	known.Entries = append(cl.options.Known(), known.Entries...)
	if isShort {
		known.Entries = known.Entries[:min(len(known.Entries), knownAtMost)]
	}
	return known
}

// compareWith is for a share in which every recorded entry has changed: it compares what c shows now with what the living session shows. It
// returns verdict if it cannot read both in time.
func (cl *Client) compareWith(living, c *Conn, verdict identity.Verdict) identity.Verdict {
	compared := make(chan identity.Verdict, 1)
	safely.Go(func() {
		proved, err := identity.ReadRoot(living.Share, living.Server().Guid, nil)
		if err != nil {
			return
		}
		record := identity.Record{Guid: proved.Guid, Root: proved.Root, Entries: identity.LongestUnchanged(proved.Listed)}
		if now, err := identity.ReadRoot(c.Share, c.Server().Guid, record.Entries); err == nil {
			compared <- record.Recognize(now)
		}
	})
	if by, err := Await(cl.life, nil, compared, time.Now().Add(recordedWithin)); err == nil {
		return by
	}
	return verdict
}
