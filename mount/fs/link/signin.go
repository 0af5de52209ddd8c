package link

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

// A route has this long before the next one is tried at the same time.
const headStart = 300 * time.Millisecond

// raced is the result of a race: a connection, or why there is none.
type raced struct {
	conn *Conn
	err  error
}

// race signs in over these routes, each later one a head start after the one before or as soon as those have failed. The first session wins;
// the others are given up.
func (l *Link) race(ctx context.Context, routes []smb.Route, session Session) raced {
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
			conn, err := safely.Do(func() (*Conn, error) { return l.signIn(ctx, route, session) })
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

// dropLate ends what came too late.
func dropLate(results <-chan raced, running int) {
	for range running {
		if late := <-results; late.conn != nil {
			late.conn.LogOff(logOffWithin)
		}
	}
}

// signIn opens a session over that route, and makes sure that it is the right server's. Sign-ins take turns: one that names a lost session,
// which Samba may not answer for a minute, and one that does not.
func (l *Link) signIn(ctx context.Context, route smb.Route, session Session) (*Conn, error) {
	o := l.nextPrevious()
	c, err := l.signInNaming(ctx, route, session, o)
	if errors.Is(err, smb.ErrNotEnded) {
		l.logf("%s: the server does not end the session before: it is asked again later", route.Name)
		c, err = l.signInNaming(ctx, route, session, nil)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			l.logChange(route.Name, err.Error())
		}
		return nil, err
	}
	if err := l.prove(ctx, c); err != nil {
		l.logChange(route.Name, err.Error())
		c.LogOff(logOffWithin)
		return nil, err
	}
	l.logChange(route.Name, fmt.Sprintf("signed in (%s)%s", session, c.Cable))
	return c, nil
}

// signInNaming opens a session, and names o, if given, as the previous one: the server has ended that when it answers.
func (l *Link) signInNaming(ctx context.Context, route smb.Route, session Session, o *previousSession) (*Conn, error) {
	l.mu.Lock()
	account := l.account
	l.signIns++
	number := l.signIns
	l.mu.Unlock()
	request := smb.SignIn{Account: account, Route: route, Traffic: &l.traffic, BeforeLogin: func(server smb2.Server) error {
		return l.judge(route, server)
	}}
	if o != nil {
		request.Previous = o.id
	}
	if l.options.Logins != nil {
		request.Turn = func(ctx context.Context, server smb2.Server) (smb.Turn, error) {
			return l.options.Logins.Enter(ctx, server, route)
		}
	}
	got, err := request.Do(ctx)
	if err != nil {
		return nil, err
	}
	if o != nil {
		l.previousEnded(o)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	c := &Conn{Connection: got, Number: number, link: l, kind: session}
	safely.Go(func() {
		<-c.Ended()
		l.lost(c, Ended)
	})
	return c, nil
}

// judge compares the server with the recorded one before it gets a byte of the login: a stranger's server would get the answer to its
// challenge, refuse it twice, and so lock out the account at home.
func (l *Link) judge(route smb.Route, server smb2.Server) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	guid := identity.GuidOf(server.Guid)
	text := l.record.Refusal(server)
	if text == "" || l.isLetIn(guid) {
		return nil
	}
	return l.isOther(route, Other{Guid: guid, Text: "is another server: " + text})
}

// isLetIn: a person lets in the server with that GUID, as it is. The caller holds mu.
func (l *Link) isLetIn(guid string) bool { return l.letIn != nil && *l.letIn == guid }

// isOther records that a route leads to another server, unless the route is no longer configured: nothing would ever clear that. The caller
// holds mu.
func (l *Link) isOther(route smb.Route, other Other) error {
	other.Route, other.Address = route.Name, route.Address
	if slices.Contains(l.routes, route) {
		l.other = &other
		l.announce()
	}
	return smb.Fail(smb.OtherServer, fmt.Errorf("%s %s", route.Address, other.Text))
}

// learnt is what a sign-in has shown of the server.
type learnt struct {
	verdict identity.Verdict
	now     identity.Reading
	// Another server, which a person lets in.
	isLetIn bool
}

// A server that is known to be there is not compared in full.
const knownAtMost = 8

// The server's disks may have to wake up.
const provedWithin = 30 * time.Second

// prove compares what the server shows with what is known of it, before any file is opened again.
func (l *Link) prove(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, provedWithin)
	defer cancel()
	defer context.AfterFunc(ctx, c.Reset)()
	l.mu.Lock()
	guid := identity.GuidOf(c.Server().Guid)
	record, isLetIn := l.record, l.isLetIn(guid)
	var living *Conn
	if l.current != nil {
		living = cmp.Or(l.current.files, l.current.names)
	}
	text := record.RefusalOf(c.Share)
	if text != "" && !isLetIn {
		defer l.mu.Unlock()
		return l.isOther(c.Route, Other{Guid: guid, Text: "is another server: " + text})
	}
	l.mu.Unlock()
	var known identity.Record
	if record != nil {
		known = *record
		if l.options.Known != nil {
			known.Entries = append(l.options.Known(), known.Entries...)
		}
		if living != nil {
			known.Entries = known.Entries[:min(len(known.Entries), knownAtMost)]
		}
	}
	now, err := identity.ReadRoot(c.Share, c.Server().Guid, known.Entries)
	if err != nil {
		return fmt.Errorf("reading the root: %w", err)
	}
	c.learnt = learnt{verdict: identity.Verdict{Proof: identity.First}, now: now}
	if record == nil {
		return nil
	}
	verdict := known.Recognize(now)
	if !verdict.IsSame() && verdict.SameRoot && living != nil {
		verdict = l.compare(living, c, verdict)
	}
	c.learnt.verdict = verdict
	switch {
	case verdict.IsSame() || verdict.Proof == identity.ByGuid:
		return nil
	case isLetIn:
		c.learnt.isLetIn = true
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text = fmt.Sprintf("is another server: %s. %s", verdict.Text, now.Shows(l.account.Share))
	return l.isOther(c.Route, Other{Guid: guid, Text: text, Bare: verdict.Bare})
}

