package client

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
	// How long a request that changes something waits for the server to end the previous sessions.
	uncertainAtMost = 30 * time.Second
	killedWithin    = 50 * time.Millisecond
	// People do not notice a shorter wait.
	pauseFrom = time.Second
)

// Needs says what a request needs of the client.
type Needs struct {
	Session Session
	// It changes something on the server: it is not sent while requests of a previous session may still take effect.
	Changes bool
	// It fails with ErrNoRoute where others wait for a route, and is never sent again.
	NoWait bool
}

// CopyPart is a part of a file that the server copies to the same offset of a file in another share. Paths are relative to the mounts.
type CopyPart struct {
	From   string `json:"from"`
	Share  string `json:"share"`
	To     string `json:"to"`
	Offset int64  `json:"offset"`

	// Of the other share.
	NameMapping identity.NameMapping `json:"characters"`
}

// CopyResult has the number of bytes copied, and the size and time of the whole source file.
type CopyResult struct {
	Copied     int64 `json:"copied"`
	Size       int64 `json:"size"`
	ModifiedAt int64 `json:"modified_at"`
}

var ErrNoRoute = errors.New("no route now")

// Attempt is one sending of a request: the connection to send it on, and what became of earlier ones.
type Attempt struct {
	*Conn
	// The attempt before had no answer: the server may have executed it, or not.
	IsRetry bool
	// Requests of a previous session may still take effect.
	IsUncertain bool
}

// request is one that a program waits for.
type request struct {
	began time.Duration
}

// Do runs op on a connection, and again on the next one if that one is lost before the answer. It returns EINTR when the calling program is
// killed; op keeps running then, so it must not touch the caller's memory, and unwanted gets its result.
func Do[T any](ctx context.Context, cl *Client, use Needs, op func(Attempt) (T, error), unwanted func(T)) (T, error) {
	r := cl.newRequest()
	defer cl.requestEnded(r)
	for again := false; ; {
		try, err := cl.connected(ctx, use)
		if err != nil {
			return *new(T), err
		}
		try.IsRetry = again
		answered := safely.Ask(func() (value T, err error) {
			defer func() { try.endRequest(use, err) }()
			return op(try)
		})
		got, err := Await(ctx, cl.options.Killed, answered, time.Now().Add(answeredWithin))
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
		if smb.IsFull(got.Err) && cl.makeRoom(try.Conn) {
			continue
		}
		if !smb.IsLoss(got.Err) {
			return got.Value, got.Err
		}
		again = true
		if use.NoWait {
			return *new(T), ErrNoRoute
		}
		if smb.Monotonic()-r.began > cl.patienceNow() {
			// Perhaps this request makes the server end connections.
			return *new(T), syscall.EIO
		}
	}
}

func (cl *Client) patienceNow() time.Duration {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.patience
}

func (cl *Client) newRequest() *request {
	r := &request{smb.Monotonic()}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.active[r] = struct{}{}
	return r
}

func (cl *Client) requestEnded(r *request) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	delete(cl.active, r)
	cl.longest.Store(max(cl.longest.Load(), int64(smb.Monotonic()-r.began)))
}

// connected waits for a connection that the request may use, and counts the request as pending there. It fails with EINTR once the calling
// program is killed, and with EIO after the patience.
func (cl *Client) connected(ctx context.Context, use Needs) (Attempt, error) {
	for isNoted := use.NoWait; ; {
		cl.mu.Lock()
		c, wait, until, err := cl.connOrWait(use)
		isWanted := !isNoted && cl.current == nil
		if c != nil {
			c.beginRequest(use)
			uncertain := use.Changes && !cl.isCertain()
			cl.mu.Unlock()
			return Attempt{Conn: c, IsUncertain: uncertain}, nil
		}
		isHeld := cl.resumed != nil
		cl.mu.Unlock()
		if isWanted {
			isNoted = true
			if cl.options.IsCheck == nil || !cl.options.IsCheck(ctx) {
				cl.recordAsked()
			}
		}
		if err != nil {
			return Attempt{}, err
		}
		if use.NoWait && !isHeld {
			return Attempt{}, ErrNoRoute
		}
		if _, err := Await(ctx, cl.options.Killed, wait, until); err == syscall.EINTR {
			return Attempt{}, err
		}
	}
}

func (cl *Client) recordAsked() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.current == nil {
		cl.askedAt = smb.Monotonic()
	}
}

// connOrWait returns the connection, or the channel to wait for and until when, or the error. The caller holds mu.
func (cl *Client) connOrWait(use Needs) (c *Conn, wait <-chan struct{}, until time.Time, err error) {
	now := smb.Monotonic()
	in := func(at time.Duration) time.Time { return time.Now().Add(at - now) }
	if cl.current != nil {
		c = cl.current.files
		if use.Session == Names {
			c = cl.current.names
		}
	}
	o := cl.outage
	if cl.current != nil {
		o = cl.current.missing
	}
	switch {
	case cl.isClosed:
		return nil, nil, until, syscall.EIO
	case c != nil && cl.resumed != nil:
		return nil, cl.resumed, in(now + time.Minute), nil
	case c != nil && use.Changes && !cl.isCertain():
		if at := cl.uncertainSince() + uncertainAtMost; at > now {
			return nil, cl.changed, in(at), nil
		}
		return c, nil, until, nil
	case c != nil:
		return c, nil, until, nil
	case cl.refused != nil:
		return nil, nil, until, syscall.EACCES
	case cl.current == nil && cl.isOffNetwork() || o.isPastPatience:
		return nil, nil, until, syscall.EIO
	}
	o.hasWaiter = true
	at := o.since + cl.patience
	if at <= now {
		cl.endPatience(o)
		return nil, nil, until, syscall.EIO
	}
	return nil, cl.changed, in(at), nil
}

// OldestWait is how long the oldest request has waited.
func (cl *Client) OldestWait() time.Duration {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.oldestWait(smb.Monotonic())
}

// oldestWait: the caller holds mu.
func (cl *Client) oldestWait(now time.Duration) (longest time.Duration) {
	for r := range cl.active {
		longest = max(longest, now-r.began)
	}
	return longest
}

// endPatience lets requests fail until a server answers. The caller holds mu.
func (cl *Client) endPatience(o *outage) {
	o.isPastPatience = true
	waited := (smb.Monotonic() - o.since).Milliseconds()
	cl.journal(Event{Is: "over", Ms: waited, Why: o.why})
	cl.logf("no route for %d s: programs get errors", waited/1000)
	cl.wakeWaiters()
}

// Await waits for an answer. It fails with EIO at the time until (zero: never), and with EINTR once the calling program is killed.
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
			// A signal came. The kernel does not report when one that kills follows.
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
