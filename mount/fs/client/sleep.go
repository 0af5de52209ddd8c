package client

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/smb"
)

// How long silence is ignored after the machine has slept: its network links are just starting.
const wakesWithin = 2 * time.Second

// sleepDetector notices that the machine has slept: the clock that counts sleep is then further ahead of the one that does not.
type sleepDetector struct {
	mu    sync.Mutex
	ahead time.Duration
	until time.Duration
}

// countsFrom is when silence begins to count, Monotonic.
func (w *sleepDetector) countsFrom() time.Duration {
	var withSleep, without unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &withSleep) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &without) != nil {
		return 0
	}
	ahead := time.Duration(withSleep.Nano() - without.Nano())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ahead != 0 && ahead-w.ahead > time.Second {
		w.until = smb.Monotonic() + wakesWithin
	}
	w.ahead = ahead
	return w.until
}
