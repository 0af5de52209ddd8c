package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/process"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const (
	// Protocol is increased by changes that a daemon of the version before would misunderstand.
	Protocol = 1
	// The format of lines never changes.
	lineVersion = 1
	lineAtMost  = 1 << 20
	// A daemon that does not read is dropped.
	writtenWithin = 5 * time.Second
	publishEvery  = 100 * time.Millisecond
	// How long a planned move may take, with a slow sign-in.
	moveWithin = 45 * time.Second
	busy       = "busy"
)

// Mounted is a mounted share.
type Mounted interface {
	Counts() (open, hidden int)
	Unreported() *client.Unreported
	LostLocks() []client.LostLock
	Unmount() error
	// Detach unmounts although files are open.
	Detach() error
	CopyAcross(ctx context.Context, part client.CopyPart) (client.CopyResult, error)
}

// Control answers the commands of daemons.
type Control struct {
	folder  string // of the share, in the home
	share   string
	version string
	mounted string
	client  *client.Client
	journal *journal
	mount   atomic.Pointer[Mounted]

	// Forced is closed when the program is to end whatever is open.
	Forced chan struct{}
	forced sync.Once

	listener *net.UnixListener
	socket   string
	closed   chan struct{}
	// Commands that are not answered yet, perhaps the `stop` that ends the program.
	answering sync.WaitGroup
	mu        sync.Mutex
	daemons   map[*daemon]struct{}
}

// Open opens the journal. Listen opens the socket.
func Open(folder, share, mounted, version string) (*Control, client.Pauses) {
	j, pauses := openJournal(folder)
	return &Control{folder: folder, share: share, mounted: mounted, version: version, journal: j, daemons: map[*daemon]struct{}{}, closed: make(chan struct{}), Forced: make(chan struct{})}, pauses
}

// Journal writes an event of the client to the journal.
func (c *Control) Journal(event client.Event) { c.journal.note(event) }

// Listen opens the socket and answers commands. Without a folder there is no socket.
func (c *Control) Listen(cl *client.Client) error {
	c.client = cl
	if c.folder == "" {
		return nil
	}
	removeStale(c.folder)
	listener, err := listen(c.folder)
	if err != nil {
		return err
	}
	c.listener = listener
	c.socket = listener.Addr().String()
	if filepath.Base(c.socket) == "s" {
		c.socket = filepath.Join(c.folder, "control.sock")
	}
	pid := os.Getpid()
	if err := (programFile{1, pid, process.StartTime(pid), c.version, c.socket, c.mounted, c.folder}).write(); err != nil {
		return err
	}
	safely.Go(safely.Again(c.accept))
	safely.Go(safely.Again(c.publish))
	return nil
}

// Serves sets the mount, once there is one.
func (c *Control) Serves(m Mounted) {
	c.mount.Store(&m)
	c.client.Journal(client.Event{Is: "mounted"})
}

// Close removes the socket.
func (c *Control) Close() {
	c.Journal(client.Event{Is: "unmounted"})
	if c.listener == nil {
		return
	}
	select {
	case <-safely.Done(c.answering.Wait):
	case <-time.After(time.Second):
	}
	close(c.closed)
	_ = c.listener.Close()
	if now, err := readProgramFile(c.folder); err == nil && now.Pid == os.Getpid() {
		// program.json stays: on a full disk the next program overwrites it.
		_ = os.Remove(c.socket)
		removeShort(c.socket)
	}
}

func (c *Control) accept() {
	for {
		conn, err := c.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(publishEvery)
			continue
		}
		if !isOwn(conn) {
			_ = conn.Close()
			continue
		}
		safely.Go(func() { c.serve(&daemon{conn: conn}) })
	}
}

// daemon is a connection from one.
type daemon struct {
	conn         *net.UnixConn
	isSubscribed atomic.Bool
	mu           sync.Mutex
}

func (d *daemon) send(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.conn.SetWriteDeadline(time.Now().Add(writtenWithin))
	if _, err := d.conn.Write(append(text, '\n')); err != nil {
		_ = d.conn.Close()
	}
}

func (c *Control) serve(d *daemon) {
	c.mu.Lock()
	c.daemons[d] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.daemons, d)
		c.mu.Unlock()
		_ = d.conn.Close()
	}()
	lines := bufio.NewScanner(d.conn)
	lines.Buffer(nil, lineAtMost)
	for lines.Scan() {
		var asked request
		err := json.Unmarshal(lines.Bytes(), &asked)
		if err != nil || asked.V != lineVersion {
			d.send(answer{V: lineVersion, Id: asked.Id, Error: smb.Detail(smb.Fail(smb.Usage, errors.New("not a request"))), Status: c.status()})
			continue
		}
		if asked.Do == "watch" {
			d.isSubscribed.Store(true)
		}
		c.answering.Go(safely.Of(func() { d.send(c.do(asked)) }))
	}
}

type request struct {
	V     int             `json:"v"`
	Id    json.RawMessage `json:"id"`
	Do    string          `json:"do"`
	Seen  *int            `json:"seen"`
	Route string          `json:"route"`
	// Names, or for `set` whole routes.
	Routes     json.RawMessage `json:"routes"`
	PatienceMs *int64          `json:"patience_ms"`
	Password   *string         `json:"password"`
	OnlyOn     *bool           `json:"only_on"`
	LoginNow   bool            `json:"login_now"`
	Guid       string          `json:"guid"`
	After      int             `json:"after"`
	Force      bool            `json:"force"`
	client.CopyPart
}

