package main

import (
	"strings"
	"syscall"

	"github.com/rclone/rclone/lib/encoder"
)

// table replaces what a server cannot have in a name by characters that look alike: the ones of the driver rclone, which shares these files.
const table = encoder.EncodeSlash | encoder.EncodeLtGt | encoder.EncodeDoubleQuote | encoder.EncodeColon | encoder.EncodeQuestion |
	encoder.EncodeAsterisk | encoder.EncodePipe | encoder.EncodeBackSlash | encoder.EncodeCtl | encoder.EncodeRightSpace |
	encoder.EncodeInvalidUtf8 | encoder.EncodeRightPeriod

const nameAtMost = 255

// removedFolder holds files that were removed while they are open. Programs do not see it.
const removedFolder = ".mountaineer-removed"

// No name here has these: the characters that stand for them stay.
var (
	alike = strings.NewReplacer("\x00", "␀", "/", "／")
	meant = strings.NewReplacer("␀", "\x00", "／", "/")
)

// nameOnServer has another name there for each name here.
func nameOnServer(name string) string {
	if name == "．" || name == ".．" {
		return name
	}
	return table.Encode(meant.Replace(name))
}

func nameHere(name string) string {
	here := alike.Replace(table.Decode(name))
	if here == "." || here == ".." {
		return name
	}
	return here
}

// join: a path on the server.
func join(folder, name string) string {
	if folder == "" {
		return nameOnServer(name)
	}
	return folder + "/" + nameOnServer(name)
}

// at is where a name in this folder is on the server.
func (n *node) at(name string) (string, error) {
	if len(name) > nameAtMost {
		return "", syscall.ENAMETOOLONG
	}
	folder, err := n.where()
	if err != nil {
		return "", err
	}
	if folder == "" && strings.EqualFold(name, removedFolder) {
		return "", syscall.ENOENT
	}
	return join(folder, name), nil
}

// where this file or folder is on the server. It is where the kernel knows it, which follows renames.
func (n *node) where() (string, error) {
	n.mu.Lock()
	removed := n.removed
	n.mu.Unlock()
	if removed != "" {
		return removed, nil
	}
	var names []string
	for at := n.EmbeddedInode(); !at.IsRoot(); {
		name, parent := at.Parent()
		if parent == nil {
			// It was replaced, or a folder above it was removed.
			return "", syscall.ESTALE
		}
		names = append(names, name)
		at = parent
	}
	path := ""
	for i := len(names) - 1; i >= 0; i-- {
		path = join(path, names[i])
	}
	return path, nil
}
