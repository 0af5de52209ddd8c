package smb

import (
	"io"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPinHoldsTheFileThatWasOpenedFirst(t *testing.T) {
	at := time.Unix(1_000_000_000, 0)
	first := &smb2.FileStat{CreationTime: at, LastWriteTime: at, EndOfFile: 10}
	for _, test := range []struct {
		name   string
		opened smb2.FileStat
		want   bool
	}{
		{"the same", *first, true},
		{"changed in place", smb2.FileStat{CreationTime: at, LastWriteTime: at.Add(time.Second), EndOfFile: 20}, true},
		{"replaced", smb2.FileStat{CreationTime: at.Add(time.Second), LastWriteTime: at.Add(time.Second), EndOfFile: 10}, false},
		{"of another length", smb2.FileStat{CreationTime: at.Add(time.Second), LastWriteTime: at, EndOfFile: 20}, false},
		{"with a made-up time of creation", smb2.FileStat{CreationTime: at.Add(time.Second), LastWriteTime: at, EndOfFile: 10}, true},
	} {
		p := &pin{}
		assert.True(t, p.holds(first))
		assert.Equal(t, test.want, p.holds(&test.opened), test.name)
	}
}

func TestPinnedObjectsAreOneFile(t *testing.T) {
	o := &Object{remote: "name"}
	to := o.NewPin()
	moved := &Object{remote: "moved"}
	assert.Same(t, o.Pinned(to).(*Object).pin, moved.Pinned(to).(*Object).pin)
	assert.Equal(t, "moved", moved.Pinned(to).Remote())
	assert.Nil(t, o.pin)
}

func TestAReaderSeeksInTheFileThatItHas(t *testing.T) {
	r := &reader{offset: 7, left: 0}
	_, err := r.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "all that was wanted")
	offset, err := r.RangeSeek(t.Context(), 100, io.SeekStart, 50)
	require.NoError(t, err)
	assert.EqualValues(t, 100, offset)
	assert.EqualValues(t, 100, r.offset)
	assert.EqualValues(t, 50, r.left)
	_, err = r.RangeSeek(t.Context(), 0, io.SeekStart, -1)
	require.NoError(t, err)
	assert.EqualValues(t, -1, r.left)
	_, err = r.RangeSeek(t.Context(), 0, io.SeekEnd, -1)
	assert.Error(t, err)
}
