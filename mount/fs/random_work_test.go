package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/rig"
)

// loads are how often and how long a random test plays: MOUNTAINEER_RANDOM is the first seed, how many, and the seconds of each.
func loads(t *testing.T) (seeds []int64, each time.Duration) {
	first, count, seconds := int64(1), int64(3), int64(4)
	if text := os.Getenv("MOUNTAINEER_RANDOM"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d,%d", &first, &count, &seconds); err != nil {
			t.Fatalf("MOUNTAINEER_RANDOM: %v", err)
		}
	}
	for seed := first; seed < first+count; seed++ {
		seeds = append(seeds, seed)
	}
	return seeds, time.Duration(seconds) * time.Second
}

// side is a tree of files, and what a program has open in it.
type side struct {
	root string
	open map[int]*os.File
}

func (s *side) at(name string) string { return filepath.Join(s.root, name) }

// unlock: nothing is locked.
func (s *side) unlock() {
	for _, f := range s.open {
		_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
	}
}

func (s *side) closeAll() {
	for _, f := range s.open {
		_ = f.Close()
	}
	clear(s.open)
}

// step is something that a program does. It returns what the program sees.
type step struct {
	what string
	do   func(*side) (string, error)
}

func (each step) on(s *side) string {
	answer := make(chan string, 1)
	go func() {
		text, err := each.do(s)
		if err != nil {
			text = "failed: " + err.Error()
		}
		answer <- text
	}()
	select {
	case text := <-answer:
		return text
	case <-time.After(2 * time.Minute):
		return "hangs"
	}
}

func isSame(one, other string) bool {
	return one == other || strings.HasPrefix(one, "failed: ") && strings.HasPrefix(other, "failed: ")
}

func digest(data []byte) string {
	sum := fnv.New64a()
	_, _ = sum.Write(data)
	return fmt.Sprintf("%d bytes, %x", len(data), sum.Sum64())
}

// worker makes up steps.
type worker struct {
	*rand.Rand
	flags map[int]int
	next  int
}

var (
	folders = []string{"d0", "d1", "d2", "d0/e", "d1/f", "d3"}
	names   = []string{"a", "b", "c", "x.y"}
	lengths = []int{1, 10, 100, 4096, 5001, 66000}
	offsets = []int64{0, 1, 100, 4095, 4096, 5000, 10000, 70001, 199999, 300000}
	modes   = []int{
		os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC, os.O_RDWR | os.O_TRUNC,
		os.O_WRONLY | os.O_APPEND | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_EXCL, os.O_RDWR | os.O_APPEND,
	}
)

func pick[T any](w *worker, of []T) T { return of[w.Intn(len(of))] }

func (w *worker) path() string { return filepath.Join(pick(w, append(folders, ".")), pick(w, names)) }

func (w *worker) data() []byte {
	if w.Float64() < .7 {
		return bytes.Repeat([]byte{byte('A' + w.Intn(26))}, pick(w, lengths))
	}
	data := make([]byte, pick(w, []int{3, 4097, 30000}))
	_, _ = w.Read(data)
	return data
}

func (w *worker) step() step {
	slots := make([]int, 0, len(w.flags))
	for slot := range w.flags {
		slots = append(slots, slot)
	}
	sort.Ints(slots)
	switch chance := w.Float64(); {
	case len(slots) > 0 && chance < .45:
		return w.withOpen(pick(w, slots), pick(w, slots))
	case chance < .62 && len(slots) < 8:
		return w.opening()
	}
	return w.byPath()
}

func (w *worker) opening() step {
	w.next++
	slot, path, flags := w.next, w.path(), pick(w, modes)
	w.flags[slot] = flags
	return step{fmt.Sprintf("open %d %s %x", slot, path, flags), func(s *side) (string, error) {
		f, err := os.OpenFile(s.at(path), flags, 0o644)
		if err == nil {
			s.open[slot] = f
		}
		return "opened", err
	}}
}

