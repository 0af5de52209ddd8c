// mountaineer-fs mounts an SMB share for reading and writing.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintf(os.Stdout, "%s\n", errorLine(err))
		os.Exit(1)
	}
}

// run returns once the folder is unmounted.
func run(arguments []string, in io.Reader, out io.Writer) error {
	a, o, err := parse(arguments)
	if err != nil {
		return err
	}
	if !a.guest {
		password, _ := bufio.NewReader(in).ReadString('\n')
		a.password = strings.TrimRight(password, "\r\n")
	}
	// The program that started this one may end first, and its end of the pipes with it.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	return serve(a, o, out)
}

type options struct {
	folder, source    string
	patience          time.Duration
	uid, gid          uint32
	fileMode, dirMode uint32
	readOnly          bool
	allowOther        bool
}

func parse(arguments []string) (account, options, error) {
	var a account
	var o options
	flags := flag.NewFlagSet("mountaineer-fs", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&a.address, "address", "", "host:port of the server or the relay")
	flags.StringVar(&a.share, "share", "", "name of the share")
	flags.StringVar(&a.user, "user", "", "user name; the password is the first line of standard input")
	flags.StringVar(&a.domain, "domain", "", "the user's domain")
	flags.BoolVar(&a.guest, "guest", false, "sign in as a guest, without a password")
	flags.BoolVar(&a.sign, "sign", false, "sign every message, also where the server does not ask for it")
	flags.DurationVar(&o.patience, "patience", time.Minute, "how long programs wait while there is no route")
	uid := flags.Uint("uid", uint(os.Getuid()), "owner of all files")
	gid := flags.Uint("gid", uint(os.Getgid()), "group of all files")
	fileMode := flags.String("file-mode", "0644", "mode of all files, octal")
	dirMode := flags.String("dir-mode", "0755", "mode of all folders, octal")
	flags.BoolVar(&o.readOnly, "read-only", false, "refuse all changes")
	flags.BoolVar(&o.allowOther, "allow-other", false, "let other users of this machine in, as far as the modes do")
	flags.StringVar(&o.source, "fsname", "", "the source that the mount table shows; default: the share's address")
	if err := flags.Parse(arguments); err != nil {
		return a, o, failure{"usage", err}
	}
	var errs [2]error
	o.fileMode, errs[0] = modeOf(*fileMode)
	o.dirMode, errs[1] = modeOf(*dirMode)
	switch {
	case errs[0] != nil || errs[1] != nil:
		return a, o, failure{"usage", fmt.Errorf("a mode is an octal number up to 0777")}
	case a.address == "" || a.share == "" || flags.NArg() != 1:
		return a, o, failure{"usage", fmt.Errorf("mountaineer-fs -address HOST:PORT -share NAME -user NAME FOLDER < PASSWORD")}
	}
	o.folder, o.uid, o.gid = flags.Arg(0), uint32(*uid), uint32(*gid)
	if o.source == "" {
		o.source = "//" + a.address + "/" + a.share
	}
	return a, o, nil
}

func modeOf(text string) (uint32, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err == nil && mode > 0o777 {
		err = strconv.ErrRange
	}
	return uint32(mode), err
}

// serve prints `mounted` once the kernel has the mount, and returns once it is unmounted, which SIGTERM and SIGINT ask for.
func serve(a account, o options, out io.Writer) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	f, err := openShare(a, o)
	if err != nil {
		return err
	}
	defer f.close()
	mount, err := f.mount()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "mounted")
	go func() {
		for range ended {
			if err := mount.Unmount(); err != nil {
				fmt.Fprintf(os.Stderr, "mountaineer-fs: %s stays mounted: %v\n", o.folder, err)
			}
		}
	}()
	mount.Wait()
	return nil
}
