package vfs

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAReaderFromBeforeAWriteReadsWhatWasWritten(t *testing.T) {
	r, vfs := newRenameVFS(t)
	r.WriteObject(context.Background(), "file", strings.Repeat("a", 100_000), t1)
	reader, err := vfs.OpenFile("file", os.O_RDONLY, 0)
	require.NoError(t, err)
	read := func(off int64) string {
		text := make([]byte, 5)
		n, _ := reader.ReadAt(text, off)
		return string(text[:n])
	}
	assert.Equal(t, "aaaaa", read(0))
	writer, err := vfs.OpenFile("file", os.O_RDWR, 0)
	require.NoError(t, err)
	assert.Equal(t, "aaaaa", read(5))
	for off, text := range map[int64]string{40_000: "XXXXX", 100_000: "more"} {
		_, err = writer.WriteAt([]byte(text), off)
		require.NoError(t, err)
	}
	for _, when := range []string{"written", "closed", "sent"} {
		switch when {
		case "closed":
			require.NoError(t, writer.Close())
		case "sent":
			assert.Len(t, sentOf(t, r, vfs, "file"), 100_004)
		}
		assert.Equal(t, "XXXXX", read(40_000), when)
		assert.Equal(t, "more", read(100_000), when)
		assert.Equal(t, "aaaaa", read(10), when)
	}
	require.NoError(t, reader.Close())
}