func (w *worker) withOpen(slot, from int) step {
	flags := w.flags[slot]
	can := []string{"length", "sync", "close", "close", "close", "copy", "lock", "lock", "unlock"}
	if flags&syscall.O_ACCMODE != os.O_WRONLY {
		can = append(can, "read", "read", "read", "read", "read mapped")
	}
	if flags&syscall.O_ACCMODE != os.O_RDONLY {
		can = append(can, "write", "write", "truncate", "truncate")
		if flags&os.O_APPEND == 0 {
			can = append(can, "write at", "write at", "write at", "write at")
		}
	}
	if flags&syscall.O_ACCMODE == os.O_RDWR {
		can = append(can, "write mapped")
	}
	what, off, length, data := pick(w, can), pick(w, offsets), pick(w, []int{1, 100, 4096, 70000}), w.data()
	to := pick(w, offsets)
	if what == "close" {
		delete(w.flags, slot)
	}
	return step{fmt.Sprintf("%s %d at %d, %d or %d; from %d to %d", what, slot, off, length, len(data), from, to), func(s *side) (string, error) {
		f := s.open[slot]
		if f == nil {
			return "", os.ErrClosed
		}
		switch what {
		case "length":
			seen, err := f.Stat()
			if err != nil {
				return "", err
			}
			return fmt.Sprint(seen.Size()), nil
		case "sync":
			return "", f.Sync()
		case "close":
			delete(s.open, slot)
			return "", f.Close()
		case "copy":
			source := s.open[from]
			if source == nil {
				return "", os.ErrClosed
			}
			in, out := off, to
			n, err := unix.CopyFileRange(int(source.Fd()), &in, int(f.Fd()), &out, length, 0)
			return fmt.Sprint(n), err
		case "lock", "unlock":
			// A range with a shared lock may be written on a disk, and not on a server.
			lock := unix.Flock_t{Type: unix.F_WRLCK, Start: off, Len: int64(length)}
			if what == "unlock" {
				lock.Type = unix.F_UNLCK
			}
			return "", unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		case "read":
			got := make([]byte, length)
			n, err := f.ReadAt(got, off)
			if err != nil && n == 0 && err.Error() == "EOF" {
				err = nil
			}
			if n > 0 {
				err = nil
			}
			return digest(got[:n]), err
		case "write":
			n, err := f.Write(data)
			return fmt.Sprint(n), err
		case "write at":
			n, err := f.WriteAt(data, off)
			return fmt.Sprint(n), err
		case "truncate":
			return "", f.Truncate(off)
		}
		return mapped(f, what == "write mapped", data, off)
	}}
}

func mapped(f *os.File, writes bool, data []byte, off int64) (string, error) {
	seen, err := f.Stat()
	if err != nil || seen.Size() == 0 {
		return "empty", err
	}
	prot := unix.PROT_READ
	if writes {
		prot |= unix.PROT_WRITE
	}
	pages, err := unix.Mmap(int(f.Fd()), 0, int(seen.Size()), prot, unix.MAP_SHARED)
	if err != nil {
		return "", err
	}
	if writes {
		target := pages[off%seen.Size():]
		err = errors.Join(copyPages(target, data[:min(len(data), len(target))]), unix.Msync(pages, unix.MS_SYNC))
	}
	got := make([]byte, len(pages))
	err = errors.Join(err, copyPages(got, pages), unix.Munmap(pages))
	return digest(got), err
}

