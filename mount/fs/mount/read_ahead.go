package mount

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/link"
)

const (
	// As the kernel has it for each new mount.
	slowReadAhead = 128
	// Eight requests, and as many waits, become one; a page that a mapping needs costs eight times the bytes.
	fastReadAhead = chunkAtMost >> 10

	aheadAgainAfter = 5 * time.Second
)

// kernelAhead is how much the kernel reads ahead of programs, KiB. Files that are open keep what they were opened with.
type kernelAhead struct {
	mu   sync.Mutex
	path string
	is   int
	// It was refused, and is tried again then: a rule of udev may need a moment.
	again time.Time
}

// readAheadFile is where that is set: by root, or by whom a rule of udev has given it.
func readAheadFile(device uint64) string {
	return fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(device), unix.Minor(device))
}

func (k *kernelAhead) begin(device uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.path, k.is = readAheadFile(device), slowReadAhead
}

// suit sets it as the route in use is: whatever that was read over c.
func (k *kernelAhead) suit(c *link.Conn) {
	want := slowReadAhead
	if c.IsFast() {
		want = fastReadAhead
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" || k.is == want || time.Now().Before(k.again) {
		return
	}
	if err := os.WriteFile(k.path, strconv.AppendInt(nil, int64(want), 10), 0); err != nil {
		k.again = time.Now().Add(aheadAgainAfter)
		return
	}
	k.is = want
}
