package identity

import (
	"fmt"
	"path"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

var (
	then = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	root = Entry{Folder: true, Id: 2, Written: then}
)

func file(name string, id uint64) Entry { return Entry{Path: name, Size: 5, Written: then, Id: id} }

func created(e Entry, at int64) Entry { e.Created = then - at; return e }

func least(e Entry, at int64) Entry { e.Least = then - at; return e }

func folder(name string, id uint64) Entry {
	return Entry{Path: name, Folder: true, Written: then, Id: id}
}

func changed(e Entry) Entry { e.Size, e.Written = 6, then+1; return e }

func reading(root Entry, entries ...Entry) Reading {
	now := Reading{Guid: "nas", Root: root, Found: map[string]Entry{}, Count: len(entries)}
	for _, each := range entries {
		now.Found[each.Path] = each
	}
	return now
}

func record(root Entry, entries ...Entry) Record {
	return Record{Guid: "nas", Root: root, Entries: entries}
}

func TestAServerIsRecognizedByWhatItShows(t *testing.T) {
	yes := true
	for name, one := range map[string]struct {
		known Record
		now   Reading
		proof Proof
		bare  bool
	}{
		"nothing has happened":                                {record(root, file("a", 7)), reading(root, file("a", 7)), ByEntries, false},
		"one of two is unchanged":                             {record(root, file("a", 7), file("b", 8)), reading(root, file("a", 7), changed(file("b", 8))), ByEntries, false},
		"all have changed, a creation time agrees":            {record(root, created(file("a", 7), 1e15)), reading(root, created(changed(file("a", 7)), 1e15)), ByCreation, false},
		"the root was created then":                           {record(created(root, 1e15), file("a", 7)), reading(created(root, 1e15)), ByCreation, false},
		"exFAT gives new ids at each mount":                   {record(root, file("a", 7)), reading(Entry{Folder: true, Id: 9}, file("a", 17)), ByEntries, false},
		"new ids where ids last are a copy":                   {Record{Guid: "nas", Root: root, Entries: []Entry{file("a", 7)}, IdsLast: &yes}, reading(Entry{Folder: true, Id: 9}, file("a", 17)), Different, false},
		"twins: two fresh disks have the same ids":            {record(root, file("a", 11)), reading(root, changed(file("a", 11))), Unproved, false},
		"two empty ones prove only their roots":               {record(root), reading(root), ByGuid, false},
		"another empty one":                                   {record(root), reading(Entry{Folder: true, Id: 9}), Different, true},
		"a root that was created at another time":             {record(created(root, 1e15), file("a", 7)), reading(created(root, 2e15), file("a", 7)), Different, false},
		"a copy: its files were created at another time":      {record(root, created(file("a", 7), 1e15)), reading(root, created(file("a", 7), 2e15)), Different, false},
		"the volume is not there yet":                         {record(root, file("a", 7)), reading(Entry{Folder: true, Id: 9}), Different, true},
		"other files":                                         {record(root, file("a", 7)), reading(root, file("b", 7)), Different, false},
		"a file that is being written has grown":              {record(root, Entry{Path: "a", Id: 7, Size: 5}), reading(root, changed(file("a", 7))), ByEntries, false},
		"a file that was being written is another one by now": {record(root, Entry{Path: "a", Id: 7, Size: 5}), reading(root, changed(file("a", 8))), Unproved, false},
		"a file where a folder was":                           {record(root, Entry{Path: "a", Folder: true, Id: 7, Written: then}), reading(root, file("a", 7)), Different, false},
		// Attacks, and what only looks like one.
		"each folder has gained a file, none was ever known":  {record(root, folder("a", 7)), reading(root, changed(folder("a", 7))), ByGuid, false},
		"the same without its GUID":                           {Record{Guid: "other", Root: root, Entries: []Entry{folder("a", 7)}}, reading(root, changed(folder("a", 7))), Unproved, false},
		"a folder of that name on another disk":               {record(root, folder("a", 7)), reading(root, changed(folder("a", 8))), Unproved, false},
		"a blank disk":                                        {record(root, folder("a", 7), file("a/b", 8)), reading(root), Different, true},
		"a second NAS with folders of these names and ids":    {record(root, folder("a", 7), file("a/b", 8)), reading(root, changed(folder("a", 7)), changed(file("a/b", 8))), Unproved, false},
		"made on the first day, all other times moved":        {record(root, least(file("a", 7), 1e15)), reading(root, created(changed(file("a", 7)), 1e15)), ByCreation, false},
		"a derived time is that of another entry":             {record(root, least(file("a", 7), 1e15)), reading(root, least(changed(file("a", 7)), 1e15)), Unproved, false},
		"a restored backup with its creation times":           {Record{Guid: "nas", Root: root, Entries: []Entry{created(file("a", 7), 1e15)}, IdsLast: &yes}, reading(Entry{Folder: true, Id: 9}, created(file("a", 17), 1e15)), Different, false},
		"a restored backup, where nobody knows that ids last": {record(root, file("a", 7)), reading(Entry{Folder: true, Id: 9}, file("a", 17)), ByEntries, false},
	} {
		verdict := one.known.Recognize(one.now)
		if verdict.Proof != one.proof || verdict.NothingKnown != one.bare {
			t.Errorf("%s: %+v", name, verdict)
		}
		if !verdict.IsSame() && verdict.Text == "" {
			t.Errorf("%s: it does not say why", name)
		}
	}
}

func TestACreationTimeThatAServerGivesToAllProvesNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for year, is := range map[int]bool{1601: false, 1970: false, 1980: false, 2020: true} {
		made := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if own := OwnCreation(&smb2.FileStat{CreationTime: made, LastAccessTime: now, LastWriteTime: now, ChangeTime: now}); own != 0 != is {
			t.Errorf("%d: %d", year, own)
		}
	}
}