// copyPages touches mapped pages by system calls. Go's garbage collector, which stops this process now and then, waits for a thread that
// waits for a page otherwise, and the page for the cable, which this process is.
func copyPages(to, from []byte) error {
	between, err := unix.MemfdCreate("between", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(between)
	if n, err := unix.Pwrite(between, from, 0); n < len(from) {
		return errors.Join(syscall.EFAULT, err)
	}
	if n, err := unix.Pread(between, to, 0); n < len(from) {
		return errors.Join(syscall.EFAULT, err)
	}
	return nil
}

func (w *worker) byPath() step {
	path, to, folder, other, off, data := w.path(), w.path(), pick(w, folders), pick(w, folders), pick(w, offsets), w.data()
	stamp := time.Unix(1e9+w.Int63n(7e8), 0)
	what := pick(w, []string{
		"truncate", "rename", "rename", "rename", "rename folder", "rename folder", "unlink", "unlink", "mkdir", "rmdir", "stat", "stat", "list", "times",
		"whole", "whole", "put", "put", "append", "append", "save", "save", "wait", "symlink", "readlink",
	})
	pause := pick(w, []time.Duration{25, 150, 650}) * time.Millisecond
	return step{fmt.Sprintf("%s %s to %s, folder %s to %s, at %d, %s", what, path, to, folder, other, off, digest(data)), func(s *side) (string, error) {
		switch what {
		case "truncate":
			return "", os.Truncate(s.at(path), off)
		case "rename":
			return "", os.Rename(s.at(path), s.at(to))
		case "symlink":
			return "", os.Symlink(filepath.Base(to), s.at(path))
		case "readlink":
			return os.Readlink(s.at(path))
		case "rename folder":
			return "", os.Rename(s.at(folder), s.at(other))
		case "unlink":
			return "", syscall.Unlink(s.at(path))
		case "mkdir":
			return "", os.Mkdir(s.at(folder), 0o755)
		case "rmdir":
			return "", syscall.Rmdir(s.at(folder))
		case "stat":
			seen, err := os.Stat(s.at(path))
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%v, %d", seen.IsDir(), seen.Size()), nil
		case "list":
			entries, err := os.ReadDir(s.at(folder))
			text := ""
			for _, entry := range entries {
				text += entry.Name() + " "
			}
			return text, err
		case "times":
			return "", os.Chtimes(s.at(path), stamp, stamp)
		case "whole":
			got, err := os.ReadFile(s.at(path))
			return digest(got), err
		case "put":
			return "", os.WriteFile(s.at(path), data, 0o644)
		case "append":
			return "", appendTo(s.at(path), data)
		case "save":
			// As editors do it.
			if err := os.WriteFile(s.at(path)+".new", data, 0o644); err != nil {
				return "", err
			}
			return "", os.Rename(s.at(path)+".new", s.at(path))
		}
		time.Sleep(pause)
		return "", nil
	}}
}

func appendTo(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// whatIsIn is each file below a folder with a digest of its bytes, and each folder.
func whatIsIn(root string) []string {
	var all []string
	_ = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, file)
		text := "folder"
		switch {
		case err == nil && entry.Type()&fs.ModeSymlink != 0:
			text, err = os.Readlink(file)
			text = "link to " + text
		case err == nil && !entry.IsDir():
			var data []byte
			data, err = os.ReadFile(file)
			text = digest(data)
			// On the server a link is a file.
			if lines := strings.Split(string(data), "\n"); lines[0] == "XSym" {
				text = "link to " + lines[3]
			}
		}
		if err != nil {
			text = err.Error()
		}
		all = append(all, name+": "+text)
		return nil
	})
	return all
}

// twoRoutes are the arguments for a share of a rig that is mounted over two cables.
func twoRoutes(tb, fallback *rig.Cable, state string) []string {
	arguments := []string{"-share", "share", "-sign", "-patience", "60s", "-state", state}
	for name, cable := range map[string]*rig.Cable{"tb": tb, "fallback": fallback} {
		route := cable.Route(name)
		arguments = append(arguments, "-route", fmt.Sprintf("name=%s,address=%s,port=%d", name, route.Address, route.Port))
	}
	return append(arguments, "-wanted", "tb")
}

type scene struct {
	*rig.Rig
	cables         [2]*rig.Cable
	state, mounted string
	program        program
}

func newScene(t *testing.T) *scene {
	s := &scene{Rig: rig.New(t)}
	s.cables = [2]*rig.Cable{s.Cable, s.LayCable()}
	// By which the server is known.
	rig.Must(t, os.WriteFile(s.Theirs("steady"), []byte("here for long"), 0o644))
	s.state, s.mounted = filepath.Join(s.Folder, "home"), filepath.Join(s.Folder, "mounted")
	rig.Must(t, os.MkdirAll(s.state, 0o700))
	rig.Must(t, os.MkdirAll(s.mounted, 0o755))
	t.Cleanup(func() { _ = exec.Command("fusermount3", "-uzq", s.mounted).Run() })
	return s
}

