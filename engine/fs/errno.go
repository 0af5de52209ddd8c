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
	deletePending    = 0xC0000056
	sharingViolation = 0xC0000043
)

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, fs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist):
		return syscall.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return syscall.EINVAL
	}
	switch statusOf(err) {
	case 0xC0000033, 0xC0000039, deletePending: // OBJECT_NAME_INVALID, OBJECT_PATH_SYNTAX_BAD
		return syscall.ENOENT
	case 0xC0000103: // NOT_A_DIRECTORY
		return syscall.ENOTDIR
	case 0xC00000BA: // FILE_IS_A_DIRECTORY
		return syscall.EISDIR
	case 0xC0000101: // DIRECTORY_NOT_EMPTY
		return syscall.ENOTEMPTY
	case sharingViolation, 0xC0000054: // FILE_LOCK_CONFLICT
		return syscall.EACCES
	case 0xC00000A2: // MEDIA_WRITE_PROTECTED
		return syscall.EROFS
	case 0xC000007F: // DISK_FULL
		return syscall.ENOSPC
	case 0xC0000044: // QUOTA_EXCEEDED
		return syscall.EDQUOT
	case 0xC0000904: // FILE_TOO_LARGE
		return syscall.EFBIG
	case 0xC00000D4: // NOT_SAME_DEVICE
		return syscall.EXDEV
	case 0xC000011F: // TOO_MANY_OPENED_FILES
		return syscall.ENFILE
	case 0xC0000106: // NAME_TOO_LONG
		return syscall.ENAMETOOLONG
	case 0xC000000D: // INVALID_PARAMETER
		return syscall.EINVAL
	case 0xC00000BB: // NOT_SUPPORTED
		return syscall.ENOTSUP
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
