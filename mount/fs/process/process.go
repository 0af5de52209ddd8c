// Package process distinguishes processes that had the same id one after the other.
package process

import (
	"fmt"
	"os"
	"strings"
)

// StartTime is field 22 of /proc/PID/stat, which distinguishes a process from a later one with the same id.
func StartTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}
