package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// A route has this long before the next one is tried alongside.
const headStart = 300 * time.Millisecond

// raced is the result of a race: a connection, or why there is none.
type raced struct {
	conn *Conn
	err  error
}

// race signs in over these routes at the same time: each starts a head start after the one before, or once that one has failed. The first
// session wins; the other sign-ins are cancelled.
func (cl *Client) race(ctx context.Context, routes []smb.Route, session Session) raced {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(routes) == 0 {
		return raced{err: smb.Fail(smb.NoAnswer, errors.New("no route may be used"))}
	}
	results := make(chan raced, len(routes))
	var first error
	running, next := 0, 0
	start := func() {
		route := routes[next]
		next++
		running++
		safely.Go(func() {
			conn, err := safely.Do(func() (*Conn, error) { return cl.signIn(ctx, route, session) })
			results <- raced{conn, err}
		})
	}
	start()
	for running > 0 {
		var after <-chan time.Time
		if next < len(routes) {
			after = time.After(headStart)
		}
		select {
		case got := <-results:
			running--
			if got.conn != nil {
				cancel()
				safely.Go(func() { dropLate(results, running) })
				return got
			}
			if first == nil || smb.CodeOf(first) == smb.NoAnswer {
				first = got.err
			}
			if next < len(routes) {
				start()
			}
		case <-after:
			start()
		}
	}
	return raced{err: first}
}

// dropLate ends sessions that lost the race.
func dropLate(results <-chan raced, running int) {
	for range running {
		if late := <-results; late.conn != nil {
			late.conn.LogOff(logOffWithin)
		}
	}
}

// signIn opens a session over that route, and proves that it is the right server's. If the server does not end the previous session in time,
// which Samba may take a minute for, it signs in again without naming one.
func (cl *Client) signIn(ctx context.Context, route smb.Route, session Session) (*Conn, error) {
	p := cl.nextPrevious()
	c, err := cl.signInEnding(ctx, route, session, p)
	if errors.Is(err, smb.ErrNotEnded) {
		cl.logf("%s: the server does not end the session before: it will be asked again", route.Name)
		c, err = cl.signInEnding(ctx, route, session, nil)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			cl.logChange(route.Name, err.Error())
		}
		return nil, err
	}
	if err := cl.prove(ctx, c); err != nil {
		cl.logChange(route.Name, err.Error())
		c.LogOff(logOffWithin)
		return nil, err
	}
	cl.logChange(route.Name, fmt.Sprintf("signed in (%s)%s", session, c.Cable))
	return c, nil
}

// signInEnding opens a session and has the server end the previous one, if given (PreviousSessionId): it has done so when it answers.
func (cl *Client) signInEnding(ctx context.Context, route smb.Route, session Session, p *previousSession) (*Conn, error) {
	cl.mu.Lock()
	account := cl.account
	cl.signIns++
	number := cl.signIns
	cl.mu.Unlock()
	request := smb.SignIn{Account: account, Route: route, Traffic: &cl.traffic, BeforeLogin: func(server smb2.Server) error {
		return cl.checkServer(route, server)
	}}
	if p != nil {
		request.Previous = p.id
	}
	if cl.options.Logins != nil {
		request.Turn = func(ctx context.Context, server smb2.Server) (smb.Turn, error) {
			return cl.options.Logins.Enter(ctx, server, route)
		}
	}
	got, err := request.Do(ctx)
	if err != nil {
		return nil, err
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if p != nil {
		cl.forgetPrevious(p.id)
	}
	cl.opened++
	c := &Conn{Connection: got, Number: number, client: cl}
	safely.Go(func() {
		<-c.Ended()
		cl.lose(c, Ended)
	})
	return c, nil
}

// checkServer compares the server with the recorded one before it gets a byte of the login. A server in another network that has the same
// address could otherwise attack the password, and its refusals would count against the account.
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

// knownFiles are files by which the server is recognized, besides those of the record.
func (cl *Client) knownFiles() []identity.Entry {
	if cl.options.Known == nil {
		return nil
	}
	return cl.options.Known()
}

// serverCheck is the comparison of the server with the record, after a sign-in.
type serverCheck struct {
	verdict identity.Verdict
	reading identity.Reading
	// It is another server, which a person accepts.
	isAccepted bool
}

// How many entries are compared while another session to the server is alive.
const knownAtMost = 8

// The server's disks may have to wake up.
const provedWithin = 30 * time.Second

// prove compares the server with the record before any file is opened again.
func (cl *Client) prove(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, provedWithin)
	defer cancel()
	defer context.AfterFunc(ctx, c.Reset)()
	cl.mu.Lock()
	guid := identity.GuidOf(c.Server().Guid)
	record, isLetIn := cl.record, cl.isAccepted(guid)
	var living *Conn
	if cl.current != nil {
		living = cmp.Or(cl.current.files, cl.current.names)
	}
	text := record.RefusalOf(c.Share)
	if text != "" && !isLetIn {
		defer cl.mu.Unlock()
		return cl.recordOther(c.Route, OtherServer{Guid: guid, Text: "is another server: " + text})
	}
	cl.mu.Unlock()
	var known identity.Record
	if record != nil {
		known = *record
		known.Entries = append(cl.knownFiles(), known.Entries...)
		if living != nil {
			known.Entries = known.Entries[:min(len(known.Entries), knownAtMost)]
		}
	}
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
		verdict = cl.compare(living, c, verdict)
	}
	c.checked.verdict = verdict
	switch {
	case verdict.IsSame() || verdict.Proof == identity.ByGuid:
		return nil
	case isLetIn:
		c.checked.isAccepted = true
		return nil
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	text = fmt.Sprintf("is another server: %s. %s", verdict.Text, now.Shows(cl.account.Share))
	return cl.recordOther(c.Route, OtherServer{Guid: guid, Text: text, NothingKnown: verdict.NothingKnown})
}

