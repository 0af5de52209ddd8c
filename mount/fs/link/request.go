package link

import (
	"context"
	"errors"
	"syscall"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const (
	// How long a request waits for an answer on a living connection.
	answeredWithin = 300 * time.Second
	// How long a request that changes the server waits until it has ended the previous sessions.
	uncertainAtMost = 30 * time.Second
	killedWithin    = 50 * time.Millisecond
	// People do not notice a shorter wait.
	pauseFrom = time.Second
)

// Use says what a request needs.
type Use struct {
	Session Session
	// It changes something on the server: it is not sent while an earlier session may still do what it was asked.
	Changes bool
	// It neither waits for a route nor is repeated.
	NoWait bool
}

// Part is a part of a file that the server copies to the same place in a file of a share. Paths are those in the mounts.
type Part struct {
	From   string `json:"from"`
	Share  string `json:"share"`
	To     string `json:"to"`
	Offset int64  `json:"offset"`

	// Of the share that it is copied to.
	Characters identity.Characters `json:"characters"`
}

// Copied says how much of it was, and what the whole file is.
type Copied struct {
	Copied     int64 `json:"copied"`
	Size       int64 `json:"size"`
	ModifiedAt int64 `json:"modified_at"`
}

// ErrAway: there is no route now.
var ErrAway = errors.New("no route now")

// Try is one try of a request.
type Try struct {
	*Conn
	// A try before this one had no answer: its outcome is unknown.
	Again bool
	// The server may still do what it was asked in a previous session.
	Uncertain bool
}

// request is one that a program waits for.
type request struct {
	began time.Duration
}

// Do plays op on a connection, and again on the next one if that is lost before the answer. It returns EINTR when the program that asks is
// killed; op keeps running then, so it must not touch what belongs to the caller. unwanted gets a result that no caller waits for.
func Do[T any](ctx context.Context, l *Link, use Use, op func(Try) (T, error), unwanted func(T)) (T, error) {
	r := l.began()
	defer l.ended(r)
	for again := false; ; {
		try, err := l.connected(ctx, use)
		if err != nil {
			return *new(T), err
		}
		try.Again = again
		answered := safely.Ask(func() (T, error) {
			defer try.finished(use)
			return op(try)
		})
		got, err := Await(ctx, l.options.Killed, answered, time.Now().Add(answeredWithin))
		if err != nil {
			if unwanted != nil {
				safely.Go(func() {
					if late := <-answered; late.Err == nil {
						unwanted(late.Value)
					}
				})
			}
			return *new(T), err
		}
		if smb.IsFull(got.Err) && l.makesRoom(try.Conn) {
			continue
		}
		if !smb.IsLoss(got.Err) {
			return got.Value, got.Err
		}
		again = true
		l.lost(try.Conn, Ended)
		if use.NoWait {
			return *new(T), ErrAway
		}
		if smb.Monotonic()-r.began > l.patienceNow() {
			// Perhaps it is this request that ends connections.
			return *new(T), syscall.EIO
		}
	}
}

func (l *Link) patienceNow() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.patience
}

func (l *Link) began() *request {
	r := &request{smb.Monotonic()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[r] = struct{}{}
	return r
}

func (l *Link) ended(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.active, r)
	l.longest.Store(max(l.longest.Load(), int64(smb.Monotonic()-r.began)))
}

// connected waits for a connection that the request may use, and counts as pending on it from then on. It waits until the program that asks is
// killed (EINTR), or patience ends (EIO).
func (l *Link) connected(ctx context.Context, use Use) (Try, error) {
	for isNoted := use.NoWait; ; {
		l.mu.Lock()
		c, wait, until, err := l.connOrWait(use)
		// One of two connections may be lost before the route is.
		isWanted := !isNoted && l.current == nil
		if c != nil {
			c.begin(use)
			uncertain := use.Changes && !l.isCertain()
			l.mu.Unlock()
			return Try{Conn: c, Uncertain: uncertain}, nil
		}
		isHeld := l.hold != nil
		l.mu.Unlock()
		if isWanted {
			isNoted = true
			if l.options.Check == nil || !l.options.Check(ctx) {
				l.noteAsked()
			}
		}
		if err != nil {
			return Try{}, err
		}
		if use.NoWait && !isHeld {
			return Try{}, ErrAway
		}
		if _, err := Await(ctx, l.options.Killed, wait, until); err == syscall.EINTR {
			return Try{}, err
		}
	}
}

func (l *Link) noteAsked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		l.askedAt = smb.Monotonic()
	}
}

// connOrWait returns the connection, or what to wait for, or why there is none. The caller holds mu.
func (l *Link) connOrWait(use Use) (c *Conn, wait <-chan struct{}, until time.Time, err error) {
	now := smb.Monotonic()
	in := func(at time.Duration) time.Time { return time.Now().Add(at - now) }
	if l.current != nil {
		c = l.current.files
		if use.Session == Names {
			c = l.current.names
		}
	}
	o := l.outage
	if l.current != nil {
		o = l.current.missing
	}
	switch {
	case l.isClosed:
		return nil, nil, until, syscall.EIO
	case c != nil && l.hold != nil:
		return nil, l.hold, in(now + time.Minute), nil
	case c != nil && use.Changes && !l.isCertain():
		if at := l.uncertainSince() + uncertainAtMost; at > now {
			return nil, l.changed, in(at), nil
		}
		return c, nil, until, nil
	case c != nil:
		return c, nil, until, nil
	case l.refused != nil:
		return nil, nil, until, syscall.EACCES
	case l.current == nil && l.isAway() || o.isOver:
		return nil, nil, until, syscall.EIO
	}
	o.waited = true
	at := o.since + l.patience
	if at <= now {
		l.overNow(o)
		return nil, nil, until, syscall.EIO
	}
	return nil, l.changed, in(at), nil
}

// OldestWait is how long the oldest request has waited.
func (l *Link) OldestWait() (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := smb.Monotonic()
	for r := range l.active {
		longest = max(longest, now-r.began)
	}
	return longest
}

// overNow: programs have waited for the patience, and get errors until a server answers. The caller holds mu.
func (l *Link) overNow(o *outage) {
	o.isOver = true
	waited := (smb.Monotonic() - o.since).Milliseconds()
	l.note(Event{Is: "over", Ms: waited, Why: o.why})
	l.logf("no route for %d s: programs get errors", waited/1000)
	l.announce()
}

// Await waits for an answer: until the time until (EIO; zero: for ever), or until the program that waits is being killed (EINTR).
func Await[T any](ctx context.Context, killed func(context.Context) bool, answer <-chan T, until time.Time) (T, error) {
	interrupted := ctx.Done()
	var late, look <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case got := <-answer:
			return got, nil
		case <-late:
			return *new(T), syscall.EIO
		case <-interrupted:
			interrupted = nil
			// The kernel does not say when it becomes a deadly one.
			ticker := time.NewTicker(killedWithin)
			defer ticker.Stop()
			look = ticker.C
		case <-look:
		}
		if interrupted == nil && (killed == nil || killed(ctx)) {
			return *new(T), syscall.EINTR
		}
	}
}
