package client

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

// lab is a share with two routes.
type lab struct {
	*rig.Rig
	tb, fallback *rig.Cable
	client       *Client

	mu     sync.Mutex
	events []Event
}

func newLab(t *testing.T, change func(*Options), options ...rig.Option) *lab {
	t.Helper()
	l := &lab{Rig: rig.New(t, options...)}
	l.tb, l.fallback = l.Cable, l.LayCable()
	rig.Must(t, os.WriteFile(l.Theirs("kept.txt"), []byte("kept"), 0o644))
	rig.Must(t, os.WriteFile(l.Theirs("never changed.txt"), []byte("steady"), 0o644))
	l.connect(change)
	return l
}

func (l *lab) connect(change func(*Options)) {
	l.T.Helper()
	o := Options{
		Account: l.Account, Routes: []smb.Route{l.tb.Route("tb"), l.fallback.Route("fallback")}, Patience: time.Minute,
		Logins: logins.New("", l.Account.User, "", l.Account.Password),
		Event: func(e Event) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, e)
		},
	}
	if change != nil {
		change(&o)
	}
	l.client = New(o)
	rig.Must(l.T, l.client.Start(context.Background()))
	l.T.Cleanup(l.client.Close)
	l.whole()
}

// whole waits until both sessions stand.
func (l *lab) whole() {
	l.T.Helper()
	for _, session := range []Session{Files, Names} {
		_, err := l.do(Needs{Session: session}, func(Attempt) (struct{}, error) { return struct{}{}, nil })
		rig.Must(l.T, err)
	}
}

func (l *lab) do(use Needs, op func(Attempt) (struct{}, error)) (struct{}, error) {
	return Do(context.Background(), l.client, use, op, nil)
}

// look asks the server for something.
func (l *lab) look() error {
	_, err := l.do(Needs{}, func(t Attempt) (struct{}, error) {
		_, err := t.Share.StatAt("kept.txt")
		return struct{}{}, err
	})
	return err
}

// put writes a file in one request.
func (l *lab) put(name, text string) error {
	_, err := l.do(Needs{Changes: true}, func(t Attempt) (struct{}, error) {
		file, err := t.Share.OpenAt(name, smb2.AccessWrite, smb2.MayExist, smb2.LeaseKey{})
		if err != nil {
			return struct{}{}, err
		}
		defer file.Close()
		_, err = file.Write([]byte(text), 0, 1<<20)
		return struct{}{}, err
	})
	return err
}

func (l *lab) route() string {
	if route := l.client.Status().Route; route != nil {
		return *route
	}
	return ""
}

func (l *lab) moves() int { return l.client.Status().Moves.Count }

func (l *lab) hasMoved(to string, reason Reason) {
	l.T.Helper()
	s := l.client.Status()
	if *s.Route != to || s.Moves.Last == nil || s.Moves.Last.Reason != reason || s.Wanted != to {
		l.T.Errorf("on %s, wants %s, last moved: %+v", *s.Route, s.Wanted, s.Moves.Last)
	}
}

func (l *lab) has(name, text string) {
	l.T.Helper()
	if got, err := os.ReadFile(filepath.Join(l.Export, name)); err != nil || string(got) != text {
		l.T.Errorf("the server has %q, not %q, %v", got, text, err)
	}
}

func TestAnEndedConnectionIsNoMoveIfItsRouteIsThere(t *testing.T) {
	// On a busy machine a sign-in can take longer than a route has.
	for range 5 {
		l := newLab(t, nil)
		l.tb.Set(false)
		rig.Must(t, l.look())
		if l.moves() == 0 && l.route() == "tb" {
			return
		}
	}
	t.Error("it moved each time")
}

func TestALostRouteIsLeftForGood(t *testing.T) {
	l := newLab(t, nil)
	l.tb.Set(true)
	rig.Must(t, l.look())
	l.hasMoved("fallback", Ended)
	l.tb.Set(false)
	l.fallback.Set(false)
	rig.Must(t, l.look())
	if l.moves() != 1 {
		t.Errorf("%d moves: it goes back by itself", l.moves())
	}
	l.fallback.Set(true)
	rig.Must(t, l.look())
	l.hasMoved("tb", Ended)
}

