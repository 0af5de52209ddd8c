package client

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

// anotherServer is another server with the same user, and one that leads there in place of the fallback.
func (l *lab) anotherServer(options ...rig.Option) *rig.Rig {
	l.T.Helper()
	other := rig.New(l.T, options...)
	l.fallback.LeadTo(other)
	return other
}

func TestAnotherServerGetsNoLogin(t *testing.T) {
	l := newLab(t, nil)
	l.anotherServer(rig.Named("STRANGER"))
	before := l.fallback.Passed("NTLMSSP")
	if _, err := l.client.Use(context.Background(), "fallback"); smb.CodeOf(err) != smb.OtherServer {
		t.Errorf("%v", err)
	}
	l.tb.Set(true)
	looked := make(chan error, 1)
	go func() { looked <- l.look() }()
	rig.Eventually(t, "programs wait", func() bool { return l.client.Status().Phase.Why == smb.OtherServer })
	if logins := l.fallback.Passed("NTLMSSP") - before; logins != 0 {
		t.Errorf("it got %d messages of a login", logins)
	}
	if s := l.client.Status(); s.Other == nil || s.Other.Route != "fallback" || s.Other.Text == "" || s.Refused != nil {
		t.Errorf("%+v", s)
	}
	l.tb.Set(false)
	rig.Must(t, l.client.Try([]string{"tb"}))
	rig.Must(t, <-looked)
	if s := l.client.Status(); s.Other != nil || s.Moves.Count != 0 {
		t.Errorf("%+v", s)
	}
}

// without takes dialects and encryption out of a client's first message, as an attacker in between may: the oldest dialect takes their place.
func without(newerThan uint16) func([]byte) {
	return func(message []byte) {
		const isNegotiate, capabilities, firstDialect = 4 + 12, 4 + 64 + 8, 4 + 64 + 36
		if len(message) < firstDialect || string(message[4:8]) != "\xfeSMB" || binary.LittleEndian.Uint16(message[isNegotiate:]) != 0 {
			return
		}
		binary.LittleEndian.PutUint32(message[capabilities:], 0)
		for at := range int(binary.LittleEndian.Uint16(message[4+64+2:])) {
			if dialect := message[firstDialect+2*at:]; binary.LittleEndian.Uint16(dialect) > newerThan {
				binary.LittleEndian.PutUint16(dialect, 0x202)
			}
		}
	}
}

func TestADowngradeGetsNoFile(t *testing.T) {
	l := newLab(t, func(o *Options) { o.Folder = t.TempDir() }, rig.Global("server smb encrypt = desired"))
	rig.Eventually(t, "it is recorded", func() bool {
		record := identity.Read(l.client.options.Folder, "share")
		return record != nil && record.Dialect == "3.1.1" && record.Encrypted
	})
	l.fallback.Alter(without(0x210))
	if _, err := l.client.Use(context.Background(), "fallback"); smb.CodeOf(err) != smb.OtherServer || !strings.Contains(err.Error(), "SMB 2.1 at most") {
		t.Errorf("%v", err)
	}
	if logins := l.fallback.Passed("NTLMSSP"); logins != 0 {
		t.Errorf("%d messages of a login", logins)
	}
	for _, newest := range []uint16{0x202, 0x210, 0x300, 0x302} {
		fresh := &lab{Rig: l.Rig, tb: l.LayCable(), fallback: l.LayCable()}
		fresh.tb.Alter(without(newest))
		unknown := New(Options{Account: l.Account, Routes: []smb.Route{fresh.tb.Route("tb")}})
		if err := unknown.Start(context.Background()); err == nil || !strings.Contains(err.Error(), smb2.ErrChanged.Error()) {
			t.Errorf("%x: %v", newest, err)
		}
		unknown.Close()
	}
}

