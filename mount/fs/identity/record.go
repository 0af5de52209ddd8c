// Package identity decides whether a server is the one that a share was mounted from.
//
// A Record is what is known of that server: its GUID, dialect and encryption, the root of the share, and up to 64 entries (names, sizes, times,
// ids). Before the login Refusal compares GUID and dialect. After it ReadRoot reads the root and the known entries (a Reading), and Recognize
// compares the two: creation times prove most, unchanged files prove the server, folders and ids do not suffice. Package client asks all of these
// at each sign-in, before any file is opened again, and keeps the record up to date with Updated and Protect. Nothing here has state or locks;
// only Read, NameMappingOf, Write and Archive touch the disk.
package identity

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"
)

// EntriesAtMost is how many entries a record has.
const EntriesAtMost = 64

// A creation time only proves something if it is this much older than all other times: without one, Samba sends the earliest of those.
const ownBy = 2 * time.Second

// Without creation times, some servers send the same one for all entries: in 1601, 1970 or 1980.
var constantsBefore = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// Entry is a file or folder as the server sent it.
type Entry struct {
	Path    string `json:"path"` // below the root; empty: the root
	Folder  bool   `json:"folder"`
	Size    int64  `json:"size"`
	Written int64  `json:"written"` // Unix ns, as the next one; 0: it is being written
	Created int64  `json:"created"` // 0: it proves nothing
	// The creation time if Created is 0: it may prove something later, once all other times are later.
	Least int64  `json:"least,omitempty"`
	Id    uint64 `json:"id,string"`
}

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

// OwnCreation is the creation time, Unix ns; 0: the server may have derived it from other times.
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

// isUnchanged: other is the same entry, with the same size and times.
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

// NameMapping says by which other characters a share's names have those that servers forbid, such as ":". It stays as long as the share is known.
type NameMapping string

const (
	// RcloneMapping: by similar ones, such as the full-width "：". Records that do not say it are of shares with this mapping.
	RcloneMapping NameMapping = ""
	// SfmMapping: by private ones of Unicode (U+F001 to U+F029), as macOS and the kernel's client (cifs, mapposix) have them.
	SfmMapping NameMapping = "private"
)

// Record is what is known of a server.
type Record struct {
	V    int    `json:"v"`
	Guid string `json:"guid"` // hex; empty: it has none
	// The server makes a new GUID at each start: a person has accepted it with a new one twice. (Once, it may have been renamed.)
	GuidChanges bool   `json:"guid_changes,omitempty"`
	GuidBefore  string `json:"guid_before,omitempty"`
	// Whether ids of files are the same after the server was started again; nil: not known.
	IdsLast *bool `json:"ids_last,omitempty"`
	// The newest dialect that the server has offered, and whether the share was encrypted; empty and false: unknown, or not.
	Dialect   string `json:"dialect,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	// Of the share, whatever server has it.
	NameMapping NameMapping `json:"characters,omitempty"`
	Share       string      `json:"share"`
	Root        Entry       `json:"root"`
	Entries     []Entry     `json:"entries"`
}

const recordVersion = 1

// GuidOf is a GUID in hex; empty: the server has none.
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

// NameMappingOf is the mapping in the share's record, or else in the newest archived one. A new share has SfmMapping.
func NameMappingOf(folder, share string) NameMapping {
	files, _ := os.ReadDir(folder)
	for _, each := range slices.Backward(files) {
		if isRecord, _ := filepath.Match("server*.json", each.Name()); !isRecord {
			continue
		}
		if r := readFile(filepath.Join(folder, each.Name()), share); r != nil {
			return r.NameMapping
		}
	}
	return SfmMapping
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

// Archive renames the record, before that of a new server is written.
func Archive(folder string, now time.Time) error {
	err := os.Rename(fileIn(folder), filepath.Join(folder, now.UTC().Format("server-20060102T150405Z.json")))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// replace replaces a file atomically.
func replace(path string, text []byte) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = cmp.Or(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(next, path)
	}
	return err
}
