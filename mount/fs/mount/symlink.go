package mount

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mountaineer/mount/fs/client"
)

// Links says which symbolic links are shown as such; others are shown as files.
type Links int

const (
	// LinksInside: those whose target is in the share.
	LinksInside Links = iota
	AllLinks
	NoLinks
)

func ParseLinks(text string) (Links, error) {
	for links, name := range []string{"inside", "true", "false"} {
		if text == name {
			return Links(links), nil
		}
	}
	return 0, errors.New("one of inside, true and false")
}

// On the server a symbolic link is a file of this length, in the format of macOS and of the kernel's SMB client (mfsymlinks): XSym, the length and
// digest of the target, the target, and blanks.
const (
	linkLength   = 1067
	linkHead     = "XSym\n%04d\n%x\n"
	linkHeadSize = 5 + 5 + 33
	targetAtMost = linkLength - linkHeadSize
)

func encodeLink(target string) []byte {
	text := fmt.Sprintf(linkHead+"%s", len(target), md5.Sum([]byte(target)), target)
	if len(text) < linkLength {
		text += "\n"
	}
	return append([]byte(text), bytes.Repeat([]byte(" "), linkLength-len(text))...)
}

// decodeLink returns the target; empty: it is not a link.
func decodeLink(data []byte) string {
	var length int
	if len(data) != linkLength {
		return ""
	}
	if _, err := fmt.Sscanf(string(data[:10]), "XSym\n%04d\n", &length); err != nil || length < 1 || length > targetAtMost {
		return ""
	}
	target := string(data[linkHeadSize:][:length])
	if strings.ContainsRune(target, 0) || !bytes.Equal(encodeLink(target)[:linkHeadSize], data[:linkHeadSize]) {
		return ""
	}
	return target
}

// symlink is what was read of a file that may be a link, with the times of the file at that moment.
type symlink struct {
	target           string // also if it is shown as a file
	changed, written time.Time
	isKnown          bool
}

func (f fileInfo) isLink() bool { return f.target != nil && *f.target != "" }

// store keeps what was read of the file, if it was read. The caller holds the node's mu.
func (l *symlink) store(info fileInfo) {
	if info.target != nil && info.read != nil {
		*l = symlink{*info.read, info.stat.ChangeTime, info.stat.LastWriteTime, true}
	}
}

func (s *Share) mayBeLink(info fileInfo) bool {
	return s.Links != NoLinks && info.stat.EndOfFile == linkLength && !info.stat.IsDir()
}

// resolved adds to info whether the file at that name in the folder n is a symbolic link. An open file is not.
func (n *node) resolved(ctx context.Context, name string, info fileInfo) (fileInfo, error) {
	child := n.childOf(name)
	isKnown := child != nil && child.isSame(info)
	target, read := "", ""
	info.target = &target
	if !n.share.mayBeLink(info) || isKnown && len(child.handles()) > 0 {
		return info, nil
	}
	info.read = &read
	if isKnown {
		if read, isKnown = child.knownTarget(info); isKnown {
			target = n.shownTarget(read)
			return info, nil
		}
	}
	data, err := atName(ctx, n, name, reading, func(t client.Attempt, path string) ([]byte, error) { return t.Share.ReadSmall(path, linkLength+1) })
	if err != nil && !isDenied(err) {
		return info, err
	}
	read = decodeLink(data)
	target = n.shownTarget(read)
	return info, nil
}

// knownTarget is what was read of the file, if it has not changed since.
func (n *node) knownTarget(info fileInfo) (target string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.symlink
	return known.target, known.isKnown && known.changed.Equal(info.stat.ChangeTime) && known.written.Equal(info.stat.LastWriteTime)
}

// shownTarget is empty for a link that is shown as a file.
func (n *node) shownTarget(target string) string {
	if n.share.Links == LinksInside && n.isOutside(target) {
		return ""
	}
	return target
}

// isOutside: a link in this folder with that target may lead out of the share. So may .. after a name, which may be a link.
func (n *node) isOutside(target string) bool {
	folder, err := n.serverPath()
	if err != nil || strings.HasPrefix(target, "/") {
		return true
	}
	depth := 0
	if folder != "" {
		depth = 1 + strings.Count(folder, "/")
	}
	isBelow := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || isBelow {
				return true
			}
		default:
			isBelow = true
		}
	}
	return false
}

var (
	_ fs.NodeSymlinker  = (*node)(nil)
	_ fs.NodeReadlinker = (*node)(nil)
)

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	n.mu.Lock()
	target := n.symlink.target
	n.mu.Unlock()
	// It may have been moved since it was looked up.
	if parent, _ := n.folder(); parent == nil || parent.shownTarget(target) == "" {
		return nil, syscall.ESTALE
	}
	return []byte(target), 0
}

// Symlink refuses targets that would be shown as a file.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.share.Links == NoLinks || n.shownTarget(target) == "" {
		return nil, syscall.EPERM
	}
	if len(target) > targetAtMost {
		return nil, syscall.ENAMETOOLONG
	}
	data, mark := encodeLink(target), newMark()
	makeLink := func(t client.Attempt, path string) (fileInfo, error) {
		stat, err := t.Share.MakeSmall(path, data, mark.time(t.Conn))
		if t.IsRetry && isTaken(err) {
			// An earlier attempt may have made it, or only an empty file.
			if _, err = mark.findMade(t.Conn, path, err); err == nil {
				err = t.Share.Delete(path, false)
			}
			if err == nil {
				stat, err = t.Share.MakeSmall(path, data, mark.time(t.Conn))
			}
		}
		if err != nil {
			return fileInfo{}, err
		}
		info := infoOn(t.Conn, stat)
		info.target, info.read = &target, &target
		return info, nil
	}
	info, err := createOnceFree(ctx, n, name, func() (fileInfo, error) { return atName(ctx, n, name, changing, makeLink) })
	return n.answerMade(ctx, name, info, err, out)
}
