package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/rig"
)

var le = binary.LittleEndian

// liar forwards connections to a server, and changes what the server says: bytes, lengths, offsets, order, and how often it says so.
type liar struct {
	listener net.Listener
	target   string
	isLying  atomic.Bool
	// It is the server that lies: what it changes needs no signature. Otherwise the attacker is in between.
	isServer bool
	lieCount atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
	// Of each command an answer that was true once; leases that were asked for.
	before map[uint16][]byte
	leases [][]byte
	// Held back, and out of order when they come.
	late [][]byte
}

func newLiar(t *testing.T, r *rig.Rig, seed int64, isServer bool) *liar {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	l := &liar{listener: listener, target: r.Address(), isServer: isServer, random: rand.New(rand.NewSource(seed)), before: map[uint16][]byte{}}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", l.target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go l.forward(far, near, func(message []byte) [][]byte { l.hears(message); return [][]byte{message} })
			seen := 0
			go l.forward(near, far, func(message []byte) [][]byte {
				if seen++; seen < 30 {
					// Mostly it lets people in.
					return l.lies(message, 100)
				}
				return l.lies(message, 4)
			})
			if isServer {
				// A request whose true answer is late is sent again.
				time.AfterFunc(time.Second, func() { _ = near.Close() })
			}
		}
	}()
	return l
}

func (l *liar) address() string { return l.listener.Addr().String() }

// forward passes messages on as change makes them.
func (l *liar) forward(to, from net.Conn, change func([]byte) [][]byte) {
	defer to.Close()
	defer from.Close()
	for {
		var length [4]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint32(length[:])&0xffffff)
		if _, err := io.ReadFull(from, message); err != nil {
			return
		}
		for _, each := range change(message) {
			if _, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(each))), each...)); err != nil {
				return
			}
		}
	}
}

// hears looks for the keys of leases.
func (l *liar) hears(message []byte) {
	if at := bytes.Index(message, []byte("RqLs")); at >= 0 && len(message) >= at+24 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.leases = append(l.leases, bytes.Clone(message[at+8:at+24])); len(l.leases) > 100 {
			l.leases = l.leases[1:]
		}
	}
}

// numbers are those that readers get wrong most often.
var numbers = []uint32{0, 1, 2, 7, 8, 9, 63, 64, 72, 80, 104, 255, 510, 512, 4096, 65528, 65535, 65536, 1 << 20, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 8, 1<<32 - 1}

var statuses = []uint32{
	0, 0x103, 0x10C, 0x80000005, 0x80000006, 0x8000002D, 0xC0000016, 0xC000000D, 0xC000000F, 0xC0000011, 0xC0000022, 0xC0000034, 0xC0000043, 0xC0000054,
	0xC0000055, 0xC0000056, 0xC00000BB, 0xC00000C9, 0xC0000120, 0xC0000128, 0xC0000203, 0xC000035C, 0xC0000466,
}

const smallest = 72

func (l *liar) lies(message []byte, rarity int) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(message) < smallest || message[0] != 0xfe {
		return [][]byte{message}
	}
	command := le.Uint16(message[12:])
	if le.Uint32(message[8:]) == 0 && l.random.Intn(4) == 0 {
		l.before[command] = bytes.Clone(message)
	}
	late := l.late
	l.late = nil
	if !l.isLying.Load() || l.random.Intn(rarity) != 0 {
		return append([][]byte{message}, late...)
	}
	l.lieCount.Add(1)
	switch n := l.random.Intn(16); {
	case n == 0:
		l.late = append(late, message)
		return nil
	case n == 1:
		return append([][]byte{message, message}, late...)
	case n < 6:
		return append(append(l.notices(), message), late...)
	case n < 9 || !l.isServer && n < 15:
		// It arrives before the true answer.
		return append([][]byte{l.lie(message), message}, late...)
	}
	return append([][]byte{l.lie(message)}, late...)
}

