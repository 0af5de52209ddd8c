package smb

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errLost = errors.New("connection error: EOF")

// poolOf makes an Fs with connections that need no server. A further
// connection is refused.
func poolOf(t *testing.T, repeats int, count int) (*Fs, []*conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	ctx, config := fs.AddConfig(context.Background())
	config.LowLevelRetries = repeats
	f := &Fs{ctx: ctx, opt: Options{Host: host, Port: port}, pacer: fs.NewPacer(ctx, nil)}
	for range count {
		_, client := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		f.pool = append(f.pool, &conn{shareName: "share", wire: &watched{Conn: client}})
	}
	return f, append([]*conn(nil), f.pool...)
}

func TestWatchedNotesAResetWhileItReads(t *testing.T) {
	server, client := net.Pipe()
	w := &watched{Conn: client}
	ended := make(chan error)
	go func() {
		_, err := w.Read(make([]byte, 1))
		ended <- err
	}()
	assert.False(t, w.hasEnded())
	require.NoError(t, server.Close())
	require.Error(t, <-ended)
	assert.True(t, w.hasEnded())
	assert.True(t, w.wasLost())
	_, err := client.Write([]byte{1})
	assert.ErrorIs(t, err, io.ErrClosedPipe, "it is closed, too")
}

func TestSilenceIsNoLoss(t *testing.T) {
	_, client := net.Pipe()
	w := &watched{Conn: client}
	require.NoError(t, w.SetDeadline(time.Now()))
	_, err := w.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.True(t, w.hasEnded())
	assert.False(t, w.wasLost())
}

func TestAnEndedConnectionIsNeverTakenFromThePool(t *testing.T) {
	f, all := poolOf(t, 1, 2)
	_ = all[0].wire.note(errLost)
	got, err := f.getConnection(f.ctx, "share")
	require.NoError(t, err)
	assert.Same(t, all[1], got)
	assert.Empty(t, f.pool)
}

func TestAnEndedConnectionIsNeverPutIntoThePool(t *testing.T) {
	f, _ := poolOf(t, 1, 1)
	got, err := f.getConnection(f.ctx, "share")
	require.NoError(t, err)
	_ = got.wire.note(errLost)
	f.putConnection(&got, nil)
	assert.Nil(t, got)
	assert.Empty(t, f.pool)
}

// endsAt returns work whose first connections are lost
func endsAt(losses int, end error) (work func(*conn) (string, error), calls *int) {
	calls = new(int)
	return func(cn *conn) (string, error) {
		*calls++
		if *calls > losses {
			return "done", nil
		}
		_ = cn.wire.note(end)
		return "", errLost
	}, calls
}

// inTurn gives these connections one after the other
func inTurn(all []*conn) func(bool) (*conn, error) {
	next := 0
	return func(isFirst bool) (*conn, error) {
		next++
		if isFirst != (next == 1) {
			return nil, errors.New("only the first connect is the first")
		}
		return all[next-1], nil
	}
}

func TestWorkIsRepeatedOnAnotherConnection(t *testing.T) {
	_, all := poolOf(t, 2, 3)
	work, calls := endsAt(2, errLost)
	result, cn, err := repeatOn(2, inTurn(all), work)
	require.NoError(t, err)
	assert.Equal(t, "done", result)
	assert.Same(t, all[2], cn)
	assert.Equal(t, 3, *calls)
}

func TestWorkIsRepeatedAsOftenAsAsked(t *testing.T) {
	f, all := poolOf(t, 1, 3)
	work, calls := endsAt(2, errLost)
	_, cn, err := repeatOn(1, inTurn(all), work)
	assert.ErrorIs(t, err, errLost)
	assert.Equal(t, 2, *calls)
	f.pool = nil
	f.putConnection(&cn, err)
	assert.Empty(t, f.pool)
}

func TestWorkIsRepeatedOnNoneOfThePool(t *testing.T) {
	f, all := poolOf(t, 1, 3)
	work, calls := endsAt(1, errLost)
	_, _, err := repeat(f.ctx, f, "share", work)
	assert.ErrorContains(t, err, "couldn't connect SMB")
	assert.Equal(t, 1, *calls)
	assert.Equal(t, all[1:], f.pool)
}

func TestWorkIsNotRepeatedAfterSilence(t *testing.T) {
	f, _ := poolOf(t, 2, 3)
	work, calls := endsAt(1, os.ErrDeadlineExceeded)
	_, _, err := repeat(f.ctx, f, "share", work)
	assert.ErrorIs(t, err, errLost)
	assert.Equal(t, 1, *calls)
}

func TestWorkIsNotRepeatedOnALivingConnection(t *testing.T) {
	f, all := poolOf(t, 2, 1)
	calls := 0
	_, cn, err := repeat(f.ctx, f, "share", func(*conn) (string, error) {
		calls++
		return "", os.ErrNotExist
	})
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.Equal(t, 1, calls)
	f.putConnection(&cn, err)
	assert.Equal(t, all, f.pool)
}

func TestAFailedConnectEndsTheRepeats(t *testing.T) {
	f, _ := poolOf(t, 1, 1)
	work, calls := endsAt(1, errLost)
	_, cn, err := repeat(f.ctx, f, "share", work)
	assert.ErrorContains(t, err, "couldn't connect SMB")
	assert.Nil(t, cn)
	assert.Equal(t, 1, *calls)
	f.putConnection(&cn, err)
}

func TestAReadThatLostItsConnectionMayBeClosed(t *testing.T) {
	f, all := poolOf(t, 1, 1)
	_ = all[0].wire.note(errLost)
	r := &reader{fs: f, ctx: f.ctx, share: "share", cn: all[0]}
	f.pool = nil
	assert.NoError(t, r.Close())
	assert.Empty(t, f.pool)
}
