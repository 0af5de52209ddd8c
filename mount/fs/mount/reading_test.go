package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/rig"
)

func TestFilesAndFoldersAreTheServers(t *testing.T) {
	m := newMount(t, patient)
	whole := m.put("folder/large", 40*mib+77)
	m.put("folder/small", 5)
	m.put("folder/empty", 0)
	entries, err := os.ReadDir(filepath.Join(m.folder, "folder"))
	rig.Must(t, err)
	if len(entries) != 3 {
		t.Fatalf("listed: %v", entries)
	}
	for _, name := range []string{"folder", "folder/large", "folder/small", "folder/empty"} {
		ours, err := os.Stat(filepath.Join(m.folder, name))
		rig.Must(t, err)
		theirs, err := os.Stat(filepath.Join(m.Export, name))
		rig.Must(t, err)
		ino, id := ours.Sys().(*syscall.Stat_t).Ino, theirs.Sys().(*syscall.Stat_t).Ino
		isSame := ours.IsDir() || ours.Size() == theirs.Size()
		if ino != id || !isSame || !ours.ModTime().Truncate(time.Microsecond).Equal(theirs.ModTime().Truncate(time.Microsecond)) {
			t.Errorf("%s: %d %d %v, on the server %d %d %v", name, ino, ours.Size(), ours.ModTime(), id, theirs.Size(), theirs.ModTime())
		}
	}
	if got, err := os.ReadFile(filepath.Join(m.folder, "folder/large")); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("read: %d bytes, %v", len(got), err)
	}
	f := m.open("folder/large")
	for range 200 {
		off := rand.Intn(len(whole))
		rig.Must(t, isAt(f, whole[off:min(off+rand.Intn(300_000), len(whole))], int64(off)))
	}
	var space syscall.Statfs_t
	rig.Must(t, syscall.Statfs(m.folder, &space))
	if space.Blocks == 0 || space.Bavail > space.Blocks {
		t.Errorf("statfs: %+v", space)
	}
	if _, err := os.Stat(filepath.Join(m.folder, "folder/none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

func TestOpenFilesAreReadOnWhileConnectionsAreLost(t *testing.T) {
	m := newMount(t, patient)
	wholes := map[string][]byte{"one": m.put("one", 30*mib), "two": m.put("two", 25*mib)}
	var reading sync.WaitGroup
	stop := m.cutOften(100 * time.Millisecond)
	// Long enough for the cuts, however fast it is read.
	until := time.Now().Add(2 * time.Second)
	for name, whole := range wholes {
		f := m.open(name)
		reading.Go(func() {
			for round := 0; round < 3 || time.Now().Before(until); round++ {
				got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(len(whole))))
				if err != nil || !bytes.Equal(got, whole) {
					t.Errorf("%s, round %d: %d bytes, %v", name, round, len(got), err)
				}
				// Else the kernel has it all.
				rig.Must(t, dropPages(f))
			}
		})
	}
	reading.Wait()
	if cuts := stop(); cuts < 3 {
		t.Errorf("only %d cuts", cuts)
	}
}

func TestAnOpenFileIsReadOnAfterARestartOfTheServer(t *testing.T) {
	m := newMount(t, patient)
	whole := m.put("file", 8*mib)
	f := m.open("file")
	rig.Must(t, isAt(f, whole[:100], 0))
	m.KillServer()
	m.StartServer()
	rig.Must(t, isAt(f, whole[4*mib:5*mib], 4*mib))
}

func TestAHandleNeverReadsAnotherFile(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"replaced": func(file string) error {
			if err := os.WriteFile(file+".new", make([]byte, 8*mib), 0o644); err != nil {
				return err
			}
			return os.Rename(file+".new", file)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t, patient)
			whole := m.put("file", 8*mib)
			write(t, m.here("by which the server is known"), "again")
			f := m.open("file")
			rig.Must(t, isAt(f, whole[:100], 0))
			m.Cable.Set(true)
			rig.Must(t, change(filepath.Join(m.Export, "file")))
			m.Cable.Set(false)
			for range 2 {
				if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.ESTALE) {
					t.Errorf("read: %v", err)
				}
			}
			if name == "replaced" {
				rig.Must(t, isAt(m.open("file"), make([]byte, mib), 4*mib))
			}
		})
	}
}

