//go:build !linux

package main

import (
	"errors"
	"io"

	"mountaineer/mount/fs/smb"
)

func repeatCommand(io.Reader, io.Writer) error { return mountCommand(nil, nil, nil) }

func readAheadCommand(string) error { return mountCommand(nil, nil, nil) }

func mountCommand([]string, io.Reader, io.Writer) error {
	return smb.Fail(smb.Fuse, errors.New("mountaineer-fs mounts on Linux only"))
}
