package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/rig"
)

// look runs a command that checks a server, and reads its answer.
func look(r *rig.Rig, answer any, password string, arguments ...string) (exit int) {
	r.T.Helper()
	p := start(r, password, arguments...)
	line := p.line()
	_ = p.Wait()
	if err := json.Unmarshal([]byte(line), answer); err != nil {
		r.T.Fatalf("%v: %v, %s", arguments, err, line)
	}
	return p.ProcessState.ExitCode()
}

func over(name string, cable *rig.Cable) []string {
	route := cable.Route(name)
	return []string{"-route", fmt.Sprintf("name=%s,address=%s,port=%d", name, route.Address, route.Port)}
}

type checked struct {
	Routes map[string]struct {
		Error                              *struct{ Code string }
		Guid, Dialect, Signing, Encryption string
		ReadOnly                           bool  `json:"read_only"`
		FreeBytes                          int64 `json:"free_bytes"`
		Entries                            int
	}
	Verdict  string
	By, Text *string
}

func TestCheckComparesWhatRoutesLeadTo(t *testing.T) {
	r := rig.New(t)
	rig.Must(t, os.WriteFile(r.Theirs("a.txt"), []byte("text"), 0o644))
	second, third := r.LayCable(), r.LayCable()
	twin := rig.New(t)
	rig.Must(t, os.WriteFile(twin.Theirs("b.txt"), []byte("text"), 0o644))
	third.LeadTo(twin)
	stranger := rig.New(t, rig.Named("STRANGER"))
	fourth := r.LayCable()
	fourth.LeadTo(stranger)
	away := r.LayCable()
	away.Set(true)
	state := filepath.Join(r.Folder, "home")
	account := []string{"-share", "share", "-user", r.Account.User, "-sign", "-state", state}
	for _, one := range []struct {
		what, verdict string
		routes        []string
		exit          int
	}{
		{"nothing answers", "none", over("tb", away), 1},
		{"the first", "first", append(over("tb", r.Cable), over("fallback", away)...), 0},
		{"both", "same", append(over("tb", r.Cable), over("fallback", second)...), 0},
		{"a twin", "different", append(over("tb", r.Cable), over("fallback", third)...), 0},
		{"a stranger", "different", over("tb", fourth), 1},
		{"the record is still that of the first", "same", over("tb", second), 0},
	} {
		var got checked
		exit := look(r, &got, r.Account.Password, append(append([]string{"check"}, account...), one.routes...)...)
		if got.Verdict != one.verdict || exit != one.exit || (got.Text != nil) != (one.verdict == "different") {
			t.Errorf("%s: %d, %+v", one.what, exit, got)
		}
		if tb := got.Routes["tb"]; tb.Error == nil && (tb.Entries != 1 || tb.Signing != "AES-GMAC" || tb.Dialect != "3.1.1" || tb.FreeBytes == 0) {
			t.Errorf("%s: %+v", one.what, tb)
		}
	}
	before, err := os.ReadFile(filepath.Join(state, "server.json"))
	rig.Must(t, err)
	var got checked
	rig.Must(t, os.WriteFile(r.Theirs("later.txt"), nil, 0o644))
	if look(r, &got, r.Account.Password, append(append([]string{"check", "-keep-record"}, account...), over("tb", second)...)...); got.Verdict != "same" {
		t.Errorf("%+v", got)
	}
	// A new server that does not answer, or refuses the login, leaves the record.
	for _, cable := range []*rig.Cable{away, second} {
		arguments := append([]string{"mount", "-new-server"}, append(account, over("tb", cable)...)...)
		start(r, "a wrong word", append(arguments, r.Folder)...).line()
	}
	if after, _ := os.ReadFile(filepath.Join(state, "server.json")); string(after) != string(before) {
		t.Errorf("the record was written: %s", after)
	}
	// Anybody in between may have said what a guest's server offers.
	open := rig.New(t, rig.Global("server signing = auto\nguest account = "+r.Account.User), rig.PerShare("guest ok = yes"))
	guest := filepath.Join(r.Folder, "guest")
	look(open, &got, "", append([]string{"check", "-share", "share", "-guest", "-state", guest}, over("tb", open.Cable)...)...)
	if known := identity.Read(guest, "share"); known == nil || known.Dialect != "" {
		t.Errorf("%+v, %+v", got, known)
	}
	for _, command := range []string{"list", "shares"} {
		var failed struct{ Error struct{ Code string } }
		if look(r, &failed, r.Account.Password, append(append([]string{command}, account...), over("tb", fourth)...)...); failed.Error.Code != "other_server" {
			t.Errorf("%s: %+v", command, failed)
		}
	}
	if fourth.Passed("NTLMSSP") != 0 {
		t.Error("a stranger got a login")
	}
}

func TestSharesAndFoldersAreListed(t *testing.T) {
	r := rig.New(t)
	for _, name := range []string{"one", "two", "three"} {
		rig.Must(t, os.WriteFile(r.Theirs(name), []byte("text"), 0o644))
	}
	rig.Must(t, os.MkdirAll(r.Theirs("folder/below"), 0o755))
	var shares struct {
		Server struct{ Guid, Dialect string }
		Shares []struct{ Name, Comment string }
	}
	account := append(over("tb", r.Cable), "-user", r.Account.User, "-sign")
	if exit := look(r, &shares, r.Account.Password, append([]string{"shares"}, account...)...); exit != 0 || fmt.Sprint(shares.Shares) != "[{again } {closed } {readonly } {share }]" {
		t.Errorf("%d, %+v", exit, shares)
	}
	type listing struct {
		Entries []struct {
			Name   string
			Folder bool
			Size   int64
		}
		More bool
	}
	var all, some, below listing
	list := append([]string{"list", "-share", "share"}, account...)
	look(r, &all, r.Account.Password, list...)
	look(r, &some, r.Account.Password, append(list, "-most", "2")...)
	look(r, &below, r.Account.Password, append(list, "folder")...)
	if len(all.Entries) != 4 || all.More || len(some.Entries) != 2 || !some.More || fmt.Sprint(below.Entries) != "[{below true 0}]" {
		t.Errorf("%+v %+v %+v", all, some, below)
	}
	for code, arguments := range map[string][]string{
		"no_share": append(list, "-share", "none"), "logon_failure": list, "no_answer": append(list, "-address", "127.0.0.1:1"),
		"usage": {"list"},
	} {
		password := r.Account.Password
		if code == "logon_failure" {
			password = "a wrong word"
		}
		var failed struct{ Error struct{ Code string } }
		if exit := look(r, &failed, password, arguments...); exit == 0 || failed.Error.Code != code {
			t.Errorf("%s: %d, %+v", code, exit, failed)
		}
	}
}
