package mount

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/safely"
)

// watchers are the processes that let the kernel tell them of changes in this mount. Only one that has looked for a name, or opened a folder,
// is looked at: some time after that, and then as long as it watches anything.
type watchers struct {
	share  *Share
	isOn   bool
	device string // as /proc has it

	mu        sync.Mutex
	threads   map[uint32]time.Time // when one has asked last
	processes map[int]*watcher
	hasEnded  bool
}

// watcher is a process that is looked at.
type watcher struct {
	lookedAt time.Time
	keeper   uint32 // the thread of it by which it is looked at while it watches
	inodes   []uint64
}

// A process is looked at so long after it has asked, then again each time if it has asked since, or watches and was not looked at for longer.
const (
	firstLook   = 200 * time.Millisecond
	nextLook    = 2 * time.Second
	lookedEvery = 10 * time.Second
)

func (w *watchers) begin(s *Share, device uint64) {
	_, err := os.Stat("/proc/self/fdinfo")
	w.share, w.isOn = s, err == nil
	w.device = fmt.Sprintf("%x", unix.Major(device)<<20|unix.Minor(device))
	w.threads, w.processes = map[uint32]time.Time{}, map[int]*watcher{}
}

func (w *watchers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hasEnded = true
}

// note: that thread has looked for a name, or opened a folder.
func (w *watchers) note(thread uint32) {
	if !w.isOn || thread == 0 || thread == fromPages {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, isKnown := w.threads[thread]
	if w.threads[thread] = time.Now(); !isKnown && !w.hasEnded {
		safely.Go(safely.Again(func() { w.follow(thread) }))
	}
}

// follow looks at the process of a thread until that has not asked for a while, and the process watches nothing.
func (w *watchers) follow(thread uint32) {
	time.Sleep(firstLook)
	process := groupOf(thread)
	for isOf := true; isOf; {
		if isOf = w.look(process, thread); isOf {
			time.Sleep(nextLook)
		}
	}
}

// look says whether to look again.
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
	isChanged := !slices.Equal(p.inodes, inodes)
	p.inodes = inodes
	all := map[uint64]struct{}{}
	for _, each := range w.processes {
		for _, inode := range each.inodes {
			all[inode] = struct{}{}
		}
	}
	w.mu.Unlock()
	if isChanged {
		w.share.hearing.hear(slices.Sorted(maps.Keys(all)))
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

// watchedBy are the inodes on that device of which the process wants to be told. /proc shows it of processes of this user only.
func watchedBy(process int, device string) (inodes []uint64, isAlive bool) {
	folder := fmt.Sprintf("/proc/%d/fd", process)
	fds, err := os.Open(folder)
	if err != nil {
		return nil, false
	}
	defer fds.Close()
	names, _ := fds.Readdirnames(-1)
	for _, name := range names {
		if target, _ := os.Readlink(folder + "/" + name); target != "anon_inode:inotify" {
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
