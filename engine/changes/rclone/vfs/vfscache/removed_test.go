package vfscache

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARemovedFileKeepsNoMoreThanWhatIsAllowed(t *testing.T) {
	at := keptAtMost
	t.Cleanup(func() { keptAtMost = at })
	for _, keptAtMost = range []int64{90, 89} {
		c, contents, item := openNoted(t, 100)
		write(t, item, 20, "0123456789")
		c.Keep("existing")
		require.NoError(t, item.o.Remove(t.Context()))
		assert.True(t, IsRemoved(c.Detach("existing")))
		read := make([]byte, 100)
		_, err := item.ReadAt(read[:10], 20)
		require.NoError(t, err, "what was written can be read")
		assert.Equal(t, "0123456789", string(read[:10]))
		_, err = item.ReadAt(read, 0)
		if keptAtMost == 90 {
			require.NoError(t, err)
			assert.Equal(t, contents[:20]+"0123456789"+contents[30:], string(read))
		} else {
			assert.Error(t, err, "no zeros in place of what is lacking")
		}
	}
}
