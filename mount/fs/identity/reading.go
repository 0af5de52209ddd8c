package identity

import (
	"cmp"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

const (
	// Entries that are read at the same time, so that a slow route takes few round trips.
	atOnce      = 16
	pagesAtMost = 8
	// How many files of one folder a record has: a folder may be emptied or moved as a whole.
	ofFolderAtMost = 8
	// With this many files in the root no folder is searched.
	filesInRoot = 32
	// How many folders are searched at most, and for how long.
	foldersAtMost  = 8
	surveyedWithin = 2 * time.Second
)

// Folders that servers and systems create prove nothing.
var ignored = []string{"lost+found", "$recycle.bin", "#recycle", "@recycle", ".recycle", "recycler", ".trash", "system volume information"}

func isIgnored(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(ignored, name) || strings.HasPrefix(name, ".trash-") || strings.HasPrefix(name, ".mountaineer")
}

// ReadRoot reads the root, and those of the entries that are still there.
func ReadRoot(share *smb2.Share, guid [16]byte, entries []Entry) (Reading, error) {
	root, err := share.StatAt("")
	if err != nil {
		return Reading{}, err
	}
	now := Reading{Guid: GuidOf(guid), Root: EntryOf("", root), Found: map[string]Entry{}}
	for batch := range slices.Chunk(entries, atOnce) {
		seen := make([]*smb2.FileStat, len(batch))
		errs := make([]error, len(batch))
		var looks sync.WaitGroup
		for i, each := range batch {
			looks.Go(safely.Of(func() {
				seen[i], errs[i] = safely.Do(func() (*smb2.FileStat, error) { return share.StatAt(each.Path) })
			}))
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
	isProof := func(each Entry) bool { found, ok := now.Found[each.Path]; return ok && each.isUnchanged(found) }
	if now.Count = len(now.Found); slices.ContainsFunc(entries, isProof) {
		return now, nil
	}
	listed, err := ListRoot(share)
	now.Count = len(listed)
	now.Listed = WithFiles(share, listed)
	for _, known := range entries {
		if i := slices.IndexFunc(now.Listed, known.isRenamed); i >= 0 {
			now.Found[known.Path] = now.Listed[i]
		}
	}
	return now, err
}

// ListRoot returns entries of the root, without those that prove nothing.
func ListRoot(share *smb2.Share) ([]Entry, error) { return listFolder(share, "", pagesAtMost) }

// WithFiles adds files of the root's folders and, where these have none, of folders below them, as files prove more than folders, whose ids are
// the same on many disks. It begins with folders that have been unchanged for longest.
func WithFiles(share *smb2.Share, entries []Entry) []Entry {
	until := time.Now().Add(surveyedWithin)
	entries, folders := slices.Clone(entries), foldersOf(entries)
	if len(entries)-len(folders) >= filesInRoot {
		return entries
	}
	for looked := 0; len(folders) > 0 && looked < foldersAtMost && time.Now().Before(until); looked++ {
		at := folders[0]
		folders = folders[1:]
		below, err := listFolder(share, at.Path, 1)
		if err != nil {
			continue
		}
		nested := foldersOf(below)
		if len(nested) == len(below) {
			folders = append(nested, folders...)
		} else {
			folders = append(folders, nested...)
		}
		entries = append(entries, slices.DeleteFunc(below, func(e Entry) bool { return e.Folder })...)
	}
	return entries
}

func foldersOf(entries []Entry) []Entry {
	return slices.DeleteFunc(oldestFirst(entries), func(e Entry) bool { return !e.Folder })
}

func listFolder(share *smb2.Share, at string, pages int) (entries []Entry, err error) {
	folder, err := share.OpenFolder(at)
	if err != nil {
		return nil, err
	}
	for range pages {
		page, e := folder.List()
		if e != nil {
			err = e
			break
		}
		for _, each := range page {
			if !isIgnored(each.FileName) {
				entries = append(entries, EntryOf(path.Join(at, each.FileName), each))
			}
		}
	}
	_, _ = folder.Close()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

func oldestFirst(entries []Entry) []Entry {
	return slices.SortedFunc(slices.Values(entries), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Written, b.Written), strings.Compare(a.Path, b.Path))
	})
}

// LongestUnchanged are the entries for a record, which will most likely be unchanged the next time: files first, and not all of one folder.
func LongestUnchanged(entries []Entry) []Entry {
	var files, others []Entry
	of := map[string]int{}
	for _, each := range oldestFirst(entries) {
		folder := path.Dir(each.Path)
		if isFew := folder == "." || of[folder] < ofFolderAtMost; !each.Folder && isFew {
			of[folder]++
			files = append(files, each)
		} else if each.Folder {
			others = append(others, each)
		}
	}
	files = files[:min(len(files), EntriesAtMost*3/4)]
	return append(files, others[:min(len(others), EntriesAtMost-len(files))]...)
}
