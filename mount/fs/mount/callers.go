package mount

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

// Each request has the id of the calling thread. Requests of the repeater are marked, and refused if it never sends that kind. The process of any
// other thread that looks up a name or opens a folder may watch it (watchers).

func (k kernel) markRepeater(in *fuse.InHeader) (isRepeater bool) {
	if isRepeater = k.share.repeats.isFrom(in.Pid); isRepeater {
		in.Pid = repeated
	}
	return isRepeater
}

func (k kernel) noteCaller(in *fuse.InHeader) {
	if !k.markRepeater(in) {
		k.share.watchers.checkSoon(in.Pid)
	}
}

func (k kernel) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	k.noteCaller(in)
	return k.RawFileSystem.Lookup(cancel, in, name, out)
}

func (k kernel) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.noteCaller(&in.InHeader)
	return k.RawFileSystem.GetAttr(cancel, in, out)
}

func (k kernel) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if k.markRepeater(&in.InHeader) {
		return fuse.EPERM
	}
	k.share.watchers.checkSoon(in.Pid)
	return k.RawFileSystem.OpenDir(cancel, in, out)
}

func (k kernel) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.markRepeater(&in.InHeader)
	return k.RawFileSystem.SetAttr(cancel, in, out)
}

func (k kernel) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	k.markRepeater(&in.InHeader)
	return k.RawFileSystem.Open(cancel, in, out)
}

func (k kernel) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	k.markRepeater(&in.InHeader)
	return k.RawFileSystem.Create(cancel, in, name, out)
}

func (k kernel) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	k.markRepeater(&in.InHeader)
	return k.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (k kernel) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	k.markRepeater(in)
	return k.RawFileSystem.Rmdir(cancel, in, name)
}

func (k kernel) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if k.markRepeater(&in.InHeader) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Mknod(cancel, in, name, out)
}

func (k kernel) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if k.markRepeater(&in.InHeader) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Link(cancel, in, name, out)
}

func (k kernel) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if k.markRepeater(in) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Symlink(cancel, in, target, name, out)
}

// Killed: the thread that sent the request was killed, and only waits for the answer.
func Killed(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return ctx.Err() != nil
	}
	// 0: it is in another PID namespace.
	pid := int(int32(request.Caller.Pid))
	if pid <= 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		// /proc may hide it.
		return syscall.Kill(pid, 0) == syscall.ESRCH
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if mask, ok := strings.CutPrefix(line, "SigPnd:\t"); ok {
			pending, err := strconv.ParseUint(mask, 16, 64)
			return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
		}
	}
	return false
}

// The name of the daemon's process that checks mounts.
const checker = "prober-child"

// Reading a command line takes longer only if its process waits for a page of this mount.
const readWithin = 50 * time.Millisecond

// IsCheck: the daemon sent the request, to check the mount.
func IsCheck(ctx context.Context) bool {
	request, ok := ctx.(*fuse.Context)
	if !ok {
		return false
	}
	read := safely.Ask(func() ([]string, error) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(int(request.Caller.Pid)) + "/cmdline")
		return strings.Split(string(text), "\x00"), err
	})
	got, _ := client.Await(context.Background(), nil, read, time.Now().Add(readWithin))
	return slices.ContainsFunc(got.Value, func(each string) bool {
		return strings.TrimSuffix(filepath.Base(each), filepath.Ext(each)) == checker
	})
}
