// mountaineer-fs mounts an SMB share for reading. A trial: no configuration chooses it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	var a account
	flag.StringVar(&a.address, "address", "", "host:port of the server or the relay")
	flag.StringVar(&a.share, "share", "", "name of the share")
	flag.StringVar(&a.user, "user", "", "user name; the password is the first line of standard input")
	flag.StringVar(&a.domain, "domain", "", "the user's domain")
	flag.BoolVar(&a.sign, "sign", true, "sign every message")
	patience := flag.Duration("patience", time.Minute, "how long programs wait while there is no route")
	flag.Parse()
	if a.address == "" || a.share == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: mountaineer-fs -address HOST:PORT -share NAME -user NAME FOLDER < PASSWORD")
		os.Exit(2)
	}
	password, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	a.password = strings.TrimRight(password, "\r\n")
	if err := serve(a, *patience, flag.Arg(0)); err != nil {
		fmt.Fprintf(os.Stderr, "mountaineer-fs: %s on %s at %s: %v\n", a.share, a.address, flag.Arg(0), err)
		os.Exit(1)
	}
}

// serve returns once the folder is unmounted, which SIGTERM and SIGINT ask for.
func serve(a account, patience time.Duration, folder string) error {
	s, err := signIn(a, patience)
	if err != nil {
		return err
	}
	defer s.close()
	mount, err := mountAt(folder, s)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range ended {
			if err := mount.Unmount(); err != nil {
				fmt.Fprintf(os.Stderr, "mountaineer-fs: %s stays mounted: %v\n", folder, err)
			}
		}
	}()
	mount.Wait()
	return nil
}
