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
	// The kernel's default.
	slowReadAhead = 128
	// One request in place of eight; but a mapping reads eight times the bytes for each page.
	fastReadAhead = chunkAtMost >> 10

	aheadAgainAfter = 5 * time.Second
)

// kernelReadAhead sets how much the kernel reads ahead, KiB. Files that are open keep their value.
type kernelReadAhead struct {
	mu      sync.Mutex
	path    string
	current int
	// After a refusal: when to try again, as the udev rule may not have run yet.
	again time.Time
}

// readAheadFile is where that is set: by root, or by a user to whom the udev rule has given it (GiveReadAhead).
func readAheadFile(device uint64) string {
	return fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(device), unix.Minor(device))
}

func (k *kernelReadAhead) begin(device uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.path, k.current = readAheadFile(device), slowReadAhead
}

// setFor sets it for a fast or slow route.
func (k *kernelReadAhead) setFor(isFast bool) {
	want := slowReadAhead
	if isFast {
		want = fastReadAhead
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" || k.current == want || time.Now().Before(k.again) {
		return
	}
	if err := os.WriteFile(k.path, strconv.AppendInt(nil, int64(want), 10), 0); err != nil {
		k.again = time.Now().Add(aheadAgainAfter)
		return
	}
	k.current = want
}

// How long after the device the mount appears.
const mountedWithin = 2 * time.Second

// GiveReadAhead gives the file to the user who made the mount, if it is one of this program. A udev rule runs it as root for each new device.
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
