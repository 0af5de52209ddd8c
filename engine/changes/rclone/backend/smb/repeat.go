package smb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/rclone/rclone/fs"
)

// watched is the connection under an SMB session. It notes its own end, and
// soon, because the session always has a read pending.
type watched struct {
	net.Conn
	end atomic.Pointer[error]
}

func (w *watched) Read(p []byte) (n int, err error) {
	n, err = w.Conn.Read(p)
	return n, w.note(err)
}

func (w *watched) Write(p []byte) (n int, err error) {
	n, err = w.Conn.Write(p)
	return n, w.note(err)
}

// note closes the connection, too: the session does so only at a logoff
func (w *watched) note(err error) error {
	if err != nil && w.end.CompareAndSwap(nil, &err) {
		_ = w.Conn.Close()
	}
	return err
}

func (w *watched) hasEnded() bool {
	return w.end.Load() != nil
}

// wasLost returns whether the connection has ended other than by silence:
// what has waited for --timeout in vain does not wait once more.
func (w *watched) wasLost() bool {
	end := w.end.Load()
	return end != nil && !errors.Is(*end, os.ErrDeadlineExceeded)
}

// repeat does work that may be done twice without harm, and does it again on
// a new connection if its own was lost meanwhile: those in the pool may be
// lost, too, and not know it yet. It is not for mkdir, rename, remove or
// create, where a repeat after a lost answer would let two programs both win.
//
// A failed connect or logon ends it. Put the connection, which may be nil.
func repeat[T any](ctx context.Context, f *Fs, share string, work func(*conn) (T, error)) (T, *conn, error) {
	return repeatOn(f.repeats(), func(isFirst bool) (*conn, error) {
		if isFirst {
			return f.getConnection(ctx, share)
		}
		return f.freshConnection(ctx, share)
	}, work)
}

func repeatOn[T any](tries int, connect func(isFirst bool) (*conn, error), work func(*conn) (T, error)) (result T, cn *conn, err error) {
	for isFirst := true; ; isFirst = false {
		cn, err = connect(isFirst)
		if err != nil {
			return result, nil, err
		}
		result, err = work(cn)
		if err == nil || tries == 0 || !cn.wire.wasLost() {
			return result, cn, err
		}
		fs.Debugf(nil, "Connection lost, repeating on another one: %v", err)
		tries--
	}
}

func (f *Fs) freshConnection(ctx context.Context, share string) (c *conn, err error) {
	err = f.pacer.Call(func() (bool, error) {
		c, err = f.newConnection(ctx, share)
		return err != nil, err
	})
	return c, err
}

// makeDir makes a directory, and those above it that are missing. Only the
// looks are repeated. A directory that another has made meanwhile is fine.
func (f *Fs) makeDir(ctx context.Context, share, name string) error {
	missing, cn, err := repeat(ctx, f, share, func(cn *conn) (missing []string, err error) {
		for at := name; at != ""; at = at[:max(0, strings.LastIndexByte(at, '\\'))] {
			found, err := cn.smbShare.Stat(at)
			if err == nil && !found.IsDir() {
				return nil, &os.PathError{Op: "mkdir", Path: at, Err: syscall.ENOTDIR}
			}
			if err == nil {
				return missing, nil
			}
			if !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			missing = append(missing, at)
		}
		return missing, nil
	})
	for i := len(missing) - 1; err == nil && i >= 0; i-- {
		err = cn.smbShare.Mkdir(missing[i], 0o755)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	f.putConnection(&cn, err)
	return err
}

func (f *Fs) repeats() int {
	return fs.GetConfig(f.ctx).LowLevelRetries
}

// pauseAtMost is the longest pause between two connects. Where connects are
// repeated (a carrier holds those that may still succeed), the last of them
// must not be late: programs wait for its error.
func pauseAtMost(ctx context.Context) time.Duration {
	if fs.GetConfig(ctx).LowLevelRetries > 1 {
		return 100 * time.Millisecond
	}
	return maxSleep
}

// reader reads a file, and goes on at the same offset on another connection
// when its own is lost.
type reader struct {
	fs     *Fs
	ctx    context.Context
	share  string
	name   string
	offset int64
	left   int64 // bytes that are still wanted; -1: all
	pin    *pin
	cn     *conn // nil: it was lost
	file   *smb2.File
}

func (r *reader) open() (err error) {
	r.file, r.cn, err = repeat(r.ctx, r.fs, r.share, func(cn *conn) (*smb2.File, error) {
		return cn.smbShare.OpenFile(r.name, os.O_RDONLY, 0)
	})
	if err == nil && !r.pin.holds(r.file.Opened()) {
		err = errReplaced
		_ = r.file.Close()
	}
	if err != nil {
		r.fs.putConnection(&r.cn, err)
		return fmt.Errorf("failed to open: %w", err)
	}
	return nil
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left > 0 {
		p = p[:min(int64(len(p)), r.left)]
	}
	n, err = r.readOn(p)
	if r.left > 0 {
		r.left -= int64(n)
	}
	return n, err
}

// RangeSeek goes on elsewhere in the same file, whatever has its name now.
func (r *reader) RangeSeek(ctx context.Context, offset int64, whence int, length int64) (int64, error) {
	if whence != io.SeekStart {
		return 0, fs.ErrorNotImplemented
	}
	r.offset, r.left = offset, max(length, -1)
	if length == 0 {
		r.left = -1
	}
	return offset, nil
}

func (r *reader) readOn(p []byte) (n int, err error) {
	for tries := r.fs.repeats(); ; tries-- {
		if r.cn == nil {
			if err = r.open(); err != nil {
				return 0, err
			}
		}
		// All that was read, or nothing and an error.
		n, err = r.file.ReadAt(p, r.offset)
		r.offset += int64(n)
		if err == nil || err == io.EOF || !r.cn.wire.wasLost() {
			return n, err
		}
		r.cn = nil
		if tries == 0 {
			return 0, err
		}
	}
}

func (r *reader) Close() (err error) {
	if r.cn == nil {
		return nil
	}
	// With its connection the server's handle ends, too.
	if !r.cn.wire.hasEnded() {
		err = r.file.Close()
	}
	if r.cn.wire.hasEnded() {
		err = nil
	}
	r.fs.putConnection(&r.cn, err)
	return err
}
