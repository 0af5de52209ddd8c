// mountaineer-fs mounts an SMB share, and checks and lists shares and servers. Its commands, and the protocol by which a daemon controls a
// mount, are in README.md. A mount is a client.Client (the connection), a mount.Share (the file system on it) and a control.Control (the socket).
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mountaineer/mount/fs/logins"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// version is set by the build.
var version = "0"

const protocol = 1

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		if !errors.Is(err, errPrinted) {
			_, _ = fmt.Fprintf(os.Stdout, "%s\n", smb.ErrorLine(err))
		}
		if smb.CodeOf(err) == smb.Usage {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// run runs a command; without a name, `mount`.
func run(arguments []string, in io.Reader, out io.Writer) error {
	command := "mount"
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		command, arguments = arguments[0], arguments[1:]
	}
	switch command {
	case "mount":
		return mountCommand(arguments, in, out)
	case "repeat":
		return repeatCommand(in, out)
	case "read-ahead":
		return readAheadCommand(strings.Join(arguments, " "))
	case "check", "list", "shares":
		_, err := safely.Do(func() (struct{}, error) { return struct{}{}, readCommand(command, arguments, in, out) })
		return err
	case "version":
		return printLine(out, map[string]any{"version": version, "protocol": protocol})
	}
	return smb.Fail(smb.Usage, fmt.Errorf("there is no command %q", command))
}

func printLine(out io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", line)
	}
	return err
}

// common are the options of all commands.
type common struct {
	account  smb.Account
	routes   []smb.Route
	state    string
	logins   string
	loginNow bool
	isNew    bool
}

func (c *common) register(flags *flag.FlagSet) {
	flags.Func("route", "name=NAME,address=ADDRESS,port=PORT,interface=INTERFACE; repeat it for each, the preferred one first", func(text string) error {
		route, err := smb.ParseRoute(text)
		c.routes = append(c.routes, route)
		return err
	})
	flags.Func("address", "host:port: the only route", func(text string) error {
		route, err := smb.ParseAddress(text)
		c.routes = []smb.Route{route}
		return err
	})
	flags.StringVar(&c.account.Share, "share", "", "name of the share")
	flags.StringVar(&c.account.User, "user", "", "user name; the password is the first line of standard input")
	flags.StringVar(&c.account.Domain, "domain", "", "the user's domain")
	flags.BoolVar(&c.account.Guest, "guest", false, "sign in as a guest, without a password")
	flags.BoolVar(&c.account.Sign, "sign", false, "sign every message, also where the server does not ask for it")
	flags.StringVar(&c.state, "state", "", "the share's folder in the home")
	flags.StringVar(&c.logins, "logons", "", "the home's folder by which programs sign in one after the other")
	flags.BoolVar(&c.isNew, "new-password", false, "the password was just given: refusals of others do not count against it")
	flags.BoolVar(&c.loginNow, "login-now", false, "try to sign in once even if refusals forbid it")
}

// parse reads the arguments, and then the password.
func (c *common) parse(flags *flag.FlagSet, arguments []string, in io.Reader) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(arguments); err != nil {
		return smb.Fail(smb.Usage, err)
	}
	if len(c.routes) == 0 {
		return smb.Fail(smb.Usage, errors.New("mountaineer-fs COMMAND -route name=NAME,address=ADDRESS -share NAME -user NAME … < PASSWORD"))
	}
	if !c.account.Guest {
		password, _ := bufio.NewReader(in).ReadString('\n')
		c.account.Password = strings.TrimRight(password, "\r\n")
	}
	return nil
}

func (c *common) loginsOf() *logins.Account {
	user := c.account.User
	if c.account.Guest {
		user = "guest"
	}
	account := logins.New(c.logins, user, c.account.Domain, c.account.Password)
	if c.loginNow {
		account.TryNow()
	}
	if c.isNew {
		account.SetNew()
	}
	return account
}

const patience = 300 * time.Second
