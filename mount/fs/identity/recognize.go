package identity

import (
	"fmt"
	"strings"
)

// Proof is by what a server was recognized, or not.
type Proof string

const (
	ByCreation Proof = "creation" // creation times that a copy would not have
	ByEntries  Proof = "entries"  // names, sizes and times
	// ByGuid is not enough where files were known before: ids of roots are the same on many disks.
	ByGuid    Proof = "guid"
	First     Proof = "first"
	Different Proof = "different"
	Unproved  Proof = "unproved"
)

// Verdict says whether a reading is of the recorded server.
type Verdict struct {
	Proof Proof
	// Text says why, after "is another server: ".
	Text string
	// Bare: the root has nothing that is known, as that of a volume that is not there yet.
	Bare bool
	// SameRoot: the root's id agrees, and nothing speaks against it. That is enough while a connection of before still lives.
	SameRoot bool
	// Whether ids are still the same, as far as this can tell; nil: it cannot.
	sameIds *bool
}

// IsSame: it is the recorded server.
func (v Verdict) IsSame() bool {
	return v.Proof == ByCreation || v.Proof == ByEntries || v.Proof == First
}

// Reading is what a server shows now.
type Reading struct {
	Guid  string
	Root  Entry
	Found map[string]Entry // of the entries that were asked for
	// How many entries the root has, as far as it was listed.
	Count int
}

// Recognize compares a reading with what is remembered. Entries that have changed prove nothing.
func (r Record) Recognize(now Reading) Verdict {
	root := agreement(r.Root, now.Root)
	if root == differs {
		return Verdict{Proof: Different, Text: "its root was created at another time"}
	}
	c := r.count(now)
	ids, sameRoot := c.sameIds, r.Root.Id == now.Root.Id
	switch {
	case c.created > 0:
		return Verdict{Proof: ByCreation, sameIds: &ids}
	case root == agrees && sameRoot:
		return Verdict{Proof: ByCreation, sameIds: &ids}
	case c.copied != "" && root != agrees:
		return Verdict{Proof: Different, Text: fmt.Sprintf("its %s is a copy, created at another time", Shown(c.copied))}
	case c.unchanged > 0 && r.IdsLast != nil && *r.IdsLast && !c.sameIds && !sameRoot:
		return Verdict{Proof: Different, Text: "its files are copies, with other numbers"}
	case c.unchanged > 0:
		return Verdict{Proof: ByEntries, sameIds: &ids}
	case len(r.Entries) == 0 && sameRoot:
		return Verdict{Proof: ByGuid, SameRoot: true, Text: "it is empty: nothing in it can be recognized"}
	case c.present == 0:
		return Verdict{Proof: Different, Bare: now.Count == 0 || !sameRoot, SameRoot: sameRoot, Text: r.missingText(now)}
	}
	return Verdict{Proof: Unproved, SameRoot: sameRoot, Text: "nothing in it is as it was"}
}

type counts struct {
	present, unchanged, created int
	copied                      string // the first unchanged entry with another creation time
	sameIds                     bool   // of one that is unchanged or present
}

func (r Record) count(now Reading) (c counts) {
	for _, known := range r.Entries {
		found, ok := now.Found[known.Path]
		if !ok || found.Folder != known.Folder {
			continue
		}
		c.present++
		c.sameIds = c.sameIds || found.Id == known.Id
		created := agreement(known, found)
		if created == agrees {
			c.created++
		}
		if !known.isAs(found) {
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

func agreement(known, now Entry) agreed {
	switch {
	case known.Created == 0 || now.Created == 0:
		return unknown
	case known.Created == now.Created:
		return agrees
	}
	return differs
}

func (r Record) missingText(now Reading) string {
	switch {
	case now.Count == 0 && len(r.Entries) > 0:
		return "its root is empty"
	case len(r.Entries) == 0:
		return "its root is another folder"
	case len(r.Entries) == 1:
		return fmt.Sprintf("it has no %s", Shown(r.Entries[0].Path))
	}
	return fmt.Sprintf("it has none of %d known entries", len(r.Entries))
}

// Learn returns what is remembered after a proof. isRestarted: the server was away in between.
func (r Record) Learn(v Verdict, now Reading, entries []Entry, isRestarted bool) Record {
	if isRestarted && v.sameIds != nil && len(r.Entries) > 0 && (v.Proof == ByCreation || v.Proof == ByEntries) {
		r.IdsLast = v.sameIds
	}
	r.GuidChanges = r.GuidChanges || r.Guid != now.Guid
	r.Guid, r.Root, r.Entries = now.Guid, withCreation(now.Root, r.Root), entries
	return r
}

// withCreation keeps the creation time that was known, while others are too near to it to prove anything.
func withCreation(now, known Entry) Entry {
	if now.Created == 0 && now.Id == known.Id {
		now.Created = known.Created
	}
	return now
}

const shownAtMost = 60

// Shown makes a server's name for a file safe and short for one line.
func Shown(name string) string {
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
