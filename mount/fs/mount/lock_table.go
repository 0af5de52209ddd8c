package mount

import (
	"slices"

	smb2 "github.com/cloudsoda/go-smb2"
)

// lock is a range of a file that a program has locked, from start to end, both included.
type lock struct {
	// The kernel's id of a process (fcntl) or open file (flock).
	owner       uint64
	start, end  uint64
	isExclusive bool
	by          *handle
	pid         uint32
	// The program still waits for it; no other program of this machine gets it first.
	isAwaited bool
}

// awaited is the lock while a program waits for it.
func (l lock) awaited() lock {
	l.isAwaited = true
	return l
}

func (l lock) overlaps(other lock) bool { return l.start <= other.end && other.start <= l.end }

// lockTable has all locks of a file by programs of this machine.
type lockTable []lock

// conflict is a lock of another program, or one that it waits for, that excludes want.
func (t lockTable) conflict(want lock) (lock, bool) {
	for _, each := range t {
		if each.owner != want.owner && each.overlaps(want) && (each.isExclusive || want.isExclusive) {
			return each, true
		}
	}
	return lock{}, false
}

// without is the table once that owner has unlocked a range.
func (t lockTable) without(owner, start, end uint64) lockTable {
	next := lockTable{}
	for _, each := range t {
		if each.owner != owner || each.isAwaited || each.start > end || each.end < start {
			next = append(next, each)
			continue
		}
		if left := each; each.start < start {
			left.end = start - 1
			next = append(next, left)
		}
		if right := each; each.end > end {
			right.start = end + 1
			next = append(next, right)
		}
	}
	return next
}

// with is the table once want is granted: it replaces locks of its owner in that range, and merges with adjoining ones.
func (t lockTable) with(want lock) lockTable {
	next := lockTable{}
	for _, each := range t.without(want.owner, want.start, want.end) {
		isSame := each.owner == want.owner && each.by == want.by && each.isExclusive == want.isExclusive && !each.isAwaited
		if isSame && (each.end+1 == want.start || want.end+1 == each.start) {
			want.start, want.end = min(want.start, each.start), max(want.end, each.end)
		} else {
			next = append(next, each)
		}
	}
	return append(next, want)
}

// How a byte is locked.
const (
	isFree = iota
	isShared
	isExclusive
)

func (t lockTable) modeAt(at uint64) (mode int) {
	for _, each := range t {
		if !each.isAwaited && each.start <= at && at <= each.end {
			mode = max(mode, modeOf(each.isExclusive))
		}
	}
	return mode
}

func modeOf(exclusive bool) int {
	if exclusive {
		return isExclusive
	}
	return isShared
}

// plan returns which of the server's ranges stay, which to unlock and which to lock, so that they match the table. A server only unlocks ranges that
// were locked exactly so: a range that partly changes is unlocked whole, and its remains are locked.
func (t lockTable) plan(there []smb2.Range) (stay, unlock, lock []smb2.Range) {
	var cuts []uint64
	for _, each := range t {
		cuts = append(cuts, each.start, each.end+1)
	}
	for _, each := range there {
		cuts = append(cuts, each.Start, each.Start+each.Length)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	modes := make([]int, len(cuts))
	for i, at := range cuts {
		modes[i] = t.modeAt(at)
	}
	covered := make([]bool, len(cuts))
	for _, each := range there {
		from, _ := slices.BinarySearch(cuts, each.Start)
		to, _ := slices.BinarySearch(cuts, each.Start+each.Length)
		if slices.ContainsFunc(modes[from:to], func(mode int) bool { return mode != modeOf(each.IsExclusive) }) {
			unlock = append(unlock, each)
			continue
		}
		stay = append(stay, each)
		for i := from; i < to; i++ {
			covered[i] = true
		}
	}
	for i := 0; i+1 < len(cuts); i++ {
		if modes[i] == isFree || covered[i] {
			continue
		}
		next := smb2.Range{Start: cuts[i], Length: cuts[i+1] - cuts[i], IsExclusive: modes[i] == isExclusive}
		if last := len(lock) - 1; last >= 0 && lock[last].Start+lock[last].Length == next.Start && lock[last].IsExclusive == next.IsExclusive {
			lock[last].Length += next.Length
		} else {
			lock = append(lock, next)
		}
	}
	return stay, unlock, lock
}