func TestTheLostSessionEndsWithTheNextSignIn(t *testing.T) {
	m := newMount(t, patient)
	whole := m.put("file", 8*mib)
	f := m.open("file")
	// A cut while it signs in would leave a session that nothing names.
	for range 3 {
		m.connected(client.Names)
		m.Cable.Set(true)
		tries := m.Cable.Tries()
		rig.Must(t, dropPages(f))
		read := make(chan error, 1)
		go func() { read <- isAt(f, whole[4*mib:5*mib], 4*mib) }()
		rig.Eventually(t, "a try without an answer", func() bool { return m.Cable.Tries() > tries })
		m.Cable.Set(false)
		rig.Must(t, <-read)
	}
	// The server's ends of all connections are still open.
	rig.Eventually(t, "two sessions, one for names", func() bool { return m.Sessions() <= 2 })
}

func TestADeadlySignalEndsAWaitAtOnce(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 8*mib)
	f := m.open("file")
	m.Cable.Set(true)
	for name, program := range map[string]*exec.Cmd{
		"an open": exec.Command("cat", filepath.Join(m.folder, "file")),
		"a read":  exec.Command("cat"),
	} {
		program.Stdin = f
		rig.Must(t, program.Start())
		rig.Eventually(t, name+" waits", func() bool {
			call, err := os.ReadFile("/proc/" + strconv.Itoa(program.Process.Pid) + "/wchan")
			return err == nil && (bytes.Contains(call, []byte("fuse")) || bytes.Contains(call, []byte("request_wait")) || bytes.Contains(call, []byte("folio")))
		})
		killed := time.Now()
		rig.Must(t, program.Process.Kill())
		_ = program.Wait()
		if took := time.Since(killed); took > 500*time.Millisecond {
			t.Errorf("%s: %v", name, took)
		}
	}
	m.Cable.Set(false)
}

func TestPatienceEndsInAnErrorThatPasses(t *testing.T) {
	m := newMount(t, 200*time.Millisecond)
	whole := m.put("file", 8*mib)
	f := m.open("file")
	m.Cable.Set(true)
	if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.EIO) {
		t.Errorf("read without a route: %v", err)
	}
	m.Cable.Set(false)
	rig.Eventually(t, "read on", func() bool { return isAt(f, whole[4*mib:5*mib], 4*mib) == nil })
}

func TestARefusedUserIsNotTriedAgain(t *testing.T) {
	m := newMount(t, patient)
	whole := m.put("file", 8*mib)
	f := m.open("file")
	m.SetPassword("another one")
	before := m.Cable.Passed("NTLMSSP\x00\x03")
	m.Cable.Set(false)
	for range 20 {
		if err := isAt(f, whole[4*mib:5*mib], 4*mib); !errors.Is(err, syscall.EACCES) {
			t.Errorf("read: %v", err)
		}
	}
	if tries := m.Cable.Passed("NTLMSSP\x00\x03") - before; tries != 1 {
		t.Errorf("%d logins", tries)
	}
}

func TestChangesOfOthersAreSeen(t *testing.T) {
	m := newMount(t, patient)
	whole := m.put("file", 8*mib)
	f := m.open("file")
	// Reads ahead, also what is changed next.
	rig.Must(t, isAt(f, whole[:2*mib], 0))
	theirs, err := os.OpenFile(filepath.Join(m.Export, "file"), os.O_WRONLY, 0)
	rig.Must(t, err)
	defer theirs.Close()
	changed := bytes.Repeat([]byte("changed "), 1000)
	_, err = theirs.WriteAt(changed, 3*mib)
	rig.Must(t, err)
	_, err = theirs.WriteAt(changed, 8*mib)
	rig.Must(t, err)
	at := time.Now()
	rig.Eventually(t, "appended bytes", func() bool { return isAt(f, changed, 8*mib) == nil })
	rig.Must(t, isAt(f, changed, 3*mib))
	if took := time.Since(at); took > 2*time.Second {
		t.Errorf("seen after %v", took)
	}
}

