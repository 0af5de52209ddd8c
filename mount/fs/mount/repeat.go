package mount

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/process"
	"mountaineer/mount/fs/safely"
)

// inotify only reports system calls of this machine. So a separate process, the repeater, repeats each change of another client as a system call on
// the mount, for example mkdir: this program answers it without a request to the server, and the kernel reports it to watching programs. A
// call of the repeater is answered only if it is expected.

const (
	// A later call is refused.
	expectedFor = time.Second
	// The least time between two starts of the repeater.
	repeaterEvery = 10 * time.Second
)

// call is a system call of the repeater, as it arrives here as a FUSE request.
type call struct {
	do     string
	folder *node
	name   string
	to     string
}

type expectedCall struct {
	call
	until time.Time
}

// repeats runs the repeater, which repeats one change after another.
type repeats struct {
	share  *Share
	device uint64

	turn    sync.Mutex // held while a change is repeated
	pid     atomic.Int32
	started string // distinguishes the process from a later one with its id
	command *exec.Cmd
	in      *os.File
	answers chan string
	triedAt time.Time

	mu       sync.Mutex
	expected []expectedCall
	// The file of the report: as the server has it, or as it was before it was removed.
	at fileInfo
	// The name that the expected call creates: it does not exist before that.
	absent call
}

// repeated stands for a thread of the repeater in requests.
const repeated = ^uint32(1)

func isRepeated(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	return ok && request.Caller.Pid == repeated
}

// isFrom: the thread is one of the repeater.
func (r *repeats) isFrom(thread uint32) bool {
	pid := r.pid.Load()
	if pid == 0 || thread == 0 {
		return false
	}
	return thread == uint32(pid) || syscall.Access("/proc/"+strconv.Itoa(int(pid))+"/task/"+strconv.FormatUint(uint64(thread), 10), 0) == nil
}

// report has a change in that folder repeated. It returns once the kernel has reported it.
func (r *repeats) report(folder *node, c report, info fileInfo) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	if err := r.start(); err != nil {
		return err
	}
	r.expect(folder, c, info)
	defer r.expect(nil, report{}, fileInfo{})
	return r.ask(c)
}

// ask waits for the repeater. The caller holds turn.
func (r *repeats) ask(c report) error {
	if json.NewEncoder(r.in).Encode(c) != nil {
		r.end()
		return syscall.EAGAIN
	}
	select {
	case answer, isAlive := <-r.answers:
		errno, err := strconv.Atoi(answer)
		if !isAlive || err != nil {
			r.end()
			return syscall.EAGAIN
		}
		if errno != 0 {
			return fmt.Errorf("%s %s: %w", c.Do, c.Name, syscall.Errno(errno))
		}
		return nil
	case <-time.After(2 * expectedFor):
		// It waits for a program that has the folder locked.
		r.end()
		return syscall.ETIMEDOUT
	}
}

// expect sets the expected calls of a report; without a folder: none.
func (r *repeats) expect(folder *node, c report, info fileInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected, r.at, r.absent = nil, info, call{}
	if folder == nil {
		return
	}
	until := time.Now().Add(expectedFor)
	switch c.Do {
	case changedFile:
		r.expected = append(r.expected, expectedCall{call{do: openCall, folder: folder, name: c.Name}, until})
	case newFile, newFolder:
		r.absent = call{folder: folder, name: c.Name}
	case movedTo:
		r.absent = call{folder: folder, name: c.To}
	}
	r.expected = append(r.expected, expectedCall{call{c.Do, folder, c.Name, c.To}, until})
}

const openCall = "open"

// accept fails with EPERM unless the call is expected. Each expected call is accepted once; info is the file of its report.
func (r *repeats) accept(c call) (info fileInfo, err syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, each := range r.expected {
		if each.call == c {
			r.expected = append(r.expected[:i:i], r.expected[i+1:]...)
			r.absent = call{}
			if time.Now().After(each.until) || process.StartTime(int(r.pid.Load())) != r.started {
				break
			}
			return r.at, 0
		}
	}
	return fileInfo{}, syscall.EPERM
}

// start starts the repeater if it does not run. The caller holds turn.
func (r *repeats) start() (err error) {
	if r.command != nil {
		return nil
	}
	if time.Since(r.triedAt) < repeaterEvery || r.pid.Load() != 0 {
		return syscall.EAGAIN
	}
	r.triedAt = time.Now()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	in, toIt, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	command := exec.Command(self, "repeat")
	// Nothing makes it look like the program of a mount to a daemon.
	command.Dir, command.Env, command.Stdin = "/", []string{}, in
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		_ = toIt.Close()
		return err
	}
	r.command, r.in, r.answers = command, toIt, make(chan string, 1)
	_ = json.NewEncoder(toIt).Encode(repeaterMount{r.share.Folder, r.device})
	r.started = process.StartTime(command.Process.Pid)
	r.pid.Store(int32(command.Process.Pid))
	answers := r.answers
	safely.Go(func() {
		defer close(answers)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			answers <- lines.Text()
		}
	})
	return nil
}

// end kills the repeater. Its pid stays known until it is gone, so that its last calls are refused. The caller holds turn.
func (r *repeats) end() {
	if r.command == nil {
		return
	}
	command := r.command
	r.command = nil
	_ = r.in.Close()
	_ = command.Process.Kill()
	safely.Go(func() {
		// While it is not waited for, no other process has its id.
		_ = unix.Waitid(unix.P_PID, command.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		r.pid.Store(0)
		_ = command.Wait()
	})
}