// compare asks a connection of before that still lives what it shows now, where nothing that is known is as it was.
func (l *Link) compare(living, c *Conn, verdict identity.Verdict) identity.Verdict {
	compared := make(chan identity.Verdict, 1)
	safely.Go(func() {
		before, err := identity.ReadRoot(living.Share, living.Server().Guid, nil)
		shown := identity.Record{Guid: before.Guid, Root: before.Root, Entries: identity.Steadiest(before.Listed)}
		if err == nil {
			before, err = identity.ReadRoot(c.Share, c.Server().Guid, shown.Entries)
		}
		if err == nil {
			compared <- shown.Recognize(before)
		}
	})
	if by, err := Await(l.life, nil, compared, time.Now().Add(rememberedWithin)); err == nil {
		return by
	}
	return verdict
}

// trust takes over what the sign-in has shown. The caller holds mu.
func (l *Link) trust(c *Conn) {
	isLetIn := l.isLetIn(c.learnt.now.Guid)
	if c.learnt.isLetIn {
		l.takeIn()
	}
	l.letIn, l.other = nil, nil
	c.Epoch, l.ahead = l.epoch, c.Ahead
	if l.record == nil {
		if l.options.Folder != "" {
			if err := identity.Archive(l.options.Folder, time.Now()); err != nil {
				l.logf("the record of the server before cannot be kept: %v", err)
			}
		}
		l.record = &identity.Record{Guid: c.learnt.now.Guid, Share: l.account.Share, Characters: l.characters, Root: c.learnt.now.Root}
		l.proof = identity.First
	} else {
		next := l.record.Learn(c.learnt.verdict, c.learnt.now, l.record.Entries, l.outage != nil)
		l.record, l.proof = &next, c.learnt.verdict.Proof
	}
	l.record.Protect(c.Proved(), c.Share, isLetIn)
	safely.Go(func() { l.remember(c) })
}

// remember notes what the share has, so that the server is known the next time.
func (l *Link) remember(c *Conn) {
	l.remembering.Lock()
	defer l.remembering.Unlock()
	l.mu.Lock()
	requests := l.requests
	l.mu.Unlock()
	root, err := c.Share.Look("")
	listed, e := identity.ListRoot(c.Share)
	if err != nil || e != nil {
		return
	}
	entries := identity.WithFiles(c.Share, listed)
	l.mu.Lock()
	if l.record == nil {
		l.mu.Unlock()
		return
	}
	before := l.record.Entries
	l.mu.Unlock()
	if len(listed) > 0 && !identity.HasFile(entries) {
		// Known files may lie deeper than ListRoot and WithFiles search.
		if now, err := identity.ReadRoot(c.Share, c.Server().Guid, before); err == nil {
			entries = append(entries, slices.Collect(maps.Values(now.Found))...)
		}
	}
	if l.options.Known != nil {
		for _, each := range l.options.Known() {
			isThere := slices.ContainsFunc(entries, func(one identity.Entry) bool { return one.Path == each.Path })
			if each.Written != 0 && !isThere {
				entries = append(entries, each)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// The volume may have gone beneath a server that still answers.
	if l.record == nil || c.isAbandoned || c.Epoch != l.epoch || root.FileId != l.record.Root.Id {
		return
	}
	next := *l.record
	next.Entries = identity.Steadiest(entries)
	l.record, l.isEmpty, l.remembered = &next, len(listed) == 0, requests
	if l.options.Folder == "" {
		return
	}
	if err := next.Write(l.options.Folder); err != nil {
		l.logf("the server cannot be recorded: %v", err)
	}
}

const (
	rememberTick = 10 * time.Second
	// In ticks: after the first minute of work, and then.
	rememberFirst, rememberEvery = 6, 60
	// A server's disks sleep no sooner after its last answer.
	disksAwake = time.Minute
	// An unmount waits no longer for it.
	rememberedWithin = 2 * time.Second
)

// RootChanged: a name in the root was changed from here, so that the record is old.
func (l *Link) RootChanged() {
	select {
	case l.rootChanged <- struct{}{}:
	default:
	}
}

// keepRecord follows what becomes of the share, but wakes no disk for it.
func (l *Link) keepRecord() {
	for ticks := rememberFirst; ; ticks-- {
		select {
		case <-l.options.After(rememberTick):
		case <-l.rootChanged:
			select {
			case <-l.options.After(rememberTick):
				ticks = 0
			case <-l.life.Done():
			}
		case <-l.life.Done():
		}
		if l.life.Err() != nil {
			return
		}
		if c := l.awakeFiles(); ticks <= 0 && c != nil {
			l.remember(c)
			ticks = rememberEvery
		}
	}
}

// awakeFiles is the connection for files if a program has asked something since the last record, and the server just now answered; nil: not.
func (l *Link) awakeFiles() *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || l.current.files == nil || l.requests == l.remembered || smb.Monotonic()-l.current.files.LastReceived() > disksAwake {
		return nil
	}
	return l.current.files
}

// rememberLast makes the record of the next start.
func (l *Link) rememberLast() {
	if c := l.awakeFiles(); c != nil {
		_, _ = Await(l.life, nil, safely.Done(func() { l.remember(c) }), time.Now().Add(rememberedWithin))
	}
}