// A colleague's editor saves: his new file is in the place of the old one, which a listing has shown a moment before.
func TestAFileThatOthersReplaceIsOpened(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 1)
	for i := range 20 {
		_, err := os.ReadDir(m.folder)
		rig.Must(t, err)
		whole := m.put("new", 10+i)
		rig.Must(t, os.Rename(filepath.Join(m.Export, "new"), filepath.Join(m.Export, "file")))
		if got, err := os.ReadFile(filepath.Join(m.folder, "file")); err != nil || !bytes.Equal(got, whole) {
			t.Fatalf("%d: %d bytes, %v", i, len(got), err)
		}
	}
}

// waiting says when it is first waited with.
type waiting struct {
	context.Context
	begun chan struct{}
}

func (w waiting) Done() <-chan struct{} {
	close(w.begun)
	return w.Context.Done()
}

func TestOnlyRenamesThatBeganBeforeAreWaitedFor(t *testing.T) {
	var m renames
	before := m.count()
	if m.awaitSince(t.Context(), before) {
		t.Error("there was none")
	}
	first := m.begin()
	w := waiting{t.Context(), make(chan struct{})}
	was := make(chan bool, 1)
	go func() { was <- m.awaitSince(w, before) }()
	<-w.begun
	defer m.begin()()
	select {
	case <-was:
		t.Error("it does not wait")
	default:
	}
	first()
	select {
	case is := <-was:
		if !is {
			t.Error("there was one")
		}
	case <-time.After(rig.AtMost):
		t.Error("it waits for a later one")
	}
}

func TestOnlyAProcessThatIsKnownIsKilled(t *testing.T) {
	ended := exec.Command("true")
	rig.Must(t, ended.Run())
	for pid, want := range map[int]bool{0: false, os.Getpid(): false, ended.Process.Pid: true} {
		ctx := &fuse.Context{Caller: fuse.Caller{Pid: uint32(pid)}}
		if Killed(ctx) != want {
			t.Errorf("%d: %v", pid, !want)
		}
	}
}

func TestOnlyWhatAProgramNeedsIsAskedFor(t *testing.T) {
	m := newMount(t, 2*time.Second)
	for i := range 3 * pageLength {
		write(t, m.Theirs(fmt.Sprintf("many-%d", i)), "")
	}
	listed := m.open("")
	_, err := listed.ReadDir(1)
	rig.Must(t, err)
	checker := filepath.Join(m.Folder, checker+".js")
	write(t, checker, `exec 3<"$1"`)
	isAsked := func() bool { return m.client.Status().AskedMs != nil }
	m.Cable.Set(true)
	if out, err := exec.Command("sh", "-c", `exec 3<"$1"/absent`, "sh", m.folder).CombinedOutput(); err == nil || !isAsked() {
		t.Errorf("a program: %v: %s", err, out)
	}
	m.Cable.Set(false)
	rig.Eventually(t, "served again", func() bool { return !isAsked() })
	m.Cable.Set(true)
	rig.Eventually(t, "lost", func() bool { return m.client.Status().Phase.Is != "serving" })
	rig.Must(t, listed.Close())
	if err := exec.Command("sh", checker, m.here("absent")).Run(); err == nil || isAsked() {
		t.Errorf("a check: %v", err)
	}
	m.share.background.Wait()
	if isAsked() {
		t.Error("a folder is closed")
	}
}

// impacket's server lists files with the id 0, and returns another one for a file that is opened.
func TestAFileIsLookedAtWhereListingsHaveNoIds(t *testing.T) {
	m := newMount(t, patient)
	write(t, m.Theirs("a"), "text")
	root := m.share.root
	listed := &smb2.FileStat{FileName: "a"}
	root.storeListing([]fileInfo{{stat: listed}}, time.Now(), true, nil)
	if _, ok := root.listed("a"); ok || root.listNow(t.Context()) == nil {
		t.Error("an entry without an id counts")
	}
	read, err := os.ReadFile(m.here("a"))
	if rig.Must(t, err); string(read) != "text" {
		t.Errorf("read %q", read)
	}
}

