package identity

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Proof says by what a server was recognized, or why not.
type Proof string

const (
	ByCreation Proof = "creation" // creation times that a copy would not have
	ByEntries  Proof = "entries"  // names, sizes and times
	// ByGuid, with the ids of root and folders, is not enough where files were known before: these ids are the same on many disks.
	ByGuid    Proof = "guid"
	First     Proof = "first"
	Different Proof = "different"
	Unproved  Proof = "unproved"
)

// Verdict says whether a reading is of the recorded server.
type Verdict struct {
	Proof Proof
	// The reason, to follow "is another server: ".
	Text string
	// The root has no known entry, like the mount point of a volume that is not mounted yet.
	NothingKnown bool
	// The root has the same id, and nothing contradicts it. A connection that is still alive may prove the server.
	SameRoot bool
	// Whether ids are still the same; nil: unknown.
	sameIds *bool
}

// IsSame: it is the recorded server.
func (v Verdict) IsSame() bool {
	return v.Proof == ByCreation || v.Proof == ByEntries || v.Proof == First
}

// Reading is what was read from a server, to compare it with the record.
type Reading struct {
	Guid  string
	Root  Entry
	Found map[string]Entry // of the known entries, by path
	// How many entries of the root were listed.
	Count int
	// Entries of the share, if none of the known ones is unchanged.
	Listed []Entry
}

// Recognize compares a reading with the record. Entries that have changed prove nothing.
func (r Record) Recognize(now Reading) Verdict {
	root := agreement(r.Root, now.Root)
	if root == differs {
		return Verdict{Proof: Different, Text: "its root was created at another time"}
	}
	c := r.compareEntries(now)
	ids, sameRoot := c.sameIds, r.Root.Id == now.Root.Id
	switch {
	case c.created > 0:
		return Verdict{Proof: ByCreation, sameIds: &ids}
	case root == agrees && sameRoot:
		return Verdict{Proof: ByCreation, sameIds: &ids}
	case c.copied != "" && root != agrees:
		return Verdict{Proof: Different, Text: fmt.Sprintf("its %s is a copy, created at another time", Printable(c.copied))}
	case c.unchanged > 0 && r.IdsLast != nil && *r.IdsLast && !c.sameIds && !sameRoot:
		return Verdict{Proof: Different, Text: "its files are copies, with other numbers"}
	case c.unchanged > 0:
		return Verdict{Proof: ByEntries, sameIds: &ids}
	case !HasFile(r.Entries) && sameRoot && (r.Guid == now.Guid || r.GuidChanges) && (len(r.Entries) == 0 || c.sameIds && !c.otherIds):
		return Verdict{Proof: ByGuid, SameRoot: true, Text: "it has no file by which it could be recognized"}
	case c.present == 0:
		return Verdict{Proof: Different, NothingKnown: now.Count == 0 || !sameRoot, SameRoot: sameRoot, Text: r.missingText(now)}
	}
	return Verdict{Proof: Unproved, SameRoot: sameRoot, Text: r.changedText()}
}

// HasFile: one of the entries is a file. Folders prove less.
func HasFile(entries []Entry) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return !e.Folder })
}

type comparison struct {
	present, unchanged, created int
	copied                      string // the first unchanged entry with another creation time
	sameIds, otherIds           bool   // of one that is unchanged or present
}

func (r Record) compareEntries(now Reading) (c comparison) {
	for _, known := range r.Entries {
		found, ok := now.Found[known.Path]
		if !ok || found.Folder != known.Folder {
			continue
		}
		c.present++
		c.sameIds, c.otherIds = c.sameIds || found.Id == known.Id, c.otherIds || found.Id != known.Id
		created := agreement(known, found)
		// A copy may have been given the creation times.
		if created == agrees && (found.Id == known.Id || r.IdsLast == nil || !*r.IdsLast) {
			c.created++
		}
		if !known.isUnchanged(found) {
			continue
		}
		if created == differs && c.copied == "" {
			c.copied = known.Path
		}
		if created != differs {
			c.unchanged++
		}
	}
	return c
}