func TestLessThanRecordedIsLetInByAPerson(t *testing.T) {
	l := newLab(t, func(o *Options) { o.Folder = t.TempDir() }, rig.Global("server smb encrypt = desired"))
	before := l.epoch()
	for _, one := range [][2]string{{"server smb encrypt = off", "does not encrypt"}, {"server max protocol = SMB3_02", "SMB 3.0.2 at most"}} {
		lines, why := one[0], one[1]
		l.KillServer()
		l.Reconfigure(lines)
		l.StartServer()
		l.tb.Set(false)
		l.fallback.Set(false)
		rig.Eventually(t, "it is another one: "+why, func() bool {
			other := l.client.Status().Other
			return other != nil && strings.Contains(other.Text, why)
		})
		rig.Must(t, l.client.AcceptServer(l.client.Status().Other.Guid))
		rig.Must(t, l.look())
		l.whole()
	}
	if l.epoch() != before {
		t.Error("it is the same server, and what is open stays")
	}
}

func TestAServerOfAnOldDialectIsServed(t *testing.T) {
	for protocol, dialect := range map[string]string{"SMB2_02": "2.0.2", "SMB2_10": "2.1", "SMB3_00": "3.0", "SMB3_02": "3.0.2"} {
		l := newLab(t, nil, rig.Global("server max protocol = "+protocol))
		rig.Must(t, l.look())
		l.client.mu.Lock()
		if got := l.client.record.Dialect; got != dialect {
			t.Errorf("%s: %q", protocol, got)
		}
		l.client.mu.Unlock()
	}
}

func TestAnotherServerIsForgottenWithItsRoute(t *testing.T) {
	l := newLab(t, nil)
	l.anotherServer(rig.Named("STRANGER"))
	l.fallback.Hold(true)
	before := l.fallback.Tries()
	used := make(chan error, 1)
	go func() {
		_, err := l.client.Use(context.Background(), "fallback")
		used <- err
	}()
	rig.Eventually(t, "it is asked", func() bool { return l.fallback.Tries() > before })
	rig.Must(t, l.client.Set(Settings{Routes: []smb.Route{l.tb.Route("tb")}}))
	l.fallback.Hold(false)
	if err := <-used; smb.CodeOf(err) != smb.OtherServer {
		t.Errorf("%v", err)
	}
	if s := l.client.Status(); s.Other != nil {
		t.Errorf("%+v", s.Other)
	}
}

func TestATwinIsNotTheServer(t *testing.T) {
	for name, fill := range map[string]func(l *lab, twin *rig.Rig){
		"an empty one": func(*lab, *rig.Rig) {},
		"one with other files": func(_ *lab, twin *rig.Rig) {
			rig.Must(t, os.WriteFile(twin.Theirs("kept.txt"), []byte("other bytes"), 0o644))
		},
		"two fresh disks": func(l *lab, twin *rig.Rig) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			twin := l.anotherServer()
			fill(l, twin)
			if _, err := l.client.Use(context.Background(), "fallback"); smb.CodeOf(err) != smb.OtherServer {
				t.Errorf("%v", err)
			}
			rig.Must(t, l.look())
			if l.route() != "tb" {
				t.Errorf("on %s", l.route())
			}
			if logins := l.fallback.Passed("NTLMSSP"); logins == 0 {
				t.Error("it did not sign in")
			}
		})
	}
}

func TestAPersonLetsANewServerIn(t *testing.T) {
	home := t.TempDir()
	l := newLab(t, func(o *Options) { o.Folder = home })
	rig.Eventually(t, "the server is recorded", func() bool { _, err := os.Stat(filepath.Join(home, "server.json")); return err == nil })
	before := l.epoch()
	other := l.anotherServer(rig.Named("NEW"))
	rig.Must(t, os.WriteFile(other.Theirs("kept.txt"), []byte("of the new one"), 0o644))
	l.tb.Set(true)
	rig.Eventually(t, "it is another one", func() bool { return l.client.Status().Other != nil })
	guid := l.client.Status().Other.Guid
	if err := l.client.AcceptServer("another id"); err == nil {
		t.Error("a server was let in that nobody has seen")
	}
	rig.Must(t, l.client.AcceptServer(guid))
	rig.Must(t, l.look())
	if s := l.client.Status(); s.Server.Guid != guid || s.Other != nil || l.epoch() != before+1 {
		t.Errorf("%+v, epoch %d", s, l.epoch())
	}
	kept, err := filepath.Glob(filepath.Join(home, "server-*.json"))
	if err != nil || len(kept) != 1 {
		t.Errorf("the record before: %v, %v", kept, err)
	}
}

