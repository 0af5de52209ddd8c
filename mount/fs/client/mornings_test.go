package client

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

// disks make what a server keeps its files on; with no command it is the folder of the test.
var disks = map[string]struct {
	make    []string
	options string
}{
	"folder": {}, "ext4": {[]string{"mke2fs", "-qt", "ext4"}, "relatime"}, "ext4 noatime": {[]string{"mke2fs", "-qt", "ext4"}, "noatime"},
	"xfs": {[]string{"mkfs.xfs", "-q"}, "relatime"}, "btrfs": {[]string{"mkfs.btrfs", "-q"}, "noatime"}, "tmpfs": {[]string{"tmpfs"}, "size=16m"},
}

var servers = map[string]rig.Option{
	"plain":                         rig.PerShare(""),
	"fruit, streams_xattr":          rig.PerShare("vfs objects = catia fruit streams_xattr\nea support = yes"),
	"store dos attributes = no":     rig.PerShare("store dos attributes = no"),
	"fake directory creation times": rig.PerShare("fake directory create times = yes"),
}

// mornings is how many are played on each disk and server: MOUNTAINEER_MORNINGS. By default on some of them.
func mornings(t *testing.T) (count int, isWhole bool) {
	if count, err := strconv.Atoi(os.Getenv("MOUNTAINEER_MORNINGS")); err == nil {
		return count, true
	}
	return 3, false
}

// nas is a server with a disk that can be changed for another one.
type nas struct {
	*rig.Rig
	disk string
}

// insert puts a fresh disk into the server, or the one of that image.
func (n nas) insert(image string) {
	n.T.Helper()
	disk := disks[n.disk]
	if len(disk.make) == 0 {
		rig.Must(n.T, os.Mkdir(n.Export, 0o755))
		return
	}
	rig.Must(n.T, os.MkdirAll(n.Export, 0o755))
	mount := []string{"-t", "tmpfs", "-o", disk.options, "none", n.Export}
	if disk.make[0] != "tmpfs" {
		if _, err := os.Stat(image); err != nil {
			rig.Must(n.T, os.WriteFile(image, nil, 0o600))
			rig.Must(n.T, os.Truncate(image, 300<<20))
			n.run(append(slices.Clone(disk.make), image)...)
		}
		mount = []string{"-o", "loop," + disk.options, image, n.Export}
	}
	n.run(append([]string{"mount"}, mount...)...)
	n.T.Cleanup(func() { _ = exec.Command("umount", "-l", n.Export).Run() })
}

// eject takes the disk out; a bare folder is left.
func (n nas) eject() {
	n.T.Helper()
	n.KillServer()
	if len(disks[n.disk].make) == 0 {
		rig.Must(n.T, os.Rename(n.Export, n.Folder+"/ejected"))
		rig.Must(n.T, os.Mkdir(n.Export, 0o755))
	} else {
		n.run("umount", n.Export)
	}
	n.StartServer()
}

func (n nas) run(command ...string) {
	n.T.Helper()
	if out, err := exec.Command(rig.Program(command[0]), command[1:]...).CombinedOutput(); err != nil {
		n.T.Fatalf("%v: %v: %s", command, err, out)
	}
}

// fill makes what any home has, in the same order, so that ids are the same where a disk counts them so.
func (n nas) fill(text string) {
	for _, folder := range []string{"Photos", "Films/Old", "Backup"} {
		rig.Must(n.T, os.MkdirAll(n.Theirs(folder), 0o777))
		n.put(filepath.Join(folder, "first"), text)
		n.put(filepath.Join(folder, "second"), text)
	}
}

func (n nas) put(name, text string) { rig.Must(n.T, os.WriteFile(n.Theirs(name), []byte(text), 0o666)) }

// start is a morning; the error says why the server is not taken for the recorded one.
func (n nas) start(home string) (*Client, error) {
	cl := New(Options{
		Account: n.Account, Routes: []smb.Route{n.Cable.Route("tb")}, Patience: time.Minute, Folder: home,
		Logins: logins.New("", n.Account.User, "", n.Account.Password),
	})
	err := cl.Start(context.Background())
	n.T.Cleanup(cl.Close)
	return cl, err
}

// days are what happens between one evening and the next morning, in turn.
var days = []func(n nas, day string){
	func(n nas, day string) { // the family adds a file to each folder
		for _, folder := range []string{"Photos", "Films", "Backup"} {
			n.put(folder+"/"+day, day)
		}
	},
	func(n nas, day string) { // all that is known in a folder has another name
		files, err := filepath.Glob(n.Theirs("Photos/*"))
		rig.Must(n.T, err)
		for _, each := range files {
			rig.Must(n.T, os.Rename(each, each+"'"))
		}
	},
	func(n nas, day string) { // a new folder, and everything is read
		rig.Must(n.T, os.MkdirAll(n.Theirs(day+"/sub"), 0o777))
		n.run("find", n.Export)
	},
	func(n nas, day string) { // all but one is edited
		n.put("Backup/first", day+"longer")
		n.put("Films/Old/first", day+"longer")
		n.put("Photos/second", day+"longer")
	},
	func(n nas, day string) { n.KillServer(); n.StartServer() },
	func(n nas, day string) { // a folder is renamed
		rig.Must(n.T, os.Rename(n.Theirs("Films"), n.Theirs(day)))
		rig.Must(n.T, os.Rename(n.Theirs(day), n.Theirs("Films")))
	},
	func(n nas, day string) { rig.Must(n.T, os.RemoveAll(n.Theirs("Backup/first"))) },
	func(n nas, day string) {},
}

