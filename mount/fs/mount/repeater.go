package mount

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// report is what another client has done to a name, for the repeater to repeat.
type report struct {
	Do     string `json:"do"`
	Folder string `json:"folder"` // below the mount
	Name   string `json:"name"`
	// The name that it has after a move within the folder.
	To string `json:"to,omitempty"`
	// When it was last written.
	At time.Time `json:"at"`
}

// The kinds of changes.
const (
	newFile     = "make"
	newFolder   = "make folder"
	changedFile = "write"
	movedTo     = "move"
	goneFile    = "remove"
	goneFolder  = "remove folder"
)

// place is the mount in which the repeater works.
type place struct {
	Folder string `json:"folder"`
	Device uint64 `json:"device"`
}

// Repeat is the repeater. It reads the mount, then reports, repeats each in that mount and nowhere else, and prints its errno. It keeps nothing
// open in the mount, which could not be unmounted otherwise, and ends with its input.
func Repeat(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(in)
	var at place
	err := lines.Decode(&at)
	for err == nil {
		var each report
		if err = lines.Decode(&each); err == nil {
			var errno syscall.Errno
			if failed := each.repeat(at); failed != nil && !errors.As(failed, &errno) {
				errno = syscall.EINVAL
			}
			_, err = fmt.Fprintln(out, int(errno))
		}
	}
	return err
}

// repeat opens the folder without leaving the mount: neither the folder beneath it nor another mount over it.
func (c report) repeat(at place) error {
	root, err := unix.Open(at.Folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	var is unix.Stat_t
	if err := unix.Fstat(root, &is); err != nil {
		return err
	}
	if is.Dev != at.Device {
		return unix.EXDEV
	}
	folder, err := unix.Openat2(root, "./"+c.Folder, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	return c.in(folder)
}

func (c report) in(folder int) error {
	switch c.Do {
	case newFile:
		file, err := unix.Openat(folder, c.Name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err == nil {
			err = unix.Close(file)
		}
		return err
	case newFolder:
		return unix.Mkdirat(folder, c.Name, 0o700)
	case changedFile:
		// The kernel reports a change of this time only as a change of the content, and the close as that of a writer.
		written, err := unix.TimeToTimespec(c.At)
		if err == nil {
			err = unix.UtimesNanoAt(folder, c.Name, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, written}, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return err
		}
		file, err := unix.Openat(folder, c.Name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Close(file)
		}
		return err
	case movedTo:
		return unix.Renameat(folder, c.Name, folder, c.To)
	case goneFile:
		return unix.Unlinkat(folder, c.Name, 0)
	case goneFolder:
		return unix.Unlinkat(folder, c.Name, unix.AT_REMOVEDIR)
	}
	return unix.EINVAL
}