func TestASilentRouteIsLeftIfAnotherOneAnswers(t *testing.T) {
	l := newLab(t, nil)
	l.whole()
	l.tb.Hold(true)
	began := time.Now()
	rig.Must(t, l.look())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	l.hasMoved("fallback", Silent)
}

func TestASilentRouteIsKeptIfNoneAnswers(t *testing.T) {
	l := newLab(t, nil)
	l.whole()
	// It accepts connections, as a tunnel does for a server that is gone.
	l.fallback.Hold(true)
	l.tb.Hold(true)
	looked := make(chan error, 1)
	before := l.tb.Tries() + l.fallback.Tries()
	go func() { looked <- l.look() }()
	time.Sleep(5 * time.Second)
	// After 0.3, 1, 2, 4 s, on both.
	if asked := l.tb.Tries() + l.fallback.Tries() - before; asked > 10 {
		t.Errorf("asked %d times", asked)
	}
	l.tb.Hold(false)
	rig.Must(t, <-looked)
	if l.moves() != 0 || l.client.Status().Connections.InAll > 3 {
		t.Errorf("%+v", l.client.Status())
	}
}

func TestARouteThatDropsLongMessagesIsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 15 s")
	}
	l := newLab(t, nil)
	rig.Must(t, os.WriteFile(l.Theirs("large"), make([]byte, 1<<20), 0o644))
	l.tb.Narrow(1400)
	_, err := l.do(Needs{}, func(t Attempt) (struct{}, error) {
		file, err := t.Share.OpenAt("large", smb2.AccessRead, smb2.MustExist, smb2.LeaseKey{})
		if err != nil {
			return struct{}{}, err
		}
		defer file.Close()
		block, err := file.Read(1<<20, 0)
		block.Release()
		return struct{}{}, err
	})
	rig.Must(t, err)
	l.hasMoved("fallback", Blocked)
}

func TestARouteWhoseLinkIsDownIsLeftAtOnce(t *testing.T) {
	l := newLab(t, nil)
	rig.Must(t, l.client.Lost("tb"))
	began := time.Now()
	rig.Must(t, l.look())
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	l.hasMoved("fallback", LinkDown)
}

func TestALostRouteIsLeftWhileASessionSignsInOverIt(t *testing.T) {
	l := newLab(t, nil)
	l.tb.Hold(true)
	l.client.mu.Lock()
	names, tries := l.client.current.names, l.tb.Tries()
	l.client.mu.Unlock()
	l.client.lose(names, Ended)
	rig.Eventually(t, "a sign-in over tb", func() bool { return l.tb.Tries() > tries })
	began := time.Now()
	rig.Must(t, l.client.Lost("tb"))
	rig.Must(t, l.look())
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("programs waited %v", took)
	}
}