func TestTheSameServerEveryMorning(t *testing.T) {
	count, isWhole := mornings(t)
	for disk, made := range disks {
		for server, option := range servers {
			if !isWhole && server != "plain" && disk != "folder" {
				continue
			}
			t.Run(disk+", "+server, func(t *testing.T) {
				t.Parallel()
				if len(made.make) > 0 && (os.Getuid() != 0 || made.make[0] != "tmpfs" && rig.Program(made.make[0]) == "") {
					t.Skip("no such disk can be made here")
				}
				n := nas{rig.New(t, option), disk}
				home := t.TempDir()
				rig.Must(t, os.RemoveAll(n.Export))
				n.insert(n.Folder + "/own")
				n.playMornings(home, count)
				n.playAttacks(home)
			})
		}
	}
}

func (n nas) playMornings(home string, count int) {
	for _, folder := range []string{"Photos", "Films", "Backup"} {
		rig.Must(n.T, os.Mkdir(n.Theirs(folder), 0o777))
	}
	// An own creation time is older than all others by two seconds.
	time.Sleep(ownAfter)
	for day := range count {
		cl, err := n.start(home)
		if err != nil {
			n.T.Fatalf("morning %d: %v", day, err)
		}
		if day == 0 {
			// No user has a file yet: the first is the family's, and the share is looked for again.
			cl.Close()
			n.put("Photos/theirs", "theirs")
			n.put("Backup/theirs", "theirs")
			if cl, err = n.start(home); err != nil {
				n.T.Fatalf("no file was known, and the family has added some: %v", err)
			}
			n.fill("text")
		}
		_, err = cl.putFile("Photos/ours "+strconv.Itoa(day), "ours")
		rig.Must(n.T, err)
		cl.Close()
		if record := identity.Read(home, "share"); record == nil || !slices.ContainsFunc(record.Entries, func(e identity.Entry) bool { return e.Path == "Films/Old/second" }) {
			n.T.Fatalf("evening %d: it is not recorded", day)
		}
		days[day%len(days)](n, fmt.Sprint("day ", day))
	}
	cl, err := n.start(home)
	rig.Must(n.T, err)
	cl.Close()
}

const ownAfter = 2100 * time.Millisecond

// playAttacks puts what is not the server in its place, with its GUID.
func (n nas) playAttacks(home string) {
	refused := func(what string) {
		if cl, err := n.start(home); smb.CodeOf(err) != smb.OtherServer {
			cl.Close()
			n.T.Errorf("%s: %v, proved by %q", what, err, cl.Status().Server.Proved)
		} else {
			n.T.Logf("%s: %v", what, err)
		}
	}
	n.eject()
	refused("a bare folder beneath the mount point")
	rig.Must(n.T, os.RemoveAll(n.Export))
	n.insert(n.Folder + "/second")
	refused("a blank disk")
	n.fill("other")
	refused("another machine of that name, with folders and files of these names")
	switch made := disks[n.disk].make; {
	case len(made) == 0:
		rig.Must(n.T, os.RemoveAll(n.Export))
		rig.Must(n.T, os.Rename(n.Folder+"/ejected", n.Export))
	case made[0] == "tmpfs":
		return
	default:
		n.eject()
		n.insert(n.Folder + "/own")
	}
	if cl, err := n.start(home); err != nil {
		n.T.Errorf("its own disk again: %v", err)
	} else {
		cl.Close()
	}
	n.run("find", n.Export, "-mindepth", "1", "-delete")
	refused("an emptied share")
}

func TestATwinWithTheSameIdsGetsNoPlannedMove(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("no such disk can be made here")
	}
	l := &lab{Rig: rig.New(t)}
	l.tb, l.fallback = l.Cable, l.LayCable()
	twin := rig.New(t)
	for _, each := range []*rig.Rig{l.Rig, twin} {
		n := nas{each, "tmpfs"}
		n.insert("")
		n.fill("text")
	}
	l.connect(nil)
	l.fallback.LeadTo(twin)
	if _, err := l.client.Use(context.Background(), "fallback"); smb.CodeOf(err) != smb.OtherServer {
		t.Errorf("%v, on %s", err, l.route())
	}
	// A server of which nothing is as it was, but that a living connection shows the same.
	l.fallback.LeadTo(l.Rig)
	nas{l.Rig, "tmpfs"}.run("find", l.Export, "-mindepth", "1", "-delete")
	nas{l.Rig, "tmpfs"}.put("new", "text")
	_, err := l.client.Use(context.Background(), "fallback")
	rig.Must(t, err)
}

func TestTheRecordHasWhatIsWrittenInTheFirstMinute(t *testing.T) {
	home := t.TempDir()
	ticks := make(chan time.Time)
	l := newLab(t, func(o *Options) {
		o.Folder, o.After = home, func(time.Duration) <-chan time.Time { return ticks }
	})
	has := func(name string) bool {
		record := identity.Read(home, "share")
		return record != nil && slices.ContainsFunc(record.Entries, func(e identity.Entry) bool { return e.Path == name })
	}
	rig.Eventually(t, "it is recorded", func() bool { return has("kept.txt") })
	rig.Must(t, os.Mkdir(l.Theirs("folder"), 0o777))
	rig.Must(t, l.put("folder/ours", "text"))
	for range recordFirst + 1 {
		ticks <- time.Now()
	}
	rig.Eventually(t, "what was written is recorded", func() bool { return has("folder/ours") })
	// At rest no look.
	rig.Eventually(t, "it rests", func() bool { return l.client.connToRecord() == nil })
	before := l.client.Status().Bytes
	for range recordEvery + 1 {
		ticks <- time.Now()
	}
	if after := l.client.Status().Bytes; after != before {
		t.Errorf("%+v, then %+v", before, after)
	}
}

func (cl *Client) putFile(name, text string) (struct{}, error) {
	return struct{}{}, (&lab{client: cl}).put(name, text)
}
