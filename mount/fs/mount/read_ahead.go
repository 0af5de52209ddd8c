package mount

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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

// suit sets it for the route in use, as far as that is known.
func (k *kernelAhead) suit(isFast bool) {
	want := slowReadAhead
	if isFast {
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

// A new device is there before its mount.
const mountedWithin = 2 * time.Second

// GiveReadAhead lets the user who made a mount of this program set how much the kernel reads ahead there. A rule of udev runs it as root for
// each new device.
func GiveReadAhead(device string) error {
	var major, minor uint32
	if _, err := fmt.Sscanf(device, "%d:%d", &major, &minor); err != nil {
		return err
	}
	for until := time.Now().Add(mountedWithin); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		if user, isOurs := mountedBy(string(table), fmt.Sprintf("%d:%d", major, minor)); isOurs {
			return os.Chown(readAheadFile(unix.Mkdev(major, minor)), user, -1)
		}
	}
	return nil
}

// mountedBy finds the user of a mount of this program in a mount table.
func mountedBy(table, device string) (user int, isOurs bool) {
	for line := range strings.SplitSeq(table, "\n") {
		before, after, _ := strings.Cut(line, " - ")
		if at, what := strings.Fields(before), strings.Fields(after); len(at) > 2 && at[2] == device && len(what) > 2 && what[0] == "fuse."+programName {
			_, options, _ := strings.Cut(what[2], "user_id=")
			_, err := fmt.Sscan(strings.ReplaceAll(options, ",", " "), &user)
			return user, err == nil
		}
	}
	return 0, false
}
