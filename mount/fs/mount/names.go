package mount

import (
	"slices"
	"strings"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hanwen/go-fuse/v2/fs"
)

// Servers allow 255 UTF-16 units; most also allow no more than 255 bytes.
const nameAtMost = 255

// A file that is removed while it is open is moved into a folder of the first name, or renamed with the second as prefix. Listings show neither.
const (
	removedFolder = ".mountaineer-removed"
	removedPrefix = "mountaineer-removed-"
	markLength    = 26
)

// isHidden: listings and lookups leave the name out.
func isHidden(name string) bool {
	if strings.EqualFold(name, removedFolder) {
		return true
	}
	return len(name) == len(removedPrefix)+markLength && strings.EqualFold(name[:len(removedPrefix)], removedPrefix)
}

// join returns the path on the server of a name in a folder.
func (m nameMapping) join(folder, name string) (string, error) {
	name, err := m.toServer(name)
	if folder != "" {
		name = folder + "/" + name
	}
	return name, err
}

// pathOfName is the path on the server of a name in this folder.
func (n *node) pathOfName(name string) (string, error) {
	if len(name) > nameAtMost && unitsOf(name) > nameAtMost {
		return "", syscall.ENAMETOOLONG
	}
	if isHidden(name) {
		return "", syscall.ENOENT
	}
	folder, err := n.serverPath()
	if err != nil {
		return "", err
	}
	return n.share.mapping.join(folder, name)
}

// unitsOf is the length of a name in UTF-16 units.
func unitsOf(name string) (units int) {
	for _, r := range name {
		if r == utf8.RuneError {
			units += 3
		} else {
			units += utf16.RuneLen(r)
		}
	}
	return units
}

// serverPath is the path on the server by which the node is reached first.
func (n *node) serverPath() (string, error) {
	paths, err := n.serverPaths()
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// shownPath is its path in the mount, for messages.
func (n *node) shownPath() string {
	path, _ := n.serverPath()
	names := strings.Split(path, "/")
	for i, each := range names {
		names[i] = n.share.mapping.fromServer(each)
	}
	return strings.Join(names, "/")
}

// serverPaths are the paths of all its names, then of its hidden ones. That by which an open file was opened comes first.
func (n *node) serverPaths() (paths []string, err error) {
	if n.IsRoot() {
		return []string{""}, nil
	}
	places := n.Places()
	n.mu.Lock()
	paths = slices.Clone(n.hidden)
	if i := slices.Index(places, n.openedAs); i > 0 {
		places[0], places[i] = places[i], places[0]
	}
	n.mu.Unlock()
	for i, each := range places {
		path, err := n.share.mapping.pathOf(each)
		if err != nil {
			return nil, err
		}
		paths = slices.Insert(paths, i, path)
	}
	if len(paths) == 0 {
		return nil, syscall.ESTALE
	}
	return paths, nil
}

func (m nameMapping) pathOf(place fs.Place) (path string, err error) {
	names := []string{place.Name}
	first := place.Parent
	for at := place.Parent; !at.IsRoot(); {
		first = at
		name, parent := at.Parent()
		if parent == nil {
			// A parent folder was removed.
			return "", syscall.ESTALE
		}
		names = append(names, name)
		at = parent
	}
	path, names = intoVersion(first, names)
	for i := len(names) - 1; i >= 0 && err == nil; i-- {
		path, err = m.join(path, names[i])
	}
	return path, err
}

func folderOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
