package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"time"

	"mountaineer/mount/fs/smb"
	"mountaineer/mount/fs/tools"
)

const (
	readWithin   = 10 * time.Second
	listedAtMost = 1000
)

// readCommand runs check, list or shares.
func readCommand(command string, arguments []string, in io.Reader, out io.Writer) error {
	var c common
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	c.register(flags)
	within := flags.Duration("within", readWithin, "deadline of the whole command")
	most := flags.Int("most", listedAtMost, "how many entries are listed")
	isNew := flags.Bool("new-server", false, "record a new server")
	keeps := flags.Bool("keep-record", false, "compare with the record, but write none")
	if err := c.parse(flags, arguments, in); err != nil {
		return err
	}
	if c.account.Share == "" && command != "shares" {
		return smb.Fail(smb.Usage, errors.New("-share is missing"))
	}
	if c.state != "" && !*keeps {
		if err := os.MkdirAll(c.state, 0o700); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *within)
	defer cancel()
	request := tools.Request{Account: c.account, Routes: c.routes, Logins: c.loginsOf(), State: c.state, KeepRecord: *keeps, NewServer: *isNew}
	var answer any
	var err error
	switch command {
	case "shares":
		answer, err = request.ListShares(ctx)
	case "list":
		answer, err = request.List(ctx, flags.Arg(0), *most)
	default:
		checked, isOpen := request.Check(ctx)
		if err := printLine(out, checked); err != nil || isOpen {
			return err
		}
		return errPrinted
	}
	if err != nil {
		return err
	}
	return printLine(out, answer)
}

// errPrinted: the command has failed, and has printed why.
var errPrinted = errors.New("failed")