func (l *lab) epoch() (epoch int) {
	_, err := l.do(Needs{}, func(t Attempt) (struct{}, error) { epoch = t.ServerNumber; return struct{}{}, nil })
	rig.Must(l.T, err)
	return epoch
}

func TestANewGuidWithAnOldCreationTimeIsTheSameServer(t *testing.T) {
	l := newLab(t, nil)
	rig.Must(t, l.put("made over SMB", "text"))
	later := time.Now().Add(10 * time.Second)
	rig.Must(t, os.Chtimes(l.Theirs("made over SMB"), later, later))
	l.client.Close()
	l.connect(nil)
	rig.Eventually(t, "recorded", func() bool { return l.client.knows("made over SMB") })
	before := l.epoch()
	l.KillServer()
	l.Rename("AGAIN")
	l.StartServer()
	l.tb.Set(false)
	l.fallback.Set(false)
	rig.Eventually(t, "it has another GUID", func() bool { return l.client.Status().Other != nil })
	rig.Must(t, l.client.AcceptServer(l.client.Status().Other.Guid))
	rig.Must(t, l.look())
	if s := l.client.Status(); s.Server.Proved != "creation" || l.epoch() != before {
		t.Errorf("%+v, epoch %d", s, l.epoch())
	}
}

// knows says whether the record has that entry with a creation time.
func (cl *Client) knows(path string) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.record == nil {
		return false
	}
	for _, each := range cl.record.Entries {
		if each.Path == path && each.Created != 0 {
			return true
		}
	}
	return false
}

func TestOnlyOnANetworkThatIsAllowed(t *testing.T) {
	l := newLab(t, func(o *Options) { o.OnlyOn, o.Patience = true, 2*time.Second })
	rig.Must(t, l.look())
	l.client.networkChanged()
	// The connection stays.
	rig.Must(t, l.look())
	before := l.tb.Tries() + l.fallback.Tries()
	l.tb.Hold(true)
	go func() {
		// Where its silence may not be looked into.
		for l.client.OldestWait() < 3*silentFrom {
			time.Sleep(time.Millisecond)
		}
		l.tb.Set(false)
		l.tb.Hold(false)
	}()
	if err := l.look(); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if phase := l.client.Status().Phase; phase.Why != "network" {
		t.Errorf("%+v", phase)
	}
	if now := l.tb.Tries() + l.fallback.Tries(); now != before {
		t.Errorf("%d tries on a network that nobody has allowed", now-before)
	}
	rig.Must(t, l.client.Allow([]string{"tb"}))
	rig.Eventually(t, "served again", func() bool { return l.look() == nil })
}

func TestARefusedLoginCountsForAllProgramsOfTheAccount(t *testing.T) {
	home := t.TempDir()
	l := newLab(t, func(o *Options) { o.Logins = logins.New(home, o.Account.User, "", o.Account.Password) })
	second := &lab{Rig: l.Rig, tb: l.LayCable(), fallback: l.LayCable()}
	second.connect(func(o *Options) { o.Logins = logins.New(home, o.Account.User, "", o.Account.Password) })
	l.SetPassword("another one")
	all := []*lab{l, second}
	logins := func() (n int) {
		for _, each := range all {
			n += each.tb.Passed("NTLMSSP\x00\x03") + each.fallback.Passed("NTLMSSP\x00\x03")
		}
		return n
	}
	before := logins()
	l.KillServer()
	l.StartServer()
	for _, each := range all {
		each.tb.Set(false)
		each.fallback.Set(false)
	}
	for _, each := range all {
		rig.Eventually(t, "refused", func() bool { return errors.Is(each.look(), syscall.EACCES) })
	}
	if tried := logins() - before; tried != 1 {
		t.Errorf("%d logins with a wrong password", tried)
	}
	// A new password is tried at once, under open files, by each.
	password := "another one"
	for _, each := range all {
		rig.Must(t, each.client.Set(Settings{Password: &password}))
		rig.Eventually(t, "served", func() bool { return each.look() == nil })
		if s := each.client.Status(); s.Refused != nil || s.Phase.Is != "serving" {
			t.Errorf("%+v", s)
		}
	}
}

