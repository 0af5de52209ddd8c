package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const killedWithin = 50 * time.Millisecond

// await waits for an answer: until the time until (EIO; zero: for ever), or until the program that waits is being killed (EINTR). Other
// signals do not end a wait: on a disk, no program gets EINTR from open or write, and few expect it.
func await[T any](ctx context.Context, answer <-chan T, until time.Time) (T, error) {
	interrupted := ctx.Done()
	var late, look <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case got := <-answer:
			return got, nil
		case <-late:
			return *new(T), syscall.EIO
		case <-interrupted:
			interrupted = nil
			// The kernel does not say when it becomes a deadly one.
			ticker := time.NewTicker(killedWithin)
			defer ticker.Stop()
			look = ticker.C
		case <-look:
		}
		if interrupted == nil && isKilled(ctx) {
			return *new(T), syscall.EINTR
		}
	}
}

// isKilled: the thread that asked is going to end, and waits only for its answer.
func isKilled(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return ctx.Err() != nil
	}
	// 0: of a namespace that is not seen from here.
	pid := int(int32(request.Caller.Pid))
	if pid <= 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		// /proc may hide it.
		return syscall.Kill(pid, 0) == syscall.ESRCH
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if mask, ok := strings.CutPrefix(line, "SigPnd:\t"); ok {
			pending, err := strconv.ParseUint(mask, 16, 64)
			return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
		}
	}
	return false
}
