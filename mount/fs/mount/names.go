package mount

import (
	"slices"
	"strings"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hanwen/go-fuse/v2/fs"
)

// No server has longer names; most have none of more than 255 bytes, and say so.
const nameAtMost = 255

// Removed files that are still open are put into folders of that name, or stay in their folder under names that begin as the second one.
// Programs see neither.
const (
	removedFolder = ".mountaineer-removed"
	removedPrefix = "mountaineer-removed-"
	markLength    = 26
)

// isHidden: programs do not see it.
func isHidden(name string) bool {
	if strings.EqualFold(name, removedFolder) {
		return true
	}
	return len(name) == len(removedPrefix)+markLength && strings.EqualFold(name[:len(removedPrefix)], removedPrefix)
}

// join: a path on the server.
func (c characters) join(folder, name string) (string, error) {
	name, err := c.toServer(name)
	if folder != "" {
		name = folder + "/" + name
	}
	return name, err
}

// at is where a name in this folder is on the server.
func (n *node) at(name string) (string, error) {
	if len(name) > nameAtMost && unitsOf(name) > nameAtMost {
		return "", syscall.ENAMETOOLONG
	}
	if isHidden(name) {
		return "", syscall.ENOENT
	}
	folder, err := n.where()
	if err != nil {
		return "", err
	}
	return n.share.characters.join(folder, name)
}

// unitsOf is the length of a name as servers count it.
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

// where this file or folder is on the server: where the kernel knows it, which follows renames, or where it was put when it was removed.
func (n *node) where() (string, error) {
	paths, err := n.everywhere()
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// shownPath is for people: its path in the mount.
func (n *node) shownPath() string {
	path, _ := n.where()
	names := strings.Split(path, "/")
	for i, each := range names {
		names[i] = n.share.characters.fromServer(each)
	}
	return strings.Join(names, "/")
}

// everywhere is where it is by each of its names: of a file that is open first by the one that it was opened by.
func (n *node) everywhere() (paths []string, err error) {
	if n.IsRoot() {
		return []string{""}, nil
	}
	places := n.Places()
	n.mu.Lock()
	paths = slices.Clone(n.hidden)
	if i := slices.Index(places, n.opened); i > 0 {
		places[0], places[i] = places[i], places[0]
	}
	n.mu.Unlock()
	for i, each := range places {
		path, err := n.share.characters.pathOf(each)
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

func (c characters) pathOf(place fs.Place) (path string, err error) {
	names := []string{place.Name}
	first := place.Parent
	for at := place.Parent; !at.IsRoot(); {
		first = at
		name, parent := at.Parent()
		if parent == nil {
			// A folder above it was removed.
			return "", syscall.ESTALE
		}
		names = append(names, name)
		at = parent
	}
	path, names = intoVersion(first, names)
	for i := len(names) - 1; i >= 0 && err == nil; i-- {
		path, err = c.join(path, names[i])
	}
	return path, err
}

func folderOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
