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

// watchers finds which inodes of this mount processes watch (inotify), from /proc. A process is checked shortly after it has looked up a name or
// opened a folder, and from then on as long as it watches anything. Because the kernel also answers from its cache, without a request, all
// processes are scanned now and then, and when another client has changed something.
type watchers struct {
	// Set at the end of begin: requests come before.
	isOn   atomic.Bool
	share  *Share
	device string // as /proc has it

	mu        sync.Mutex
	threads   map[uint32]time.Time // when a thread sent its last request
	processes map[int]*watcher
	reported  []uint64 // the inodes of the last setWatched
	hasEnded  bool

	scanning  sync.Mutex
	scannedAt time.Time
	scans     int
	scanned   map[int]scannedProcess // also under mu
}

// scannedProcess is a process as the last scan found it.
type scannedProcess struct {
	ran    string // /proc/PID/schedstat: while it is the same, the process has not run and watches nothing new
	inodes []uint64
}

// watcher is a process that is checked regularly.
type watcher struct {
	checkedAt time.Time
	checker   uint32 // the one that checks the process while it watches anything
	inodes    []uint64
}

// A process is checked firstCheck after its first request, then every nextCheck if it has sent requests since, else every checkEvery.
const (
	firstCheck = 200 * time.Millisecond
	nextCheck  = 2 * time.Second
	checkEvery = 10 * time.Second
	// The least time between two scans. Each thirtieth also checks processes that seem not to have run.
	scanAfter     = 2 * time.Second
	fullScanEvery = 30
)

func (w *watchers) begin(s *Share, device uint64) {
	_, err := os.Stat("/proc/self/fdinfo")
	w.share = s
	w.device = fmt.Sprintf("%x", unix.Major(device)<<20|unix.Minor(device))
	w.threads, w.processes = map[uint32]time.Time{}, map[int]*watcher{}
	if err == nil {
		w.isOn.Store(true)
		safely.Go(func() { w.scanRegularly(s.reporter.ended) })
	}
}

func (w *watchers) scanRegularly(ended <-chan struct{}) {
	for ticker := time.NewTicker(checkEvery); ; {
		select {
		case <-ended:
			ticker.Stop()
			return
		case <-ticker.C:
			w.scan()
		}
	}
}

// scan checks all processes.
func (w *watchers) scan() {
	w.scanning.Lock()
	defer w.scanning.Unlock()
	if !w.isOn.Load() || time.Since(w.scannedAt) < scanAfter {
		return
	}
	w.scannedAt = time.Now()
	w.scans++
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	names, _ := proc.Readdirnames(-1)
	_ = proc.Close()
	now := map[int]scannedProcess{}
	var buffer [64]byte
	for _, name := range names {
		process, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// Without allocations: there are hundreds.
		ran := buffer[:0]
		if fd, err := unix.Open("/proc/"+name+"/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			n, _ := unix.Read(fd, buffer[:])
			ran = buffer[:max(0, n)]
			_ = unix.Close(fd)
		}
		each, isKnown := w.scanned[process]
		if !isKnown || each.ran != string(ran) || w.scans%fullScanEvery == 0 {
			each.ran = string(ran)
			each.inodes, _ = watchedBy(process, w.device)
		}
		now[process] = each
	}
	w.mu.Lock()
	w.scanned = now
	w.mu.Unlock()
	w.reportWatched()
}

// noticed: the server reports changes in a folder to which no program has subscribed.
func (w *watchers) noticed(folder *node, changed []smb2.Change) {
	if time.Since(time.Unix(0, w.share.lastChange.Load())) < localFor {
		// A program on this machine made them.
		return
	}
	w.scan()
	if reported := folder.reported.Load(); reported != nil {
		reported.notice(changed)
	}
}

func (w *watchers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hasEnded = true
}

// checkSoon: that thread has looked up a name, or opened a folder.
func (w *watchers) checkSoon(thread uint32) {
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

// follow checks the process of a thread until that has sent no request for a while and the process watches nothing.
func (w *watchers) follow(thread uint32) {
	time.Sleep(firstCheck)
	process := groupOf(thread)
	for w.check(process, thread) {
		time.Sleep(nextCheck)
	}
}

// check checks a process, and returns whether to check it again.
func (w *watchers) check(process int, thread uint32) bool {
	w.mu.Lock()
	p, asked := w.processes[process], w.threads[thread]
	if p == nil {
		p = &watcher{checker: thread}
		w.processes[process] = p
	}
	isDue := asked.After(p.checkedAt) || time.Since(p.checkedAt) > checkEvery
	if isDue {
		p.checkedAt = time.Now()
	}
	w.mu.Unlock()
	isAlive := process != 0
	if isAlive && isDue {
		var inodes []uint64
		inodes, isAlive = watchedBy(process, w.device)
		w.mu.Lock()
		p.inodes = inodes
		w.mu.Unlock()
		w.reportWatched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	isKept := p.checker == thread && len(p.inodes) > 0 || time.Since(w.threads[thread]) < checkEvery
	if isAlive && isKept && !w.hasEnded {
		return true
	}
	delete(w.threads, thread)
	if p.checker == thread {
		delete(w.processes, process)
	}
	return false
}

// reportWatched passes the watched inodes to the reporter if they have changed.
func (w *watchers) reportWatched() {
	w.mu.Lock()
	var all []uint64
	for _, each := range w.processes {
		all = append(all, each.inodes...)
	}
	for _, each := range w.scanned {
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

// watchedBy returns the inodes on that device that the process watches. /proc shows only processes of this user.
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
