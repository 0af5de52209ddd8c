package mount

import (
	"errors"
	"log"
	"sync"
	"syscall"

	"mountaineer/mount/fs/smb"
)

// How errors of the server become those of programs.

// The NTSTATUS codes (MS-ERREF 2.3.1) of which requests decide something. errnos has the names of others as comments.
const (
	noSuchFile       = 0xC000000F
	nameNotFound     = 0xC0000034 // OBJECT_NAME_NOT_FOUND
	pathNotFound     = 0xC000003A // OBJECT_PATH_NOT_FOUND
	nameInvalid      = 0xC0000033 // OBJECT_NAME_INVALID
	nameCollision    = 0xC0000035 // OBJECT_NAME_COLLISION
	accessDenied     = 0xC0000022
	deletePending    = 0xC0000056
	sharingViolation = 0xC0000043
	notSupported     = 0xC00000BB
	invalidParameter = 0xC000000D
	lockConflict     = 0xC0000054 // FILE_LOCK_CONFLICT: a read or write of a range that another client has locked
	lockNotGranted   = 0xC0000055 // a LOCK request
	cancelled        = 0xC0000120
	pathNotCovered   = 0xC0000257 // a DFS link
)

var errnos = map[uint32]syscall.Errno{
	noSuchFile:       syscall.ENOENT,
	nameNotFound:     syscall.ENOENT,
	pathNotFound:     syscall.ENOENT,
	nameInvalid:      syscall.ENOENT,
	0xC0000039:       syscall.ENOENT, // OBJECT_PATH_SYNTAX_BAD
	deletePending:    syscall.ENOENT,
	nameCollision:    syscall.EEXIST,
	0xC0000103:       syscall.ENOTDIR,   // NOT_A_DIRECTORY
	0xC00000BA:       syscall.EISDIR,    // FILE_IS_A_DIRECTORY
	0xC0000101:       syscall.ENOTEMPTY, // DIRECTORY_NOT_EMPTY
	accessDenied:     syscall.EACCES,
	sharingViolation: syscall.EACCES,
	lockConflict:     syscall.EACCES,
	// Not EAGAIN, which only a lock may return: after a read, Go's runtime would wait for a poll event that never comes.
	lockNotGranted:   syscall.EACCES,
	0xC0000121:       syscall.EACCES,       // CANNOT_DELETE
	0xC0000061:       syscall.EPERM,        // PRIVILEGE_NOT_HELD
	0xC00000A2:       syscall.EROFS,        // MEDIA_WRITE_PROTECTED
	0xC000007F:       syscall.ENOSPC,       // DISK_FULL
	0xC0000044:       syscall.EDQUOT,       // QUOTA_EXCEEDED
	0xC0000904:       syscall.EFBIG,        // FILE_TOO_LARGE
	0xC00000D4:       syscall.EXDEV,        // NOT_SAME_DEVICE
	0xC0000265:       syscall.EMLINK,       // TOO_MANY_LINKS
	0xC0000106:       syscall.ENAMETOOLONG, // NAME_TOO_LONG
	pathNotCovered:   syscall.EREMOTE,
	invalidParameter: syscall.EINVAL,
	0xC000021B:       syscall.EBUSY, // DATA_NOT_ACCEPTED
	notSupported:     syscall.ENOTSUP,
	0xC0000010:       syscall.ENOTSUP, // INVALID_DEVICE_REQUEST
	0xC0000002:       syscall.ENOTSUP, // NOT_IMPLEMENTED
	0xC0000003:       syscall.ENOTSUP, // INVALID_INFO_CLASS
}

var logDfs = sync.OnceFunc(func() {
	log.Print("a DFS link leads to another share or server: it is not followed, mount that share directly")
})

// errnoOf is the errno for a program; 0: there is no error. An unknown status is EIO.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case smb.IsFull(err):
		return syscall.ENFILE
	case smb.StatusOf(err) == pathNotCovered:
		logDfs()
	}
	if errno, known := errnos[smb.StatusOf(err)]; known {
		return errno
	}
	return syscall.EIO
}

// isAbsent: the server has no such name. Some servers send noSuchFile for an open.
func isAbsent(err error) bool {
	switch smb.StatusOf(err) {
	case nameNotFound, pathNotFound, noSuchFile:
		return true
	}
	return errors.Is(err, syscall.ENOENT)
}

// isTaken: the server already has a file of that name.
func isTaken(err error) bool { return smb.StatusOf(err) == nameCollision }

func isDenied(err error) bool { return errnoOf(err) == syscall.EACCES }

// createErrno is errnoOf for a request that creates a name.
func (m nameMapping) createErrno(err error, name string) syscall.Errno {
	switch smb.StatusOf(err) {
	case nameInvalid:
		if there, _ := m.toServer(name); len(there) > nameAtMost {
			return syscall.ENAMETOOLONG
		}
		return syscall.EINVAL
	case deletePending:
		return syscall.EBUSY
	}
	return errnoOf(err)
}
