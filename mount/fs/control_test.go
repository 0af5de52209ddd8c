package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mountaineer/mount/fs/rig"
)

// daemon is what a test knows of a mount by its socket.
type daemon struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
	id    int
}

type status struct {
	Protocol, Pid  int
	Version, Share string
	Mounted        string
	Route, Wanted  string
	Allowed        []string
	Endpoint       struct {
		Address  string
		Port     int
		Rerouted bool
	}
	Phase struct{ Is, Why, Text string }
	Moves struct {
		Count int
		Last  *struct {
			From, To, Reason string
			Asked, Quiet     bool
		}
	}
	Pauses         struct{ Count int }
	Bytes          map[string]int64
	Connections    struct{ Open int }
	OpenFiles      int   `json:"open_files"`
	Hidden         int   `json:"aside"`
	PatienceMs     int64 `json:"patience_ms"`
	Encrypted      bool
	Signing        *string
	Server         struct{ Guid, Proved string }
	Journal        int
	LastReceivedMs *int64 `json:"heard_ms"`
}

type answer struct {
	V, Id   int
	Ok      bool
	Error   *struct{ Code, Message string }
	Quiet   *bool
	Journal []struct {
		N  int
		Is string
		To string
	}
	Status status
}

func connect(t *testing.T, state string) *daemon {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(state, "program.json"))
	rig.Must(t, err)
	var note struct{ Socket, Folder string }
	rig.Must(t, json.Unmarshal(text, &note))
	info, err := os.Stat(note.Socket)
	rig.Must(t, err)
	if info.Mode().Perm() != 0o600 || note.Folder != state {
		t.Errorf("%s: %v, of %s", note.Socket, info.Mode(), note.Folder)
	}
	conn, err := net.Dial("unix", note.Socket)
	rig.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &daemon{t: t, conn: conn, lines: bufio.NewScanner(conn)}
}

func (d *daemon) next() (a answer) {
	d.t.Helper()
	_ = d.conn.SetReadDeadline(time.Now().Add(rig.AtMost))
	if !d.lines.Scan() {
		d.t.Fatalf("no answer: %v", d.lines.Err())
	}
	if err := json.Unmarshal(d.lines.Bytes(), &a); err != nil || a.V != 1 {
		d.t.Fatalf("%v: %s", err, d.lines.Text())
	}
	return a
}

// ask sends a command with these members, and returns its answer.
func (d *daemon) ask(do, members string) answer {
	d.t.Helper()
	d.id++
	if members != "" {
		members = "," + members
	}
	_, err := fmt.Fprintf(d.conn, `{"v":1,"id":%d,"do":%q%s}`+"\n", d.id, do, members)
	rig.Must(d.t, err)
	for {
		if a := d.next(); a.Id == d.id {
			return a
		}
	}
}

func TestADaemonSteersAMountByItsSocket(t *testing.T) {
	r := rig.New(t)
	state := filepath.Join(r.Folder, "home")
	second := r.LayCable()
	p, folder := mountAt(r, "mounted", append(over("fallback", second), "-state", state, "-logons", filepath.Join(r.Folder, "logons"), "-wanted", "only")...)
	d := connect(t, state)
	s := d.ask("status", "").Status
	if s.Protocol != 1 || s.Pid != p.Process.Pid || s.Share != "share" || s.Mounted != folder || s.Route != "only" || s.Phase.Is != "serving" || s.LastReceivedMs == nil {
		t.Errorf("%+v", s)
	}
	watcher := connect(t, state)
	watcher.ask("watch", "")
	moved := d.ask("use", `"route":"fallback","seen":0`)
	if !moved.Ok || moved.Quiet == nil || !*moved.Quiet || moved.Status.Route != "fallback" || moved.Status.Moves.Last.Reason != "asked" {
		t.Errorf("%+v", moved)
	}
	for watcher.next().Status.Route != "fallback" {
	}
	for members, code := range map[string]string{
		`"route":"only","seen":0`: "stale", `"route":"nowhere","seen":1`: "unknown_route",
	} {
		if a := d.ask("use", members); a.Error == nil || a.Error.Code != code || a.Ok {
			t.Errorf("%s: %+v", members, a)
		}
	}
	if a := d.ask("fly", ""); a.Error == nil || a.Error.Code != "usage" {
		t.Errorf("%+v", a)
	}
	d.ask("lost", `"route":"fallback","seen":1`)
	for watcher.next().Status.Route != "only" {
	}
	set := d.ask("set", `"patience_ms":5000`)
	if set.Status.PatienceMs != 5000 {
		t.Errorf("%+v", set)
	}
	file := openFile(t, filepath.Join(folder, "file"), os.O_RDWR|os.O_CREATE)
	rig.Must(t, os.Remove(filepath.Join(folder, "file")))
	if a := d.ask("stop", ""); a.Error == nil || a.Error.Code != "busy" || a.Status.OpenFiles != 1 || a.Status.Hidden != 1 {
		t.Errorf("%+v", a)
	}
	rig.Must(t, file.Close())
	var kinds []string
	for _, each := range d.ask("journal", `"after":0`).Journal {
		kinds = append(kinds, each.Is)
	}
	if all := strings.Join(kinds, " "); all != "mounted moved lost moved" {
		t.Errorf("journal: %s", all)
	}
	rig.Eventually(t, "stopped", func() bool { return d.ask("stop", "").Ok })
	rig.Must(t, p.Wait())
	if line := mountedAt(folder); line != "" {
		t.Errorf("still mounted: %s", line)
	}
	if _, err := os.Stat(filepath.Join(state, "control.sock")); !os.IsNotExist(err) {
		t.Errorf("control.sock: %v", err)
	}
	// The journal continues its numbers.
	again, _ := mountAt(r, "mounted", "-state", state)
	d = connect(t, state)
	if n := d.ask("journal", `"after":5`).Journal; len(n) != 1 || n[0].N != 6 || n[0].Is != "mounted" {
		t.Errorf("%+v", n)
	}
	file = openFile(t, filepath.Join(folder, "kept open"), os.O_RDWR|os.O_CREATE)
	if a := d.ask("stop", `"force":true`); !a.Ok {
		t.Errorf("%+v", a)
	}
	rig.Must(t, again.Wait())
	if _, err := file.WriteString("more"); err == nil || mountedAt(folder) != "" {
		t.Error("what was open goes on")
	}
}

func TestAHomeWithALongPathHasItsSocketElsewhere(t *testing.T) {
	r := rig.New(t)
	state := filepath.Join(r.Folder, strings.Repeat("long", 30))
	for range 2 {
		p, folder := mountAt(r, "mounted", "-state", state)
		if a := connect(t, state).ask("status", ""); a.Status.Mounted != folder {
			t.Errorf("%+v", a)
		}
		// The next one removes what this one leaves.
		rig.Must(t, p.Process.Kill())
		_ = p.Wait()
		rig.Must(t, unmountLazily(folder))
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "mountaineer-*", "sock"))
	rig.Must(t, err)
	own := 0
	for _, each := range left {
		if note, err := os.ReadFile(filepath.Join(state, "program.json")); err == nil && strings.Contains(string(note), each) {
			own++
			_ = os.RemoveAll(filepath.Dir(each))
		}
	}
	if own > 1 {
		t.Errorf("%d sockets", own)
	}
}
