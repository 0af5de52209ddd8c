//go:build linux || (darwin && amd64)

package mount2

import (
	"strings"

	"github.com/rclone/rclone/fs/fserrors"
)

// isNoSpace returns whether the cache's disk is full. The cache also says so
// in words alone.
func isNoSpace(err error) bool {
	return fserrors.IsErrNoSpace(err) || strings.HasSuffix(err.Error(), "no space left on device")
}