type agreed int

const (
	unknown agreed = iota
	agrees
	differs
)

// agreement compares creation times. A known one that may have been derived (Least) counts once all other times are later.
func agreement(known, now Entry) agreed {
	switch {
	case now.Created != 0 && (now.Created == known.Created || now.Created == known.Least):
		return agrees
	case known.Created == 0 || now.Created == 0:
		return unknown
	}
	return differs
}

func (r Record) missingText(now Reading) string {
	switch {
	case len(r.Entries) == 0:
		return "its root is another folder"
	case now.Count == 0:
		return "its root is empty; " + r.proofText()
	case len(r.Entries) == 1:
		return "it has no " + Printable(r.Entries[0].Path)
	}
	return fmt.Sprintf("it has none of %d known entries; %s", len(r.Entries), r.proofText())
}

func (r Record) changedText() string {
	if !HasFile(r.Entries) {
		return "its folders have other numbers, and no file was known"
	}
	return "no known file is as it was; " + r.proofText()
}

// proofText says what would prove the server.
func (r Record) proofText() string {
	return named(r.Entries) + " unchanged would prove it"
}

const namedAtMost = 3

func named(entries []Entry) string {
	var names []string
	for _, each := range entries[:min(len(entries), namedAtMost)] {
		names = append(names, Printable(each.Path))
	}
	return strings.Join(names, " or ")
}

// Shows describes the server for a person: its name, its share, its newest files.
func (now Reading) Shows(share string) string {
	entries := now.Listed
	for _, each := range now.Found {
		if !slices.Contains(entries, each) {
			entries = append(entries, each)
		}
	}
	newest := slices.DeleteFunc(oldestFirst(entries), func(e Entry) bool { return e.Folder })
	slices.Reverse(newest)
	text := fmt.Sprintf("It is %s, share %s, ", NameOf(now.Guid), Printable(share))
	if len(newest) == 0 {
		return text + "without files"
	}
	at := time.Unix(0, newest[0].Written).Format(time.DateOnly)
	return fmt.Sprintf("%snewest files (%s): %s", text, at, strings.ReplaceAll(named(newest), " or ", ", "))
}

// GuidText says how the GUIDs of two servers differ.
func GuidText(now, known string) string {
	return fmt.Sprintf("its id is %q (%s), not %q (%s)", now, NameOf(now), known, NameOf(known))
}

// NameOf is the server's name if the GUID has it, as Samba's does; else the GUID.
func NameOf(guid string) string {
	bytes, _ := hex.DecodeString(guid)
	name := strings.TrimRight(string(bytes), "\x00")
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return guid
	}
	return strings.ToUpper(name)
}

// Updated returns the record after a proof. isRestarted: the server was unreachable before.
func (r Record) Updated(v Verdict, now Reading, entries []Entry, isRestarted bool) Record {
	if isRestarted && v.sameIds != nil && len(r.Entries) > 0 && (v.Proof == ByCreation || v.Proof == ByEntries) {
		r.IdsLast = v.sameIds
	}
	if r.Guid != now.Guid {
		r.GuidChanges, r.GuidBefore = r.GuidChanges || r.GuidBefore != "", r.Guid
	}
	r.Guid, r.Root, r.Entries = now.Guid, withCreation(now.Root, r.Root), entries
	return r
}

// withCreation keeps the known creation time while other times are too close to it.
func withCreation(now, known Entry) Entry {
	if now.Created == 0 && now.Id == known.Id {
		now.Created = known.Created
	}
	return now
}

const shownAtMost = 60

// Printable makes a file name of the server safe and short enough for one line.
func Printable(name string) string {
	shown := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, name)
	if runes := []rune(shown); len(runes) > shownAtMost {
		return string(runes[:shownAtMost]) + "…"
	}
	return shown
}
