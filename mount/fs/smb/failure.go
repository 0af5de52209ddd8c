package smb

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"syscall"

	smb2 "github.com/cloudsoda/go-smb2"
)

// The error codes of commands and answers (README.md).
const (
	Usage        = "usage"
	Fuse         = "fuse"
	NoAnswer     = "no_answer"
	LogonFailure = "logon_failure"
	LogonHeld    = "logon_held"
	NoShare      = "no_share"
	AccessDenied = "access_denied"
	OtherServer  = "other_server"
	NoPlaces     = "no_places"
	Unsupported  = "unsupported"
	Other        = "other"
)

// Failure is an error whose code is known.
type Failure struct {
	Code string
	error
}

func Fail(code string, err error) Failure { return Failure{code, err} }

func (f Failure) Unwrap() error { return f.error }

// StatusOf is the server's status; 0: the error is not the server's.
func StatusOf(err error) uint32 {
	var response *smb2.ResponseError
	if errors.As(err, &response) {
		return response.Code
	}
	return 0
}

// IsFull: the server accepts no further open file on this connection.
func IsFull(err error) bool {
	return StatusOf(err) == TooManyOpened || StatusOf(err) == insufficientResources
}

// TooManyOpened is the status of a server that is full; Samba's is insufficientResources.
const TooManyOpened = 0xC000011F

const (
	insufficientResources = 0xC000009A
	tooManySessions       = 0xC00000CE
	userLimit             = 0xC00000DC
	badNetworkName        = 0xC00000CC
	notSupported          = 0xC00000BB
	serverUnavailable     = 0xC0000466
)

// CodeOf is the code of an error. An error that a server sent is never NoAnswer.
func CodeOf(err error) string {
	var f Failure
	var network net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &f):
		return f.Code
	case IsRefusal(err):
		return LogonFailure
	case errors.Is(err, smb2.ErrChanged):
		return OtherServer
	case errors.Is(err, smb2.ErrRequestNotAccepted):
		return NoPlaces
	case errors.Is(err, fs.ErrPermission) && StatusOf(err) == 0 && !errors.As(err, &errno):
		return AccessDenied
	}
	switch StatusOf(err) {
	case badNetworkName:
		return NoShare
	case insufficientResources, tooManySessions, userLimit:
		return NoPlaces
	case notSupported:
		return Unsupported
	case 0:
		if IsLoss(err) || errors.As(err, &network) || errors.Is(err, io.EOF) {
			return NoAnswer
		}
	}
	return Other
}

// IsLoss: the connection, the session or the tree connect has ended.
func IsLoss(err error) bool {
	var transport *smb2.TransportError
	var invalid *smb2.InvalidResponseError
	if errors.As(err, &transport) || errors.As(err, &invalid) {
		return true
	}
	switch StatusOf(err) {
	case 0xC0000203, 0xC000035C, 0xC00000C9, 0xC000020C, 0xC0000128, serverUnavailable:
		// USER_SESSION_DELETED, NETWORK_SESSION_EXPIRED, NETWORK_NAME_DELETED, CONNECTION_DISCONNECTED, FILE_CLOSED
		return true
	}
	return false
}

// IsRefusal: the server refused the login. Another attempt could lock the account.
func IsRefusal(err error) bool {
	var f Failure
	if errors.As(err, &f) && f.Code == LogonFailure {
		return true
	}
	switch StatusOf(err) {
	case 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071, 0xC0000072, 0xC0000224, 0xC0000234, 0xC000006A, 0xC0000064, 0xC0000193:
		// LOGON_FAILURE, ACCOUNT_RESTRICTION, INVALID_LOGON_HOURS, INVALID_WORKSTATION, PASSWORD_EXPIRED, ACCOUNT_DISABLED,
		// PASSWORD_MUST_CHANGE, ACCOUNT_LOCKED_OUT, WRONG_PASSWORD, NO_SUCH_USER, ACCOUNT_EXPIRED
		return true
	}
	return false
}

type detail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Detail is an error in an answer.
func Detail(err error) any { return detail{CodeOf(err), err.Error()} }

// ErrorLine is what a command prints when it fails.
func ErrorLine(err error) []byte {
	line, _ := json.Marshal(map[string]any{"error": Detail(err)})
	return line
}
