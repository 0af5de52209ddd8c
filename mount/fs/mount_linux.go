package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/control"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/mount"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// mountFlags are the options of `mount`.
type mountFlags struct {
	common
	client client.Options
	mount  mount.Options
}

func parseMount(arguments []string, in io.Reader) (m mountFlags, err error) {
	flags := flag.NewFlagSet("mount", flag.ContinueOnError)
	m.register(flags)
	flags.StringVar(&m.client.Wanted, "wanted", "", "the route to begin with; default: the first")
	allowed := flags.String("allowed", "*", "names of the routes that may be used, with commas between; default: all")
	flags.BoolVar(&m.client.OnlyOn, "only-on", false, "after a change of the network make no connection before the daemon allows it")
	flags.DurationVar(&m.client.Patience, "patience", patience, "how long programs wait while there is no route")
	flags.BoolVar(&m.client.NewServer, "new-server", false, "let a new server in")
	uid := flags.Uint("uid", uint(os.Getuid()), "owner of all files")
	gid := flags.Uint("gid", uint(os.Getgid()), "group of all files")
	fileMode := flags.String("file-mode", "0755", "mode of all files, octal")
	dirMode := flags.String("dir-mode", "0755", "mode of all folders, octal")
	flags.BoolVar(&m.mount.ReadOnly, "read-only", false, "refuse all changes")
	flags.Func("symlinks", "which symbolic links are shown: inside (default), true, false", func(text string) (err error) {
		m.mount.Links, err = mount.ParseLinks(text)
		return err
	})
	flags.BoolVar(&m.mount.AllowOther, "allow-other", false, "let other users of this machine in, as far as the modes do")
	flags.Func("locks", "where files are locked: server (default), local", func(text string) error {
		m.mount.LocalLocks = text == "local"
		if text != "local" && text != "server" {
			return errors.New("server or local")
		}
		return nil
	})
	flags.Func("watch", "a folder in which all changes of other clients are reported; repeat it for each", func(folder string) error {
		m.mount.Watch = append(m.mount.Watch, folder)
		return nil
	})
	flags.StringVar(&m.mount.Source, "fsname", "", "the source that the mount table shows; default: the share's address")
	if err := m.parse(flags, arguments, in); err != nil {
		return m, err
	}
	if m.mount.FileMode, err = modeOf(*fileMode); err == nil {
		m.mount.DirMode, err = modeOf(*dirMode)
	}
	if err == nil && (m.account.Share == "" || flags.NArg() != 1) {
		err = errors.New("mountaineer-fs mount -route name=NAME,address=ADDRESS -share NAME -user NAME FOLDER < PASSWORD")
	}
	if err != nil {
		return m, smb.Fail(smb.Usage, err)
	}
	m.mount.Folder, m.mount.State, m.mount.Uid, m.mount.Gid = flags.Arg(0), m.state, uint32(*uid), uint32(*gid)
	if m.mount.Source == "" {
		m.mount.Source = "//" + m.routes[0].String() + "/" + m.account.Share
	}
	if *allowed != "*" {
		m.client.Allowed = strings.Split(*allowed, ",")
	}
	return m, nil
}

// repeatCommand is the repeater, a process that a mount starts.
var repeatCommand = mount.Repeat

var readAheadCommand = mount.GiveReadAhead

// The repeater makes its calls in its main thread, which has the process's id.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "repeat" {
		runtime.LockOSThread()
	}
}

func modeOf(text string) (uint32, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, errors.New("a mode is an octal number up to 0777")
	}
	return uint32(mode), nil
}

// mountCommand prints one line once the kernel has the mount, and returns once it is unmounted, which SIGTERM and SIGINT ask for.
func mountCommand(arguments []string, in io.Reader, out io.Writer) error {
	m, err := parseMount(arguments, in)
	if err != nil {
		return err
	}
	// The program that started this one may end first, and close the pipes.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	log.SetPrefix("mountaineer-fs: ")
	if m.state != "" {
		if err := os.MkdirAll(m.state, 0o700); err != nil {
			return err
		}
	}
	c, pauses := control.Open(m.state, m.account.Share, m.mount.Folder, version)
	m.client.Account, m.client.Routes, m.client.Logins, m.client.Folder = m.account, m.routes, m.loginsOf(), m.state
	m.client.Killed, m.client.IsCheck, m.client.Event, m.client.Pauses = mount.Killed, mount.IsCheck, c.Journal, pauses
	var mounted atomic.Pointer[mount.Share]
	m.client.Known = func() []identity.Entry {
		if share := mounted.Load(); share != nil {
			return share.Known()
		}
		return nil
	}
	cl := client.New(m.client)
	if err := cl.Start(context.Background()); err != nil {
		return err
	}
	defer cl.Close()
	if err := c.Listen(cl); err != nil {
		return fmt.Errorf("the socket for the daemon: %w", err)
	}
	defer c.Close()
	share, err := mount.Mount(cl, m.mount)
	if err != nil {
		return err
	}
	mounted.Store(share)
	c.Serves(share)
	if err := printLine(out, map[string]string{"mounted": m.mount.Folder}); err != nil {
		log.Print(err)
	}
	safely.Go(func() {
		for range ended {
			if err := share.Unmount(); err != nil {
				log.Printf("%s stays mounted: %v", m.mount.Folder, err)
			}
		}
	})
	select {
	case <-safely.Done(share.Wait):
	case <-c.Forced:
	}
	return nil
}
