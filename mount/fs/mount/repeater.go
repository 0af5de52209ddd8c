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

// The repeater is the process of the command `repeat` (repeat.go says what for). Its input is a repeaterMount and then reports, one JSON value a
// line; for each report it prints the errno of the system call that it has made.

// report is a change of a name by another client, which the repeater repeats as a system call.
type report struct {
	Do     string `json:"do"`
	Folder string `json:"folder"` // its path in the mount
	Name   string `json:"name"`
	// movedTo: its new name in that folder.
	To string `json:"to,omitempty"`
	// changedFile: when it was last written.
	At time.Time `json:"at"`
}

// The kinds of changes (report.Do).
const (
	newFile     = "make"
	newFolder   = "make folder"
	changedFile = "write"
	movedTo     = "move"
	goneFile    = "remove"
	goneFolder  = "remove folder"
)

// repeaterMount is the only mount in which the repeater makes calls.
type repeaterMount struct {
	Folder string `json:"folder"`
	Device uint64 `json:"device"`
}

// Repeat is the repeater, until its input ends. It keeps nothing open in the mount, which could not be unmounted otherwise.
func Repeat(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(in)
	var mount repeaterMount
	err := lines.Decode(&mount)
	for err == nil {
		var each report
		if err = lines.Decode(&each); err == nil {
			var errno syscall.Errno
			if failed := each.repeat(mount); failed != nil && !errors.As(failed, &errno) {
				errno = syscall.EINVAL
			}
			_, err = fmt.Fprintln(out, int(errno))
		}
	}
	return err
}

// repeat opens the folder and makes the call in it. The path cannot lead out of the mount: not into the folder that it covers, another mount in it, or
// through a symbolic link.
func (r report) repeat(mount repeaterMount) error {
	root, err := unix.Open(mount.Folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	var stat unix.Stat_t
	if err := unix.Fstat(root, &stat); err != nil {
		return err
	}
	if stat.Dev != mount.Device {
		return unix.EXDEV
	}
	folder, err := unix.Openat2(root, "./"+r.Folder, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	return r.call(folder)
}

// call makes the system call, in that open folder.
func (r report) call(folder int) error {
	switch r.Do {
	case newFile:
		file, err := unix.Openat(folder, r.Name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err == nil {
			err = unix.Close(file)
		}
		return err
	case newFolder:
		return unix.Mkdirat(folder, r.Name, 0o700)
	case changedFile:
		// If only the modification time changes, inotify reports IN_MODIFY; the close is reported as IN_CLOSE_WRITE.
		written, err := unix.TimeToTimespec(r.At)
		if err == nil {
			err = unix.UtimesNanoAt(folder, r.Name, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, written}, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return err
		}
		file, err := unix.Openat(folder, r.Name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Close(file)
		}
		return err
	case movedTo:
		return unix.Renameat(folder, r.Name, folder, r.To)
	case goneFile:
		return unix.Unlinkat(folder, r.Name, 0)
	case goneFolder:
		return unix.Unlinkat(folder, r.Name, unix.AT_REMOVEDIR)
	}
	return unix.EINVAL
}
