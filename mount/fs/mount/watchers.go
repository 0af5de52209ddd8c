package mount

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/safely"
)

// watchers are the processes that watch this mount (inotify). A process that has looked up a name, or opened a folder, is checked
// some time after that, and then for as long as it watches anything. The kernel answers from memory without a request, so all processes are checked
// now and then, and when another client changes something.
type watchers struct {
	// Set once what begin prepares can be used: the kernel asks before.
	isOn   atomic.Bool
	share  *Share
	device string // as /proc has it

	mu        sync.Mutex
	threads   map[uint32]time.Time // when one has asked last
	processes map[int]*watcher
	reported  []uint64 // the inodes that setWatched last got
	hasEnded  bool

	sweeping sync.Mutex
	sweptAt  time.Time
	sweeps   int
	swept    map[int]swept // also under mu
}

// swept is a process as it was when all were checked.
type swept struct {
	ran    string // how long its first thread has; one that has not run since then watches nothing new
	inodes []uint64
}

// watcher is a process that is checked.
type watcher struct {
	lookedAt time.Time
	keeper   uint32 // its thread for which it is checked while it watches
	inodes   []uint64
}

// A process is checked firstLook after its first request, then every nextLook if it has sent requests since, or every lookedEvery while it watches.
const (
	firstLook   = 200 * time.Millisecond
	nextLook    = 2 * time.Second
	lookedEvery = 10 * time.Second
	// The least time between two checks of all processes; those that seem not to have run are checked each thirtieth time.
	sweptAgain  = 2 * time.Second
	sweptWholly = 30
)

func (w *watchers) begin(s *Share, device uint64) {
	_, err := os.Stat("/proc/self/fdinfo")
	w.share = s
	w.device = fmt.Sprintf("%x", unix.Major(device)<<20|unix.Minor(device))
	w.threads, w.processes = map[uint32]time.Time{}, map[int]*watcher{}
	if err == nil {
		w.isOn.Store(true)
		safely.Go(func() { w.sweepOften(s.reporter.ended) })
	}
}

func (w *watchers) sweepOften(ended <-chan struct{}) {
	for ticker := time.NewTicker(lookedEvery); ; {
		select {
		case <-ended:
			ticker.Stop()
			return
		case <-ticker.C:
			w.sweep()
		}
	}
}

// sweep checks all processes.
func (w *watchers) sweep() {
	w.sweeping.Lock()
	defer w.sweeping.Unlock()
	if !w.isOn.Load() || time.Since(w.sweptAt) < sweptAgain {
		return
	}
	w.sweptAt = time.Now()
	w.sweeps++
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	names, _ := proc.Readdirnames(-1)
	_ = proc.Close()
	now := map[int]swept{}
	var buffer [64]byte
	for _, name := range names {
		process, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// As cheaply as can be: there are hundreds.
		ran := buffer[:0]
		if fd, err := unix.Open("/proc/"+name+"/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			n, _ := unix.Read(fd, buffer[:])
			ran = buffer[:max(0, n)]
			_ = unix.Close(fd)
		}
		each, isKnown := w.swept[process]
		if !isKnown || each.ran != string(ran) || w.sweeps%sweptWholly == 0 {
			each.ran = string(ran)
			each.inodes, _ = watchedBy(process, w.device)
		}
		now[process] = each
	}
	w.mu.Lock()
	w.swept = now
	w.mu.Unlock()
	w.reportWatched()
}

// noticed: another client has changed something in a folder without a subscriber.
func (w *watchers) noticed(folder *node, changed []smb2.Change) {
	if time.Since(time.Unix(0, w.share.written.Load())) < ownFor {
		// It comes from here.
		return
	}
	w.sweep()
	if reported := folder.reported.Load(); reported != nil {
		reported.notice(changed)
	}
}

func (w *watchers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hasEnded = true
}

// note: that thread has looked for a name, or opened a folder.
func (w *watchers) note(thread uint32) {
	if !w.isOn.Load() || thread == 0 || thread == fromPages {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, isKnown := w.threads[thread]
	if w.threads[thread] = time.Now(); !isKnown && !w.hasEnded {
		safely.Go(safely.Again(func() { w.follow(thread) }))
	}
}

// follow checks the process of a thread until the thread has sent no request for a while, and the process watches nothing.
func (w *watchers) follow(thread uint32) {
	time.Sleep(firstLook)
	process := groupOf(thread)
	for isOf := true; isOf; {
		if isOf = w.look(process, thread); isOf {
			time.Sleep(nextLook)
		}
	}
}

// look checks a process, and returns whether to check it again.
func (w *watchers) look(process int, thread uint32) bool {
	w.mu.Lock()
	p, asked := w.processes[process], w.threads[thread]
	if p == nil {
		p = &watcher{keeper: thread}
		w.processes[process] = p
	}
	isDue := asked.After(p.lookedAt) || time.Since(p.lookedAt) > lookedEvery
	if isDue {
		p.lookedAt = time.Now()
	}
	w.mu.Unlock()
	isAlive := process != 0
	if isAlive && isDue {
		var inodes []uint64
		inodes, isAlive = watchedBy(process, w.device)
		w.found(p, inodes)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	isKept := p.keeper == thread && len(p.inodes) > 0 || time.Since(w.threads[thread]) < lookedEvery
	if isAlive && isKept && !w.hasEnded {
		return true
	}
	delete(w.threads, thread)
	if p.keeper == thread {
		delete(w.processes, process)
	}
	return false
}

// found takes over what a process watches.
func (w *watchers) found(p *watcher, inodes []uint64) {
	w.mu.Lock()
	p.inodes = inodes
	w.mu.Unlock()
	w.reportWatched()
}

// reportWatched passes on which inodes are watched, if they have changed.
func (w *watchers) reportWatched() {
	w.mu.Lock()
	var all []uint64
	for _, each := range w.processes {
		all = append(all, each.inodes...)
	}
	for _, each := range w.swept {
		all = append(all, each.inodes...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	isChanged := !slices.Equal(w.reported, all)
	w.reported = all
	w.mu.Unlock()
	if isChanged {
		w.share.reporter.setWatched(all)
	}
}

// groupOf is the process of a thread; 0: it has ended.
func groupOf(thread uint32) (process int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "Tgid: %d", &process); err == nil {
			return process
		}
	}
	return 0
}

// watchedBy are the inodes on that device that the process watches. /proc shows it of processes of this user only.
func watchedBy(process int, device string) (inodes []uint64, isAlive bool) {
	fds, err := os.Open(fmt.Sprintf("/proc/%d/fd", process))
	if err != nil {
		return nil, false
	}
	defer fds.Close()
	names, _ := fds.Readdirnames(-1)
	folder := int(fds.Fd())
	var target [32]byte
	for _, name := range names {
		if n, _ := unix.Readlinkat(folder, name, target[:]); n < 0 || string(target[:n]) != "anon_inode:inotify" {
			continue
		}
		info, err := os.Open(fmt.Sprintf("/proc/%d/fdinfo/%s", process, name))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(info); lines.Scan(); {
			var wd, inode uint64
			var on string
			if _, err := fmt.Sscanf(lines.Text(), "inotify wd:%x ino:%x sdev:%s", &wd, &inode, &on); err == nil && on == device {
				inodes = append(inodes, inode)
			}
		}
		_ = info.Close()
	}
	slices.Sort(inodes)
	return slices.Compact(inodes), syscall.Kill(process, 0) != syscall.ESRCH
}