func TestAPlannedMoveInterruptsNothing(t *testing.T) {
	l := newLab(t, nil)
	for i, to := range []string{"fallback", "tb", "fallback"} {
		moved, err := l.client.Use(context.Background(), to)
		if err != nil || !moved.Quiet {
			t.Fatalf("to %s: %+v, %v", to, moved, err)
		}
		rig.Must(t, l.put(to, "text"))
		l.has(to, "text")
		l.hasMoved(to, Asked)
		if l.moves() != i+1 {
			t.Errorf("%d moves", l.moves())
		}
		l.whole()
	}
	rig.Eventually(t, "the old sessions have ended", func() bool { return l.Sessions() <= 2 })
	for name, code := range map[string]string{"nowhere": UnknownRoute, "tb": RouteForbidden} {
		rig.Must(t, l.client.Allow([]string{"fallback"}))
		if _, err := l.client.Use(context.Background(), name); smb.CodeOf(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACommandThatIsOlderThanTheLastMoveIsRefused(t *testing.T) {
	l := newLab(t, nil)
	seen := l.moves()
	rig.Must(t, l.client.CheckFresh(&seen))
	_, err := l.client.Use(context.Background(), "fallback")
	rig.Must(t, err)
	if err := l.client.CheckFresh(&seen); smb.CodeOf(err) != Stale {
		t.Errorf("%v", err)
	}
}

// A write is under way at a server process that is stopped; the route is changed; newer bytes are written; the process continues.
func TestAnOldWriteNeverLandsAfterANewerOne(t *testing.T) {
	for name, leave := range map[string]func(*lab) error{
		"planned": func(l *lab) error { _, err := l.client.Use(context.Background(), "fallback"); return err },
		"lost":    func(l *lab) error { return l.client.Lost("tb") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			rig.Must(t, l.put("file", "0000"))
			stopped := l.StopProcesses()
			old := make(chan error, 1)
			go func() { old <- l.put("file", "old!") }()
			rig.Eventually(t, "the old write is under way", func() bool { return l.client.Status().OldestWaitMs != nil })
			time.Sleep(100 * time.Millisecond)
			left := make(chan error, 1)
			go func() { left <- leave(l) }()
			newer := make(chan error, 1)
			time.Sleep(200 * time.Millisecond)
			go func() { newer <- l.put("file", "new!") }()
			time.Sleep(6 * time.Second)
			stopped.Continue()
			err := <-left
			if name == "planned" && smb.CodeOf(err) != NotQuiet {
				t.Errorf("it moved although the server did not end the old session: %v", err)
			}
			rig.Must(t, <-old)
			rig.Must(t, <-newer)
			time.Sleep(300 * time.Millisecond)
			text, err := os.ReadFile(l.Theirs("file"))
			rig.Must(t, err)
			if got := string(text); got != "new!" && got != "old!" {
				t.Errorf("%q", got)
			}
			// The bytes that were acknowledged last stay.
			rig.Must(t, l.put("file", "last"))
			time.Sleep(300 * time.Millisecond)
			l.has("file", "last")
		})
	}
}

func TestReadsGoOnWhileTheOldSessionIsNotEnded(t *testing.T) {
	l := newLab(t, nil)
	stopped := l.StopProcesses()
	old := make(chan error, 1)
	go func() { old <- l.put("file", "old!") }()
	rig.Eventually(t, "the write is under way", func() bool { return l.client.Status().OldestWaitMs != nil })
	time.Sleep(100 * time.Millisecond)
	rig.Must(t, l.client.Lost("tb"))
	rig.Must(t, l.look())
	newer := make(chan error, 1)
	go func() { newer <- l.put("other", "new!") }()
	select {
	case <-newer:
		t.Error("a change went on before the old session had ended")
	case <-time.After(time.Second):
	}
	stopped.Continue()
	rig.Must(t, <-newer)
	rig.Must(t, <-old)
	l.has("file", "old!")
}

func TestWithoutARouteProgramsWaitForThePatience(t *testing.T) {
	l := newLab(t, func(o *Options) { o.Patience = 2 * time.Second })
	l.fallback.Set(true)
	// The request comes when one connection is lost, and the route not yet.
	l.tb.Hold(true)
	l.client.lose(l.client.current.files, Ended)
	go func() {
		for l.client.OldestWait() == 0 {
			time.Sleep(time.Millisecond)
		}
		l.tb.Set(true)
	}()
	began := time.Now()
	if err := l.look(); !errors.Is(err, syscall.EIO) || l.client.Status().AskedMs == nil {
		t.Errorf("%v, %+v", err, l.client.Status())
	}
	if took := time.Since(began); took < time.Second || took > 7*time.Second {
		t.Errorf("it took %v", took)
	}
	if phase := l.client.Status().Phase; phase.Is != "over" || phase.Why != smb.NoAnswer {
		t.Errorf("%+v", phase)
	}
	began = time.Now()
	if err := l.look(); !errors.Is(err, syscall.EIO) || time.Since(began) > time.Second {
		t.Errorf("a new request: %v after %v", err, time.Since(began))
	}
	l.fallback.Set(false)
	rig.Must(t, l.client.Try([]string{"fallback"}))
	rig.Eventually(t, "served again", func() bool { return l.look() == nil })
	l.hasMoved("fallback", Returned)
	if s := l.client.Status(); s.Phase.Is != "serving" || s.Pauses.Count != 1 || s.Pauses.LongestMs < 1000 {
		t.Errorf("%+v", s)
	}
}

func TestAwayProgramsGetTheirErrorsAtOnce(t *testing.T) {
	l := newLab(t, nil)
	rig.Must(t, l.client.Allow([]string{}))
	if err := l.look(); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if phase := l.client.Status().Phase; phase.Is != "away" {
		t.Errorf("%+v", phase)
	}
	before := l.tb.Tries() + l.fallback.Tries()
	time.Sleep(2500 * time.Millisecond)
	if now := l.tb.Tries() + l.fallback.Tries(); now != before {
		t.Errorf("%d tries", now-before)
	}
	rig.Must(t, l.client.Allow([]string{"fallback"}))
	rig.Eventually(t, "served again", func() bool { return l.look() == nil })
	if l.route() != "fallback" {
		t.Errorf("on %s", l.route())
	}
}

func TestARouteThatIsNotAllowedIsLeft(t *testing.T) {
	l := newLab(t, nil)
	rig.Must(t, l.client.Allow([]string{"fallback"}))
	rig.Eventually(t, "moved", func() bool { return l.route() == "fallback" })
	rig.Must(t, l.look())
}

func TestOneConnectionDoesForBothSessions(t *testing.T) {
	l := newLab(t, nil, rig.PerShare("max connections = 1"))
	if s := l.client.Status(); s.Limit == nil || s.Limit.Most != 1 || s.Connections.Open != 1 {
		t.Errorf("%+v", s)
	}
	_, err := l.do(Needs{Session: Names, Changes: true}, func(t Attempt) (struct{}, error) {
		return struct{}{}, t.Share.Move("kept.txt", "moved.txt", false)
	})
	rig.Must(t, err)
	rig.Must(t, l.put("kept.txt", "kept"))
	moved, err := l.client.Use(context.Background(), "fallback")
	if err != nil || !moved.Quiet {
		t.Errorf("%+v, %v", moved, err)
	}
	rig.Must(t, l.look())
	l.fallback.Set(true)
	l.tb.Set(true)
	if _, err := l.client.Use(context.Background(), "tb"); err == nil {
		t.Error("it moved to a route that is cut")
	}
	l.fallback.Set(false)
	rig.Eventually(t, "back", func() bool { return l.look() == nil })
}

func TestANewAddressIsUsedAtTheNextConnection(t *testing.T) {
	l := newLab(t, nil)
	third := l.LayCable()
	before := l.client.Status().Connections.InAll
	rig.Must(t, l.client.Set(Settings{Routes: []smb.Route{third.Route("tb"), l.fallback.Route("fallback")}}))
	rig.Must(t, l.look())
	if s := l.client.Status(); !s.Endpoint.Rerouted || s.Connections.InAll > before {
		t.Errorf("%+v", s)
	}
	l.tb.Set(false)
	rig.Must(t, l.look())
	if s := l.client.Status(); s.Endpoint.Rerouted || s.Endpoint.Port != third.Route("").Port {
		t.Errorf("%+v", s)
	}
}

func TestASessionThatEndsBeforeItIsUsedIsNeverUsed(t *testing.T) {
	l := newLab(t, nil)
	c := l.client
	ended, err := c.signIn(t.Context(), l.tb.Route("tb"), Names)
	rig.Must(t, err)
	ended.Reset()
	rig.Eventually(t, "its end is noticed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return ended.isRetired
	})
	c.mu.Lock()
	s := &sessions{route: c.current.route, files: c.current.files, missing: &outage{}}
	c.current = s
	c.mu.Unlock()
	c.afterSignIn(s, Names, s.files, ended, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.names == ended {
		t.Error("every later request would be tried on it again and again")
	}
	if c.replaceSessions(c.current, ended, nil, 0, true); c.current != nil {
		t.Error("a planned move began to use it")
	}
	if c.install(ended, Returned); c.current != nil {
		t.Error("a first mount began to use it")
	}
}

func TestALostRequestMayStillTakeEffect(t *testing.T) {
	l := newLab(t, nil)
	cl := l.client
	l.tb.Hold(true)
	l.fallback.Hold(true)
	cl.mu.Lock()
	c := cl.current.files
	use := Needs{Changes: true}
	c.beginRequest(use)
	cl.mu.Unlock()
	// Its error is there before the end of the connection is noticed.
	c.endRequest(use, &smb2.TransportError{Err: io.EOF})
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.isCertain() {
		t.Error("the request is sent again, and may take effect twice")
	}
}