// compare compares c with a connection that is alive, where every recorded entry has changed; verdict stays if that fails.
func (cl *Client) compare(living, c *Conn, verdict identity.Verdict) identity.Verdict {
	compared := make(chan identity.Verdict, 1)
	safely.Go(func() {
		before, err := identity.ReadRoot(living.Share, living.Server().Guid, nil)
		shown := identity.Record{Guid: before.Guid, Root: before.Root, Entries: identity.LongestUnchanged(before.Listed)}
		if err == nil {
			before, err = identity.ReadRoot(c.Share, c.Server().Guid, shown.Entries)
		}
		if err == nil {
			compared <- shown.Recognize(before)
		}
	})
	if by, err := Await(cl.life, nil, compared, time.Now().Add(recordedWithin)); err == nil {
		return by
	}
	return verdict
}

// recordProof updates the record from a sign-in that was proved. The caller holds mu.
func (cl *Client) recordProof(c *Conn) {
	isLetIn := cl.isAccepted(c.checked.reading.Guid)
	if c.checked.isAccepted {
		cl.forgetServer()
	}
	cl.acceptedGuid, cl.other = nil, nil
	c.ServerNumber, cl.clockAhead = cl.serverNumber, c.ClockAhead
	if cl.record == nil {
		if cl.options.Folder != "" {
			if err := identity.Archive(cl.options.Folder, time.Now()); err != nil {
				cl.logf("the old record of the server cannot be kept: %v", err)
			}
		}
		cl.record = &identity.Record{Guid: c.checked.reading.Guid, Share: cl.account.Share, Characters: cl.characters, Root: c.checked.reading.Root}
		cl.proof = identity.First
	} else {
		next := cl.record.Updated(c.checked.verdict, c.checked.reading, cl.record.Entries, cl.outage != nil)
		cl.record, cl.proof = &next, c.checked.verdict.Proof
	}
	cl.record.Protect(c.Proved(), c.Share, isLetIn)
	safely.Go(func() { cl.updateRecord(c) })
}

// updateRecord records entries of the share, by which the server is recognized the next time.
func (cl *Client) updateRecord(c *Conn) {
	cl.recording.Lock()
	defer cl.recording.Unlock()
	cl.mu.Lock()
	requests := cl.requestCount
	cl.mu.Unlock()
	root, err := c.Share.StatAt("")
	listed, e := identity.ListRoot(c.Share)
	if err != nil || e != nil {
		return
	}
	entries := identity.WithFiles(c.Share, listed)
	cl.mu.Lock()
	if cl.record == nil {
		cl.mu.Unlock()
		return
	}
	before := cl.record.Entries
	cl.mu.Unlock()
	if len(listed) > 0 && !identity.HasFile(entries) {
		// Known files may lie deeper than ListRoot and WithFiles search.
		if now, err := identity.ReadRoot(c.Share, c.Server().Guid, before); err == nil {
			entries = append(entries, slices.Collect(maps.Values(now.Found))...)
		}
	}
	for _, each := range cl.knownFiles() {
		isThere := slices.ContainsFunc(entries, func(one identity.Entry) bool { return one.Path == each.Path })
		if each.Written != 0 && !isThere {
			entries = append(entries, each)
		}
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// The server may answer although its volume is gone.
	if cl.record == nil || c.isRetired || c.ServerNumber != cl.serverNumber || root.FileId != cl.record.Root.Id {
		return
	}
	next := *cl.record
	next.Entries = identity.LongestUnchanged(entries)
	cl.record, cl.isRootEmpty, cl.countAtRecord = &next, len(listed) == 0, requests
	if cl.options.Folder == "" {
		return
	}
	if err := next.Write(cl.options.Folder); err != nil {
		cl.logf("the server cannot be recorded: %v", err)
	}
}

const (
	recordTick = 10 * time.Second
	// In ticks: the first record, and then each further one.
	recordFirst, recordEvery = 6, 60
	// For this long after an answer a server's disks do not sleep.
	disksAwake = time.Minute
	// An unmount waits no longer for it.
	recordedWithin = 2 * time.Second
)

// RootChanged is called when this client has changed a name in the root: the record is outdated.
func (cl *Client) RootChanged() {
	select {
	case cl.rootChanged <- struct{}{}:
	default:
	}
}

// keepRecord updates the record now and then, but never wakes a disk for that.
func (cl *Client) keepRecord() {
	for ticks := recordFirst; ; ticks-- {
		select {
		case <-cl.options.After(recordTick):
		case <-cl.rootChanged:
			select {
			case <-cl.options.After(recordTick):
				ticks = 0
			case <-cl.life.Done():
			}
		case <-cl.life.Done():
		}
		if cl.life.Err() != nil {
			return
		}
		if c := cl.connToRecord(); ticks <= 0 && c != nil {
			cl.updateRecord(c)
			ticks = recordEvery
		}
	}
}

// connToRecord is the connection for files, if programs have sent requests since the last record and the server's disks are awake; else nil.
func (cl *Client) connToRecord() *Conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.current == nil || cl.current.files == nil || cl.requestCount == cl.countAtRecord || smb.Monotonic()-cl.current.files.LastReceived() > disksAwake {
		return nil
	}
	return cl.current.files
}

// recordLast updates the record for the next start.
func (cl *Client) recordLast() {
	if c := cl.connToRecord(); c != nil {
		_, _ = Await(cl.life, nil, safely.Done(func() { cl.updateRecord(c) }), time.Now().Add(recordedWithin))
	}
}