// lie changes an answer, mostly what follows its header.
func (l *liar) lie(message []byte) []byte {
	m := bytes.Clone(message)
	if l.random.Intn(10) == 0 {
		// Another command's answer, or an older one.
		for _, other := range l.before {
			m = append(bytes.Clone(m[:64]), other[64:]...)
			break
		}
	}
	from := 0
	if next := int(le.Uint32(m[20:])); next > 0 && next+smallest < len(m) && l.random.Intn(2) == 0 {
		from = next
	}
	for range 1 + l.random.Intn(3) {
		body := m[from+64:]
		near := min(len(body), 8+l.random.Intn(120))
		at := from + 64 + l.random.Intn(max(near-4, 1))
		switch l.random.Intn(9) {
		case 0:
			m[at] ^= 1 << l.random.Intn(8)
		case 1, 2, 3:
			if at = at &^ 3; at+4 <= len(m) {
				le.PutUint32(m[at:], l.number(len(m)-at))
			}
		case 4, 5:
			if at = at &^ 1; at+2 <= len(m) {
				le.PutUint16(m[at:], uint16(l.number(len(m)-at)))
			}
		case 6:
			le.PutUint32(m[from+8:], statuses[l.random.Intn(len(statuses))])
		case 7:
			if cut := from + 64 + l.random.Intn(len(body)+1); cut >= smallest {
				m = m[:cut]
			}
		case 8:
			// Entries that are nothing but their lengths.
			for at := from + 72; at+8 <= len(m); at += 8 {
				le.PutUint32(m[at:], 8)
				le.PutUint32(m[at+4:], l.number(len(m)-at))
			}
		}
	}
	if l.random.Intn(50) == 0 {
		m[16+l.random.Intn(24)] ^= 1 << l.random.Intn(8)
	}
	if l.isServer || l.random.Intn(2) == 0 {
		m[16] &^= 8
		if le.Uint16(m[12:]) == 1 && len(m) >= 68 {
			// A refused login is tried again later only.
			m[66] &^= 3
		}
	}
	return m
}

func (l *liar) number(left int) uint32 {
	if l.random.Intn(3) == 0 {
		return uint32(left - 2 + l.random.Intn(5))
	}
	return numbers[l.random.Intn(len(numbers))]
}

// notices are what a server says without being asked, or of a request that takes long.
func (l *liar) notices() (all [][]byte) {
	for range 1 + l.random.Intn(200) {
		m := make([]byte, 64+44)
		copy(m, "\xfeSMB\x40\x00")
		le.PutUint16(m[12:], 0x12)
		le.PutUint32(m[16:], 1)
		le.PutUint64(m[24:], 1<<64-1)
		le.PutUint16(m[64:], 44)
		m[68] = byte(l.random.Intn(2))
		_, _ = l.random.Read(m[72:88])
		switch n := len(l.leases); {
		case l.random.Intn(4) == 0 && n > 0:
			copy(m[72:], l.leases[l.random.Intn(n)])
		case l.random.Intn(4) == 0:
			le.PutUint16(m[64:], 24)
		case l.random.Intn(4) == 0:
			le.PutUint16(m[12:], uint16(l.random.Intn(20)))
			le.PutUint64(m[24:], uint64(l.random.Intn(3000)))
			le.PutUint32(m[8:], 0x103)
			le.PutUint16(m[14:], uint16(l.random.Intn(1<<16)))
			le.PutUint64(m[32:], uint64(l.random.Intn(100)))
		}
		all = append(all, m)
	}
	return all
}

// works is what programs do on a mount, until they are to stop.
func works(mount, theirs string, stop <-chan struct{}) (wait func()) {
	var all sync.WaitGroup
	again := func(do func(i int)) {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					do(i)
				}
			}
		})
	}
	here := func(name string) string { return filepath.Join(mount, name) }
	again(func(i int) {
		_, _ = exec.Command("ls", "-la", here("."), here("folder")).Output()
		_, _ = os.ReadDir(here(".versions"))
		_ = os.WriteFile(filepath.Join(theirs, "folder", strconv.Itoa(i%9)), []byte("theirs"), 0o644)
	})
	again(func(i int) {
		_ = os.WriteFile(here("new"), bytes.Repeat([]byte("text"), 1+i%20_000), 0o644)
		_ = os.Rename(here("new"), here("folder/renamed"))
		_ = os.Mkdir(here("made"), 0o755)
		_ = os.Remove(here("made"))
		_ = os.Link(here("folder/renamed"), here("second"))
		_ = os.Remove(here("second"))
		_ = os.Truncate(here("folder/renamed"), int64(i%100))
		_ = os.Chtimes(here("folder/renamed"), time.Now(), time.Now())
		var space unix.Statfs_t
		_ = unix.Statfs(mount, &space)
	})
	again(func(i int) {
		f, err := os.OpenFile(here("shared"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return
		}
		defer f.Close()
		_, _ = f.WriteAt([]byte("text"), int64(i%1000))
		_ = f.Sync()
		_, _ = io.Copy(io.Discard, f)
		if in, err := os.Open(here("large")); err == nil {
			_, _ = unix.CopyFileRange(int(in.Fd()), nil, int(f.Fd()), nil, 1<<20, 0)
			_, _ = io.CopyN(io.Discard, in, 3<<20)
			_ = in.Close()
		}
		_ = os.WriteFile(filepath.Join(theirs, "shared"), []byte("theirs"), 0o644)
	})
	again(func(i int) {
		if f, err := os.OpenFile(here("locked"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
			_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: int64(i % 7), Len: 3})
			_ = f.Close()
		}
	})
	return all.Wait
}