func TestAListingSaysNothingOfNamesThatChangedMeanwhile(t *testing.T) {
	root := newMount(t, patient).share.root
	entries := func(names ...string) (all []fileInfo) {
		for i, name := range names {
			all = append(all, fileInfo{stat: &smb2.FileStat{FileName: name, FileId: uint64(i + 1)}})
		}
		return all
	}
	knows := func(name string) bool {
		_, ok, isAbsent := root.names.get(name)
		return ok || isAbsent
	}
	first, second := time.Now(), time.Now()
	root.names.forget("renamed")
	root.names.forget("created")
	root.names.changedBy(root.share, []smb2.Change{{Name: "theirs"}})
	for _, asked := range []time.Time{second, first} {
		root.storeListing(entries("same", "renamed", "theirs"), asked, true, nil)
		for _, name := range []string{"renamed", "created", "CREATED", "theirs"} {
			if knows(name) {
				t.Errorf("it knows of %s", name)
			}
		}
		if !knows("same") || !knows("other") {
			t.Error("it does not know the other names")
		}
	}
	root.storeListing(entries("renamed"), time.Now(), true, nil)
	if !knows("renamed") || !knows("created") {
		t.Error("a later listing does not know all names")
	}
	for what, changes := range map[string]func(){
		"the folder": func() { root.names.changedBy(root.share, nil) },
		"too many names": func() {
			for i := range 2 * changedAtMost {
				root.names.forget(strconv.Itoa(i))
			}
		},
	} {
		asked := time.Now()
		changes()
		root.storeListing(entries("1"), asked, true, nil)
		if knows("1") || len(root.names.changedAt) > changedAtMost {
			t.Errorf("%s changed, and the listing counts", what)
		}
	}
}

// The server reports what changes in a folder, not in those below it.
func TestAFolderThatIsListedAgainIsAsItIsNow(t *testing.T) {
	m := newMount(t, patient)
	rig.Must(t, os.Mkdir(m.Theirs("below"), 0o755))
	changed := func() time.Time {
		t.Helper()
		all, err := os.ReadDir(m.folder)
		rig.Must(t, err)
		info, err := all[0].Info()
		rig.Must(t, err)
		return info.ModTime()
	}
	for i := range 2 {
		rig.Must(t, os.WriteFile(m.Theirs("below/"+strconv.Itoa(i)), nil, 0o644))
		time.Sleep(2*attributesFor + 100*time.Millisecond)
		there, err := os.Stat(m.Theirs("below"))
		rig.Must(t, err)
		if here := changed(); !here.Equal(there.ModTime().Truncate(100)) {
			t.Errorf("changed %v, and there %v", here, there.ModTime())
		}
	}
}

func TestAListingIsWhole(t *testing.T) {
	m := newMount(t, patient)
	for i := range 2001 {
		write(t, m.Theirs(strconv.Itoa(i)), "")
	}
	entries, err := os.ReadDir(m.folder)
	rig.Must(t, err)
	if len(entries) != 2001 {
		t.Errorf("%d entries", len(entries))
	}
}

// impacket's server says NO_SUCH_FILE where Samba and Windows say OBJECT_NAME_NOT_FOUND.
func TestANameThatIsNotThereIsAbsentOnEachServer(t *testing.T) {
	for _, status := range []uint32{nameNotFound, pathNotFound, noSuchFile} {
		if err := (&smb2.ResponseError{Code: status}); !isAbsent(err) || errnoOf(err) != syscall.ENOENT {
			t.Errorf("%v is %v", err, errnoOf(err))
		}
	}
}

func TestALinkToAnotherShareSaysSo(t *testing.T) {
	m := newMount(t, patient, rig.PerShare("msdfs root = yes"))
	rig.Must(t, os.Symlink(`msdfs:elsewhere\share`, filepath.Join(m.Export, "link")))
	for _, path := range []string{"link", "link/below"} {
		if _, err := os.Stat(filepath.Join(m.folder, path)); !errors.Is(err, syscall.EREMOTE) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Samba does not sign what it says of a lease.
func TestABreakIsActedOnThoughAllIsSigned(t *testing.T) {
	m := newMount(t, patient)
	m.put("file", 10)
	if m.connected(client.Files).Signing() == "" {
		t.Fatal("not signed")
	}
	f := m.open("file")
	n := m.share.root.childOf("file")
	rig.Must(t, isAt(f, m.put("file", 10), 0))
	if !n.isLeased() {
		t.Fatal("the server vouches for nothing")
	}
	other := mountOf(t, m.Rig, patient)
	write(t, other.here("file"), "of another")
	rig.Eventually(t, "the break is heard", func() bool { return !n.isLeased() })
	rig.Must(t, isAt(f, []byte("of another"), 0))
}