// mount tries again while the cables are out: a share is not mounted then.
func (s *scene) mount() {
	s.T.Helper()
	arguments := slices.Concat([]string{"mount", "-user", s.Account.User}, twoRoutes(s.cables[0], s.cables[1], s.state), []string{s.mounted})
	rig.Eventually(s.T, "mounted", func() bool {
		s.program = start(s.Rig, s.Account.Password, arguments...)
		return s.program.line() == fmt.Sprintf(`{"mounted":%q}`, s.mounted)
	})
}

// kill ends the program without a last word, and frees its folder.
func (s *scene) kill() {
	s.T.Helper()
	_ = s.program.Process.Kill()
	_ = s.program.Wait()
	_ = unmountLazily(s.mounted)
}

// disturb pulls cables, or holds them, until stop is called; one of them or both, for two seconds at most.
func (s *scene) disturb(seed int64) (stop func()) {
	random, ended, done := rand.New(rand.NewSource(seed)), make(chan struct{}), make(chan struct{})
	pause := func(most int) bool {
		select {
		case <-ended:
			return false
		case <-time.After(time.Duration(random.Intn(most)) * time.Millisecond):
			return true
		}
	}
	go func() {
		defer close(done)
		for pause(3000) {
			cables := s.cables[:]
			if which := random.Intn(6); which > 0 {
				cables = cables[which%2 : which%2+1]
			}
			isHeld := random.Intn(2) == 0
			for _, cable := range cables {
				if cable.Hold(isHeld); !isHeld {
					cable.Set(true)
				}
			}
			pause(2000)
			for _, cable := range cables {
				if cable.Hold(false); !isHeld {
					cable.Set(false)
				}
			}
		}
	}()
	return s.onceInTheEnd(func() { close(ended); <-done })
}

// onceInTheEnd is called when the test ends, if not before.
func (s *scene) onceInTheEnd(stop func()) func() {
	once := sync.OnceFunc(stop)
	s.T.Cleanup(once)
	return once
}

// joinOther lets a second client write its own files at the same time, read those of the first, and get reports of their changes; both count together.
func (s *scene) joinOther(seed int64) (stop func()) {
	_, folder := mountAt(s.Rig, "other", "-patience", "60s")
	rig.Must(s.T, os.MkdirAll(s.Theirs("other"), 0o755))
	rig.Must(s.T, os.WriteFile(s.Theirs("counted"), []byte("0"), 0o644))
	if watcher := exec.Command("inotifywait", "-q", "-m", "-r", folder); rig.Program("inotifywait") != "" {
		rig.Must(s.T, watcher.Start())
		s.T.Cleanup(func() { _ = watcher.Process.Kill(); _ = watcher.Wait() })
	}
	random, ended := rand.New(rand.NewSource(seed)), make(chan struct{})
	var running sync.WaitGroup
	var mu sync.Mutex
	counted := map[int]int{}
	for machine, root := range []string{s.mounted, folder} {
		running.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(time.Duration(seed%5) * time.Millisecond):
				}
				n, err := countOn(filepath.Join(root, "counted"), machine)
				if err != nil {
					continue
				}
				mu.Lock()
				if counted[n]++; counted[n] > 1 {
					s.T.Errorf("machine %d has counted to %d as well", machine, n)
				}
				mu.Unlock()
			}
		})
	}
	running.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			own := filepath.Join(folder, "other", strconv.Itoa(random.Intn(6)))
			data := make([]byte, pick(&worker{Rand: random}, []int{10, 5000, 200000}))
			_, _ = random.Read(data)
			if err := os.WriteFile(own, data, 0o644); err != nil {
				s.T.Errorf("the second client: %v", err)
			} else if got, _ := os.ReadFile(own); !bytes.Equal(got, data) {
				s.T.Errorf("the second client reads other bytes from %s", own)
			}
			theirs := filepath.Join(folder, "work", pick(&worker{Rand: random}, folders), pick(&worker{Rand: random}, names))
			_, _ = os.ReadFile(theirs)
			_, _ = os.ReadDir(filepath.Dir(theirs))
		}
	})
	return s.onceInTheEnd(func() {
		close(ended)
		running.Wait()
		if len(counted) == 0 {
			s.T.Error("nobody could count")
		}
	})
}

