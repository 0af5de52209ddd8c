package smb2

import "testing"

func TestAServerNamesWhatItCopiesAtOnce(t *testing.T) {
	limits := CopyLimits{Chunks: 3, Chunk: 10, Total: 25}
	for length, want := range map[int][]uint32{1: {1}, 10: {10}, 24: {10, 10, 4}, 90: {10, 10, 5}} {
		chunks := limits.chunks(100, 7, length)
		if len(chunks) != len(want) {
			t.Fatalf("%d: %d chunks", length, len(chunks))
		}
		at := int64(0)
		for i, each := range chunks {
			if each.Length != want[i] || each.SourceOffset != 100+at || each.TargetOffset != 7+at {
				t.Errorf("%d: chunk %d is %+v", length, i, each)
			}
			at += int64(each.Length)
		}
	}
}
