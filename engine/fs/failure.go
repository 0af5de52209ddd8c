package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
)

// failure is an error whose code is known: usage, fuse, no_answer.
type failure struct {
	code string
	error
}

func (f failure) Unwrap() error { return f.error }

func codeOf(err error) string {
	var f failure
	var network net.Error
	switch {
	case errors.As(err, &f):
		return f.code
	case isRefusal(err):
		return "logon_failure"
	case statusOf(err) == 0xC00000CC: // BAD_NETWORK_NAME
		return "no_share"
	case errors.Is(err, fs.ErrPermission):
		return "access_denied"
	case errors.As(err, &network), isLoss(err), errors.Is(err, io.EOF):
		return "no_answer"
	}
	return "other"
}

// errorLine is what the program says when it does not mount, as one line of JSON.
func errorLine(err error) []byte {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	line, _ := json.Marshal(map[string]detail{"error": {codeOf(err), err.Error()}})
	return line
}
