package main

import (
	"errors"
	"io/fs"
	"syscall"

	smb2 "github.com/cloudsoda/go-smb2"
)

func statusOf(err error) uint32 {
	var response *smb2.ResponseError
	if errors.As(err, &response) {
		return response.Code
	}
	return 0
}

const (
	noSuchFile       = 0xC000000F
	deletePending    = 0xC0000056
	sharingViolation = 0xC0000043
)

var errnos = map[uint32]syscall.Errno{
	0xC0000033:       syscall.ENOENT, // OBJECT_NAME_INVALID
	0xC0000039:       syscall.ENOENT, // OBJECT_PATH_SYNTAX_BAD
	deletePending:    syscall.ENOENT,
	0xC0000103:       syscall.ENOTDIR,   // NOT_A_DIRECTORY
	0xC00000BA:       syscall.EISDIR,    // FILE_IS_A_DIRECTORY
	0xC0000101:       syscall.ENOTEMPTY, // DIRECTORY_NOT_EMPTY
	sharingViolation: syscall.EACCES,
	0xC0000054:       syscall.EACCES,       // FILE_LOCK_CONFLICT
	0xC00000A2:       syscall.EROFS,        // MEDIA_WRITE_PROTECTED
	0xC000007F:       syscall.ENOSPC,       // DISK_FULL
	0xC0000044:       syscall.EDQUOT,       // QUOTA_EXCEEDED
	0xC0000904:       syscall.EFBIG,        // FILE_TOO_LARGE
	0xC00000D4:       syscall.EXDEV,        // NOT_SAME_DEVICE
	0xC000011F:       syscall.ENFILE,       // TOO_MANY_OPENED_FILES
	0xC0000106:       syscall.ENAMETOOLONG, // NAME_TOO_LONG
	0xC000000D:       syscall.EINVAL,       // INVALID_PARAMETER
	0xC0000121:       syscall.EACCES,       // CANNOT_DELETE
	0xC00000BB:       syscall.ENOTSUP,      // NOT_SUPPORTED
	0xC0000010:       syscall.ENOTSUP,      // INVALID_DEVICE_REQUEST
	0xC0000002:       syscall.ENOTSUP,      // NOT_IMPLEMENTED
	0xC0000003:       syscall.ENOTSUP,      // INVALID_INFO_CLASS
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case isAbsent(err):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist):
		return syscall.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return syscall.EINVAL
	}
	if errno, known := errnos[statusOf(err)]; known {
		return errno
	}
	return syscall.EIO
}

// isLoss: the connection, or the server's part of it, has ended.
func isLoss(err error) bool {
	var transport *smb2.TransportError
	var invalid *smb2.InvalidResponseError
	if errors.As(err, &transport) || errors.As(err, &invalid) {
		return true
	}
	switch statusOf(err) {
	case 0xC0000203, 0xC000035C, 0xC00000C9, 0xC000020C, 0xC0000128:
		// USER_SESSION_DELETED, NETWORK_SESSION_EXPIRED, NETWORK_NAME_DELETED, CONNECTION_DISCONNECTED, FILE_CLOSED
		return true
	}
	return false
}

// isRefusal: a further try would only bring the account nearer to being locked.
func isRefusal(err error) bool {
	var f failure
	if errors.As(err, &f) && f.code == "logon_failure" {
		return true
	}
	switch statusOf(err) {
	case 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071, 0xC0000072, 0xC0000224, 0xC0000234:
		// LOGON_FAILURE, ACCOUNT_RESTRICTION, INVALID_LOGON_HOURS, INVALID_WORKSTATION, PASSWORD_EXPIRED,
		// ACCOUNT_DISABLED, PASSWORD_MUST_CHANGE, ACCOUNT_LOCKED_OUT
		return true
	}
	return false
}