// countOn counts one further while it has the file locked. What two machines write differs: a lock that is lost is known by that.
func countOn(file string, machine int) (n int, err error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return 0, err
	}
	text := make([]byte, 20)
	read, _ := f.ReadAt(text, 0)
	if _, err = fmt.Sscan(string(text[:read]), &n); err == nil {
		n++
		_, err = f.WriteAt(fmt.Appendf(nil, "%d %d", n, machine), 0)
	}
	return n, errors.Join(err, unix.Flock(int(f.Fd()), unix.LOCK_UN))
}

func TestRandomWorkIsAsOnADisk(t *testing.T) {
	seeds, each := loads(t)
	for _, isDisturbed := range []bool{false, true} {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("seed %d, disturbed %v", seed, isDisturbed), func(t *testing.T) { playRandomWork(t, seed, each, isDisturbed) })
		}
	}
}

func playRandomWork(t *testing.T, seed int64, each time.Duration, isDisturbed bool) {
	s := newScene(t)
	disk := &side{filepath.Join(s.Folder, "disk"), map[int]*os.File{}}
	share := &side{filepath.Join(s.mounted, "work"), map[int]*os.File{}}
	random := rand.New(rand.NewSource(seed))
	w := &worker{Rand: random, flags: map[int]int{}}
	for _, root := range []string{disk.root, s.Theirs("work")} {
		for _, folder := range []string{"d0/e", "d1", "d2"} {
			rig.Must(t, os.MkdirAll(filepath.Join(root, folder), 0o755))
		}
		for i, name := range []string{"a", "b", "d0/a", "d0/c", "d0/e/b", "d1/a"} {
			rig.Must(t, os.WriteFile(filepath.Join(root, name), bytes.Repeat([]byte{byte(seed), 1, 2}, i*13000), 0o644))
		}
	}
	s.mount()
	t.Cleanup(func() { disk.closeAll(); share.closeAll() })
	stop := func() {}
	if isDisturbed {
		other, cables := s.joinOther(seed), s.disturb(seed)
		stop = func() { cables(); other() }
	}
	var done []string
	compare := func(what, root string) {
		t.Helper()
		disk.unlock()
		share.unlock()
		want, got := whatIsIn(disk.root), []string(nil)
		for until := time.Now().Add(rig.AtMost); ; time.Sleep(50 * time.Millisecond) {
			if got = whatIsIn(root); slices.Equal(got, want) {
				return
			}
			if time.Now().After(until) {
				break
			}
		}
		stop()
		t.Fatalf("%s has\n%s\nthe disk\n%s\nafter\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"), strings.Join(done, "\n"))
	}
	nextKill := time.Now().Add(each / 3)
	for until := time.Now().Add(each); time.Now().Before(until); {
		if isDisturbed && time.Now().After(nextKill) {
			nextKill = time.Now().Add(time.Duration(3+random.Intn(9)) * time.Second)
			s.kill()
			disk.closeAll()
			share.closeAll()
			clear(w.flags)
			s.mount()
			done = append(done, "killed")
			compare("the mount after a kill", share.root)
		}
		next := w.step()
		want, got := next.on(disk), next.on(share)
		mayPass := func(each syscall.Errno) bool { return strings.HasSuffix(got, each.Error()) }
		if isDisturbed && !isSame(want, got) && slices.ContainsFunc([]syscall.Errno{syscall.EIO, syscall.EFAULT, syscall.EBUSY}, mayPass) {
			// A lock may be lost; a lost session may still have a removed folder open.
			disk.unlock()
			share.unlock()
			got = next.on(share)
		}
		if done = append(done, fmt.Sprintf("%s: %s", next.what, want)); len(done) > 60 {
			done = done[1:]
		}
		if !isSame(want, got) {
			stop()
			t.Fatalf("the mount: %s, after\n%s", got, strings.Join(done, "\n"))
		}
		for slot := range w.flags {
			if disk.open[slot] == nil {
				delete(w.flags, slot)
			}
		}
		if w.Intn(7) == 0 {
			compare("the mount", share.root)
		}
	}
	stop()
	disk.closeAll()
	share.closeAll()
	compare("the mount in the end", share.root)
	compare("the server", s.Theirs("work"))
}
