package mount

import (
	"math/rand"
	"testing"

	smb2 "github.com/cloudsoda/go-smb2"
)

// Random locks of three programs: each byte is locked as POSIX says, and the server's locks, which are unlocked only as they were locked,
// are always those of the table.
func TestLockTable(t *testing.T) {
	const bytes = 12
	for seed := range int64(300) {
		random := rand.New(rand.NewSource(seed))
		table, there := lockTable{}, []smb2.Range{}
		var model [3][bytes]int
		for range 60 {
			owner := random.Intn(3)
			start := random.Intn(bytes)
			want := lock{owner: uint64(owner), start: uint64(start), end: uint64(start + random.Intn(bytes-start)), isExclusive: random.Intn(2) == 0}
			mode := modeOf(want.isExclusive)
			if random.Intn(3) == 0 {
				mode = isFree
				table = table.without(want.owner, want.start, want.end)
			} else {
				isRefused := false
				for other := range model {
					for at := want.start; at <= want.end; at++ {
						isRefused = isRefused || other != owner && model[other][at]+mode > isExclusive && model[other][at] > isFree
					}
				}
				if _, is := table.conflict(want); is != isRefused {
					t.Fatalf("seed %d: %+v of %+v: refused %v", seed, want, table, is)
				} else if is {
					continue
				}
				table = table.with(want)
			}
			for at := want.start; at <= want.end; at++ {
				model[owner][at] = mode
			}
			stay, _, more := table.plan(there)
			there = append(stay, more...)
			for at := range bytes {
				wanted, server := max(model[0][at], model[1][at], model[2][at]), isFree
				for _, each := range there {
					if each.Start <= uint64(at) && uint64(at) < each.Start+each.Length {
						server = max(server, modeOf(each.IsExclusive))
					}
				}
				if wanted != server {
					t.Fatalf("seed %d: byte %d is locked as %d, the server's %d", seed, at, wanted, server)
				}
			}
			for i, each := range table {
				for _, other := range table[i+1:] {
					if each.owner == other.owner && each.overlaps(other) {
						t.Fatalf("seed %d: %+v", seed, table)
					}
				}
			}
		}
	}
}