func TestARecordHasFilesOfManyFolders(t *testing.T) {
	var entries []Entry
	for i := range 200 {
		entries = append(entries, folder(fmt.Sprint("folder", i), uint64(i)), file(fmt.Sprint("large/", i), uint64(i)))
	}
	entries = append(entries, changed(file("small/last", 7)))
	steadiest := LongestUnchanged(entries)
	of := map[string]int{}
	for _, each := range steadiest {
		of[path.Dir(each.Path)]++
	}
	if len(steadiest) != EntriesAtMost || of["large"] != ofFolderAtMost || of["small"] != 1 {
		t.Errorf("%v", of)
	}
}

func TestWhetherIdsLastIsLearntAtRestarts(t *testing.T) {
	r := record(root, file("a", 7), file("b", 8))
	for name, one := range map[string]struct {
		now         Reading
		isRestarted bool
		last        *bool
	}{
		"the same ids":            {reading(root, file("a", 7), file("b", 8)), true, new(true)},
		"new ids":                 {reading(root, file("a", 17), file("b", 18)), true, new(false)},
		"the server was not away": {reading(root, file("a", 7)), false, nil},
	} {
		next := r.Updated(r.Recognize(one.now), one.now, nil, one.isRestarted)
		if (next.IdsLast == nil) != (one.last == nil) || one.last != nil && *next.IdsLast != *one.last {
			t.Errorf("%s: %v", name, next.IdsLast)
		}
	}
}

func TestASecondNewGuidIsAHabit(t *testing.T) {
	r := record(root, file("a", 7))
	for _, guid := range []string{"nas", "renamed", "renamed", "again"} {
		now := reading(root, file("a", 7))
		now.Guid = guid
		if r = r.Updated(r.Recognize(now), now, r.Entries, false); r.GuidChanges != (guid == "again") {
			t.Errorf("%s: %+v", guid, r)
		}
	}
}

func TestARecordLastsAndIsArchived(t *testing.T) {
	folder := t.TempDir()
	r := record(created(root, 1e15), file("a", 1<<63))
	r.Share = "CORE"
	if err := r.Write(folder); err != nil {
		t.Fatal(err)
	}
	if got := Read(folder, "CORE"); got == nil || got.Entries[0] != r.Entries[0] || got.Root != r.Root {
		t.Errorf("read: %+v", got)
	}
	if Read(folder, "VAULT") != nil {
		t.Error("the record of another share")
	}
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	if err := Archive(folder, now); err != nil {
		t.Fatal(err)
	}
	if Read(folder, "CORE") != nil {
		t.Error("it is still there")
	}
	if err := Archive(folder, now); err != nil {
		t.Errorf("again: %v", err)
	}
}