func TestProgramsWaitForWhatANewPasswordBrings(t *testing.T) {
	l := newLab(t, func(o *Options) { o.Patience = 3 * time.Second })
	l.SetPassword("another one")
	l.KillServer()
	l.StartServer()
	rig.Eventually(t, "refused", func() bool { return errors.Is(l.look(), syscall.EACCES) })
	time.Sleep(3 * time.Second)
	cables := []*rig.Cable{l.tb, l.fallback}
	for _, each := range cables {
		each.Hold(true)
	}
	password := "another one"
	rig.Must(t, l.client.Set(Settings{Password: &password}))
	time.AfterFunc(200*time.Millisecond, func() {
		for _, each := range cables {
			each.Hold(false)
		}
	})
	rig.Must(t, l.look())
}

func TestARefusedLoginIsTriedOnceMoreAfterTheServerWasAway(t *testing.T) {
	l := newLab(t, nil)
	both := []string{"tb", "fallback"}
	l.SetPassword("another one")
	l.KillServer()
	l.StartServer()
	rig.Eventually(t, "refused", func() bool { return errors.Is(l.look(), syscall.EACCES) })
	l.SetPassword(l.Account.Password)
	rig.Must(t, l.client.Try(both))
	time.Sleep(time.Second)
	if err := l.look(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("it was not away: %v", err)
	}
	l.KillServer()
	rig.Must(t, l.client.Try(both))
	time.Sleep(time.Second)
	l.StartServer()
	rig.Eventually(t, "served", func() bool { return l.client.Try(both) == nil && l.look() == nil })
}

func TestAShareThatIsGoneIsNamedWithThoseThatAreThere(t *testing.T) {
	l := newLab(t, nil)
	l.RenameShare("renamed")
	l.KillServer()
	l.StartServer()
	rig.Eventually(t, "it says so", func() bool {
		phase := l.client.Status().Phase
		return phase.Why == smb.NoShare && strings.Contains(phase.Text, `no share "share"; it has "renamed", "again"`)
	})
}

func TestTheOneKnownFileIsFoundUnderAnotherName(t *testing.T) {
	l := &lab{Rig: rig.New(t)}
	l.tb, l.fallback = l.Cable, l.LayCable()
	folder := t.TempDir()
	home := func(o *Options) { o.Folder = folder }
	rig.Must(t, os.WriteFile(l.Theirs("kept.txt"), []byte("kept"), 0o644))
	l.connect(home)
	rig.Must(t, l.look())
	l.client.Close()
	rig.Must(t, os.Rename(l.Theirs("kept.txt"), l.Theirs("renamed.txt")))
	l.connect(home)
	if s := l.client.Status(); s.Server.Proved != string(identity.ByEntries) {
		t.Errorf("%+v", s.Server)
	}
}

func TestTheServerIsKnownByFilesBelowItsRoot(t *testing.T) {
	l := &lab{Rig: rig.New(t)}
	l.tb, l.fallback = l.Cable, l.LayCable()
	rig.Must(t, os.Mkdir(l.Theirs("busy"), 0o755))
	folder := t.TempDir()
	deep := identity.Entry{Path: `busy/deep.txt`, Size: 4, Written: 1, Id: 7}
	l.connect(func(o *Options) {
		o.Folder, o.Known = folder, func() []identity.Entry { return []identity.Entry{deep} }
	})
	rig.Eventually(t, "it is recorded", func() bool {
		record := identity.Read(folder, "share")
		return record != nil && slices.Contains(record.Entries, deep)
	})
}