// memory is the most that a process has had, in MB.
func memory(pid int) (most int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &most); err == nil {
			return most >> 10
		}
	}
	return most
}

const (
	memoryAtMost = 200
	honestWithin = 45 * time.Second
)

// hostile is how long the server lies in all: MOUNTAINEER_HOSTILE is the first seed, and seconds; each seed plays for 10 s at most.
func hostile(t *testing.T) (seed int64, all time.Duration) {
	seconds := int64(10)
	seed = 1
	if text := os.Getenv("MOUNTAINEER_HOSTILE"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d", &seed, &seconds); err != nil {
			t.Fatalf("MOUNTAINEER_HOSTILE: %v", err)
		}
	}
	return seed, time.Duration(seconds) * time.Second
}

func TestAServerThatLiesEndsNothing(t *testing.T) {
	seed, left := hostile(t)
	for each := min(left/2, 10*time.Second); left > 0; left -= each {
		isServer := seed%2 == 0
		t.Run(fmt.Sprintf("seed %d, a server: %v", seed, isServer), func(t *testing.T) { playLies(t, seed, isServer, each) })
		seed++
	}
}

func playLies(t *testing.T, seed int64, isServer bool, duration time.Duration) {
	options := []rig.Option{rig.PerShare("vfs objects = shadow_copy2\nshadow:snapdir = .snaps")}
	if isServer {
		options = append(options, rig.Global("server signing = auto"))
		if seed%4 == 0 {
			options = append(options, rig.Global("server max protocol = SMB2_10"))
		}
	}
	r := rig.New(t, options...)
	put(r, "large", 5<<20)
	rig.Must(t, os.MkdirAll(r.Theirs("folder"), 0o755))
	l := newLiar(t, r, seed, isServer)
	folder := filepath.Join(r.Folder, "mounted")
	rig.Must(t, os.Mkdir(folder, 0o755))
	t.Cleanup(func() { _ = unmountLazily(folder) })
	arguments := []string{"mount", "-address", l.address(), "-share", "share", "-user", r.Account.User, "-patience", "3s", "-state", filepath.Join(r.Folder, "record")}
	if !isServer {
		arguments = append(arguments, "-sign")
	}
	said := filepath.Join(r.Folder, "said")
	log, err := os.Create(said)
	rig.Must(t, err)
	p := startTo(r, log, r.Account.Password, append(arguments, folder)...)
	p.line()
	f := openFile(t, filepath.Join(folder, "open"), os.O_RDWR|os.O_CREATE)
	_, err = f.WriteString("before")
	rig.Must(t, err)
	rig.Must(t, f.Sync())
	l.isLying.Store(true)
	stop := make(chan struct{})
	wait := works(folder, r.Export, stop)
	for until := time.Now().Add(duration); time.Now().Before(until); {
		startTo(r, log, r.Account.Password, "shares", "-address", l.address(), "-user", r.Account.User)
		time.Sleep(duration / 10)
	}
	l.isLying.Store(false)
	// A request without an answer ends with the program.
	defer wait()
	defer p.Wait()
	defer p.Process.Kill()
	// A program that is killed while the kernel drops its pages for it would wait for its own answer.
	defer unix.Unmount(folder, unix.MNT_FORCE)
	defer close(stop)
	if p.Process.Signal(syscall.Signal(0)) != nil || memory(p.Process.Pid) == 0 {
		t.Error("it has ended")
	}
	if most := memory(p.Process.Pid); most > memoryAtMost {
		t.Errorf("it took %d MB", most)
	}
	text, _ := os.ReadFile(said)
	if at := bytes.Index(text, []byte("goroutine ")); at >= 0 {
		t.Errorf("it met a panic: %s", text[max(0, at-300):min(len(text), at+3000)])
	}
	if l.lieCount.Load() < 50 {
		t.Errorf("only %d lies", l.lieCount.Load())
	}
	if isServer {
		return
	}
	// A message without a signature loses no open file: each works again once a sign-in that was lied to has ended.
	for until := time.Now().Add(honestWithin); ; time.Sleep(20 * time.Millisecond) {
		_, err := f.WriteAt([]byte("after "), 0)
		if err == nil {
			err = f.Sync()
		}
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the open file: %v", err)
		}
	}
	if text, err := os.ReadFile(r.Theirs("open")); string(text) != "after " {
		t.Errorf("%q, %v", text, err)
	}
}