type answer struct {
	V       int             `json:"v"`
	Id      json.RawMessage `json:"id,omitempty"`
	Ok      bool            `json:"ok,omitempty"`
	Error   any             `json:"error,omitempty"`
	Quiet   *bool           `json:"quiet,omitempty"`
	TookMs  *int64          `json:"took_ms,omitempty"`
	Journal []entry         `json:"journal,omitempty"`
	*client.CopyResult
	Status status `json:"status"`
}

func (c *Control) do(asked request) answer {
	a := answer{V: lineVersion, Id: asked.Id}
	_, err := safely.Do(func() (struct{}, error) { return struct{}{}, c.execute(asked, &a) })
	if err != nil {
		a.Error = smb.Detail(err)
	}
	a.Ok = err == nil
	a.Status = c.status()
	return a
}

func (c *Control) execute(asked request, a *answer) error {
	if err := c.client.CheckFresh(asked.Seen); err != nil {
		return err
	}
	switch asked.Do {
	case "status", "watch":
		return nil
	case "use":
		ctx, cancel := context.WithTimeout(context.Background(), moveWithin)
		defer cancel()
		moved, err := c.client.Use(ctx, asked.Route)
		if err == nil {
			a.Quiet, a.TookMs = &moved.Quiet, &moved.TookMs
		}
		return err
	case "lost":
		return c.client.Lost(asked.Route)
	case "allow":
		return asked.withNames(c.client.Allow)
	case "try":
		return asked.withNames(c.client.Try)
	case "set":
		return c.set(asked)
	case "new_server":
		return c.client.AcceptServer(asked.Guid)
	case "journal":
		a.Journal = c.journal.after(asked.After)
		return nil
	case "copy":
		m := c.mount.Load()
		if m == nil {
			return errUnmounted
		}
		copied, err := (*m).CopyAcross(context.Background(), asked.CopyPart)
		a.CopyResult = &copied
		return err
	case "stop":
		return c.stop(asked.Force)
	}
	return smb.Fail(smb.Usage, fmt.Errorf("there is no command %q", asked.Do))
}

var errUnmounted = smb.Fail(smb.Other, errors.New("it is not mounted yet"))

// withNames runs command with the names in Routes.
func (r request) withNames(command func(names []string) error) error {
	var names []string
	if json.Unmarshal(r.Routes, &names) != nil {
		return smb.Fail(smb.Usage, errors.New("routes is a list of names"))
	}
	return command(names)
}

func (c *Control) set(asked request) error {
	settings := client.Settings{Password: asked.Password, OnlyOn: asked.OnlyOn, LoginNow: asked.LoginNow}
	if asked.Routes != nil {
		if err := json.Unmarshal(asked.Routes, &settings.Routes); err != nil {
			return smb.Fail(smb.Usage, errors.New("routes is a list of routes"))
		}
	}
	if asked.PatienceMs != nil {
		settings.Patience = new(time.Duration(*asked.PatienceMs) * time.Millisecond)
	}
	return c.client.Set(settings)
}

func (c *Control) stop(isForced bool) error {
	m := c.mount.Load()
	if m == nil {
		return errUnmounted
	}
	if isForced {
		err := (*m).Detach()
		c.forced.Do(func() { close(c.Forced) })
		return err
	}
	if open, _ := (*m).Counts(); open > 0 {
		return smb.Fail(busy, fmt.Errorf("%d files or folders are open", open))
	}
	err := (*m).Unmount()
	if err != nil {
		err = smb.Fail(busy, err)
	}
	return err
}

// status is the state of the mount, in each answer.
type status struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Pid      int    `json:"pid"`
	Share    string `json:"share"`
	Mounted  string `json:"mounted"`
	client.Status
	OpenFiles  int                `json:"open_files"`
	Hidden     int                `json:"aside"`
	Unreported *client.Unreported `json:"unheard"`
	LostLocks  []client.LostLock  `json:"lost_locks,omitempty"`
	Journal    int                `json:"journal"`
}

func (c *Control) status() status {
	s := status{
		Protocol: Protocol, Version: c.version, Pid: os.Getpid(), Share: c.share, Mounted: c.mounted, Status: c.client.Status(),
		Journal: c.journal.newest(),
	}
	if m := c.mount.Load(); m != nil {
		s.OpenFiles, s.Hidden = (*m).Counts()
		s.Unreported = (*m).Unreported()
		s.LostLocks = (*m).LostLocks()
	} else {
		s.Phase = client.Phase{Is: "mounting"}
	}
	return s
}

// published are the parts of the status: a change of one of them is sent to daemons that sent `watch`.
type published struct {
	phase, why, route string
	moves, journal    int
	refused           bool
	other             client.OtherServer
	limit             int
	guid              string
}

func publishedOf(s status) published {
	m := published{phase: s.Phase.Is, why: s.Phase.Why, moves: s.Moves.Count, journal: s.Journal, refused: s.Refused != nil, guid: s.Server.Guid}
	if s.Route != nil {
		m.route = *s.Route
	}
	if s.Other != nil {
		m.other = *s.Other
	}
	if s.Limit != nil {
		m.limit = s.Limit.Most
	}
	return m
}

// publish sends the status to these daemons, whenever such a part has changed.
func (c *Control) publish() {
	var last published
	for {
		changed := c.client.Changed()
		now := c.status()
		if parts := publishedOf(now); parts != last {
			last = parts
			c.sendStatus(now)
		}
		select {
		case <-changed:
			time.Sleep(publishEvery)
		case <-c.closed:
			return
		}
	}
}

func (c *Control) sendStatus(now status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for each := range c.daemons {
		if each.isSubscribed.Load() {
			safely.Go(func() {
				each.send(struct {
					V      int    `json:"v"`
					Status status `json:"status"`
				}{lineVersion, now})
			})
		}
	}
}
