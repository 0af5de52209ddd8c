// Package identity decides whether a server is the one that a share was mounted from.
//
// A Record is what is known of that server: its GUID, dialect and encryption, the root of the share, and up to 64 entries (names, sizes, times,
// ids). Before the login Refusal compares GUID and dialect. After it ReadRoot reads the root and the known entries (a Reading), and Recognize
// compares the two: creation times prove most, unchanged files prove the server, folders and ids do not suffice. Package client asks all of these
// at each sign-in, before any file is opened again, and keeps the record up to date with Learn and Protect. Nothing here has state or locks;
// only Read, CharactersOf, Write and Archive touch the disk.
package identity

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// EntriesAtMost is how many entries are remembered: the longest unchanged.
const EntriesAtMost = 64

// A creation time proves something only if it is this much older than all other times: Samba answers the least of them where it has none.
const ownBy = 2 * time.Second

// Where servers have no creation times, some give the same one for all entries: the year 1601, 1970 or 1980.
var constantsBefore = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// Entry is a file or folder as the server showed it.
type Entry struct {
	Path    string `json:"path"` // below the root; empty: the root
	Folder  bool   `json:"folder"`
	Size    int64  `json:"size"`
	Written int64  `json:"written"` // Unix ns, as the next one; 0: it is being written
	Created int64  `json:"created"` // 0: it proves nothing
	// The creation time that the server gave where it may have made it up. It proves something once all other times are later.
	Least int64  `json:"least,omitempty"`
	Id    uint64 `json:"id,string"`
}

// EntryOf keeps what is compared.
func EntryOf(path string, seen *smb2.FileStat) Entry {
	e := Entry{Path: path, Folder: seen.IsDir(), Written: seen.LastWriteTime.UnixNano(), Id: seen.FileId, Created: OwnCreation(seen)}
	if !e.Folder {
		e.Size = seen.EndOfFile
	}
	if e.Created == 0 {
		e.Least = seen.CreationTime.UnixNano()
	}
	return e
}

// OwnCreation is the time at which a file was made, Unix ns; 0: the server may have made it up.
func OwnCreation(seen *smb2.FileStat) int64 {
	if seen.CreationTime.Before(constantsBefore) {
		return 0
	}
	for _, each := range []time.Time{seen.LastAccessTime, seen.LastWriteTime, seen.ChangeTime} {
		if each.Sub(seen.CreationTime) < ownBy {
			return 0
		}
	}
	return seen.CreationTime.UnixNano()
}

// isAs: nothing has happened to it.
func (e Entry) isUnchanged(other Entry) bool {
	if e.Written == 0 {
		return e.Folder == other.Folder && e.Id == other.Id && e.Size <= other.Size && e.Size > 0
	}
	return e.Folder == other.Folder && e.Size == other.Size && e.Written == other.Written
}

// isRenamed: it is this file under another name.
func (e Entry) isRenamed(other Entry) bool {
	return !e.Folder && e.Written != 0 && e.Id != 0 && e.Id == other.Id && e.isUnchanged(other)
}

// Characters says by what a share's names on the server have the characters that no server has in one. It stays as long as the share is known.
type Characters string

const (
	// Similar ones, in shares that were known before there were others: their records do not say it.
	Similar Characters = ""
	// Private ones of Unicode, as Macs and the kernel's client have them.
	Private Characters = "private"
)

// Record is what is remembered of a server.
type Record struct {
	V    int    `json:"v"`
	Guid string `json:"guid"` // hex; empty: it has none
	// The server makes a new GUID when it starts, as a person has let it in with another one twice: once, it was renamed.
	GuidChanges bool   `json:"guid_changes,omitempty"`
	GuidBefore  string `json:"guid_before,omitempty"`
	// Whether ids of files are the same after the server was started again; nil: not known.
	IdsLast *bool `json:"ids_last,omitempty"`
	// The newest dialect that it has offered, and whether the share was encrypted; empty and false: not known, or not.
	Dialect   string `json:"dialect,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	// Of the share, whichever server has it.
	Characters Characters `json:"characters,omitempty"`
	Share      string     `json:"share"`
	Root       Entry      `json:"root"`
	Entries    []Entry    `json:"entries"`
}

const recordVersion = 1

// GuidOf writes a GUID; empty: there is none.
func GuidOf(guid [16]byte) string {
	if guid == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(guid[:])
}

func fileIn(folder string) string { return filepath.Join(folder, "server.json") }

// Read returns the record of a share; nil: there is none for a share of that name.
func Read(folder, share string) *Record { return readFile(fileIn(folder), share) }

func readFile(file, share string) *Record {
	text, err := os.ReadFile(file)
	var r Record
	if err != nil || json.Unmarshal(text, &r) != nil || r.V != recordVersion || r.Share != share {
		return nil
	}
	return &r
}

// CharactersOf are those of a share: of its record, or else of the newest archived one. A new share has private ones.
func CharactersOf(folder, share string) Characters {
	files, _ := os.ReadDir(folder)
	for _, each := range slices.Backward(files) {
		if isRecord, _ := filepath.Match("server*.json", each.Name()); !isRecord {
			continue
		}
		if r := readFile(filepath.Join(folder, each.Name()), share); r != nil {
			return r.Characters
		}
	}
	return Private
}

// Write replaces the record in one step.
func (r Record) Write(folder string) error {
	r.V = recordVersion
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replace(fileIn(folder), append(text, '\n'))
}

// Archive keeps the record of the server before, next to that of a new one.
func Archive(folder string, now time.Time) error {
	err := os.Rename(fileIn(folder), filepath.Join(folder, now.UTC().Format("server-20060102T150405Z.json")))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// replace writes a file that is whole whenever it is read.
func replace(path string, text []byte) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if e := file.Sync(); err == nil {
		err = e
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	return err
}
