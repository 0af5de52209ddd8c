package mount

import (
	"cmp"
	"context"
	"errors"
	"log"
	"slices"
	"syscall"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/client"
)

// How a reported folder reads its entries, compares them with those before, and reports the differences.

// readNow reads the entries of these names, or of the whole folder.
func (f *reportedFolder) readNow(names map[string]smb2.Change, mustList bool) (now map[string]fileInfo, isWhole bool, err error) {
	now = map[string]fileInfo{}
	use := client.Needs{Session: client.Files, NoWait: true}
	if mustList || len(names) > statAtMost {
		all, err := atPath(context.Background(), f.node, use, func(t client.Attempt, path string) ([]fileInfo, error) { return listAll(t, path, cachedAtMost) })
		if err == nil {
			for _, each := range all {
				if name := f.node.share.mapping.fromServer(each.stat.FileName); !isHidden(name) && !f.node.confirmDeletion(context.Background(), name, each, use) {
					now[name] = each
				}
			}
			return now, true, nil
		}
		if !errors.Is(err, errTooMany) {
			return nil, false, err
		}
	}
	for name := range names {
		info, err := atName(context.Background(), f.node, name, use, statAt)
		if err == nil {
			now[name] = info
		} else if !isAbsent(err) {
			return nil, false, err
		}
	}
	return now, false, nil
}

// report reports how these names differ from before; false: some have to be reported later.
func (f *reportedFolder) report(names map[string]smb2.Change, now map[string]fileInfo) bool {
	if len(f.before) > 2*cachedAtMost {
		f.before, f.isWhole = map[string]entry{}, false
	}
	created, removed, changed := f.differences(names, now)
	isReported := true
	for _, name := range created {
		info := now[name]
		is := report{Do: newFile, Name: name}
		if info.stat.IsDir() {
			is.Do = newFolder
		}
		i := slices.IndexFunc(removed, func(each string) bool { return f.before[each].id == info.stat.FileId && info.stat.FileId != 0 })
		if i >= 0 {
			is = report{Do: movedTo, Name: removed[i], To: name}
			removed = slices.Delete(removed, i, i+1)
		}
		isReported = f.reportOne(is, info) && isReported
	}
	for _, name := range removed {
		is := report{Do: goneFile, Name: name}
		if f.before[name].isFolder {
			is.Do = goneFolder
		}
		isReported = f.reportOne(is, f.before[name].fileInfo()) && isReported
	}
	for _, name := range changed {
		isReported = f.reportOne(report{Do: changedFile, Name: name}, now[name]) && isReported
	}
	return isReported
}

// differences sorts the names by what has happened to them. A name whose earlier entry is unknown existed unless the server's notice says that it
// is new.
func (f *reportedFolder) differences(names map[string]smb2.Change, now map[string]fileInfo) (created, removed, changed []string) {
	for name, notice := range names {
		was, wasThere := f.before[name]
		info, isThere := now[name]
		if !wasThere && !f.isWhole {
			wasThere = !notice.IsNew
			was = entry{}
			if !isThere && wasThere {
				f.before[name] = f.unknownEntry(name)
			}
		}
		_, isSuppressed := f.suppressed[name]
		switch {
		case isSuppressed || !wasThere && !isThere:
		case wasThere && !isThere:
			removed = append(removed, name)
		case isThere && (!wasThere || was.id != 0 && was.id != info.stat.FileId):
			created = append(created, name)
		case entryOf(info.stat) != was && !info.stat.IsDir():
			changed = append(changed, name)
		}
	}
	slices.Sort(removed)
	slices.Sort(created)
	return created, removed, changed
}

// reportOne has the kernel drop its cache and report the change. A change that cannot be reported now is checked again later.
func (f *reportedFolder) reportOne(is report, info fileInfo) bool {
	n := f.node
	is.Folder, is.At = n.Path(nil), info.stat.LastWriteTime
	name := cmp.Or(is.To, is.Name)
	child := n.childOf(name)
	if child != nil && is.Do == changedFile && child.Mode() == syscall.S_IFLNK {
		// The kernel reads its target again, which no program can watch here.
		_ = n.NotifyEntry(name)
		f.before[name] = entryOf(info.stat)
		return true
	}
	if child != nil && is.Do == changedFile {
		child.refresh(info)
		child.dropPages(0)
	}
	err := error(syscall.EEXIST)
	for try := 0; try < 3 && errors.Is(err, syscall.EEXIST); try++ {
		if is.Do == newFile || is.Do == newFolder || is.Do == movedTo && child != nil {
			_ = n.NotifyEntry(name)
		}
		err = n.share.repeats.report(n, is, info)
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ETIMEDOUT) {
		f.checkLater(map[string]smb2.Change{is.Name: {}, name: {}}, false)
		return false
	}
	if err != nil {
		log.Printf("a change by another client is not reported: %v", err)
	}
	delete(f.before, is.Name)
	if is.Do != goneFile && is.Do != goneFolder {
		f.before[name] = entryOf(info.stat)
	}
	return true
}
