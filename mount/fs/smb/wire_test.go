package smb

import (
	"testing"
	"time"
)

func TestAConnectionIsFastByMostOfItsLongMessages(t *testing.T) {
	const mib = 1 << 20
	var s speed
	now := time.Duration(0)
	comes := func(length int, within time.Duration) {
		s.measure(length/2, length, now, now+within/2)
		s.measure(length-length/2, length-length/2, now+within/2, now+within)
		now += within
	}
	for i, each := range []struct {
		length, times int
		within        time.Duration
		isFast        bool
	}{
		{mib, 5, time.Millisecond, false},
		{mib, 1, time.Millisecond, true},
		{4096, 100, time.Second, true}, // short: it shows nothing
		{mib, 3, 400 * time.Millisecond, true},
		{mib, 1, 400 * time.Millisecond, false},
		{mib, 2, 0, false}, // it was here already
		{128 << 10, 6, 400 * time.Microsecond, true},
		{128 << 10, 8, 2 * time.Millisecond, false},
	} {
		for range each.times {
			comes(each.length, each.within)
		}
		if s.isFast.Load() != each.isFast {
			t.Fatalf("%d: %d of the last", i, s.score)
		}
	}
}
