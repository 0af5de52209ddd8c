package identity

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/smb"
)

const (
	// Entries that are looked at together, so that a slow route costs few turns.
	atOnce      = 16
	pagesAtMost = 8
)

// What is not on a share because of what people keep there.
var ignored = []string{"lost+found", "$recycle.bin", "#recycle", "@recycle", ".recycle", "recycler", ".trash", "system volume information"}

func isIgnored(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(ignored, name) || strings.HasPrefix(name, ".trash-") || strings.HasPrefix(name, ".mountaineer")
}

// ReadRoot reads the root, and those of the entries that are still there.
func ReadRoot(share *smb2.Share, guid [16]byte, entries []Entry) (Reading, error) {
	root, err := share.Look("")
	if err != nil {
		return Reading{}, err
	}
	now := Reading{Guid: GuidOf(guid), Root: EntryOf("", root), Found: map[string]Entry{}}
	for batch := range slices.Chunk(entries, atOnce) {
		seen := make([]*smb2.FileStat, len(batch))
		errs := make([]error, len(batch))
		var looks sync.WaitGroup
		for i, each := range batch {
			looks.Go(func() { seen[i], errs[i] = share.Look(each.Path) })
		}
		looks.Wait()
		for i, each := range batch {
			switch {
			case errs[i] == nil:
				now.Found[each.Path] = EntryOf(each.Path, seen[i])
			case smb.StatusOf(errs[i]) == 0 || smb.IsLoss(errs[i]):
				return now, errs[i]
			}
		}
	}
	if len(now.Found) == 0 {
		listed, err := ListRoot(share)
		now.Count = len(listed)
		return now, err
	}
	now.Count = len(now.Found)
	return now, nil
}

// ListRoot returns entries of the root, without those that prove nothing.
func ListRoot(share *smb2.Share) (entries []Entry, err error) {
	folder, err := share.OpenFolder("")
	if err != nil {
		return nil, err
	}
	for range pagesAtMost {
		page, e := folder.List()
		if e != nil {
			err = e
			break
		}
		for _, each := range page {
			if !isIgnored(each.FileName) {
				entries = append(entries, EntryOf(each.FileName, each))
			}
		}
	}
	_, _ = folder.Close()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

// Steadiest are the entries that have been unchanged for longest: they are most likely to be unchanged the next time.
func Steadiest(entries []Entry) []Entry {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Written, b.Written), strings.Compare(a.Path, b.Path))
	})
	return sorted[:min(len(sorted), EntriesAtMost)]
}
