package logins

import (
	"testing"
	"time"
)

func TestAPasswordThatWasJustGivenIsTriedOnce(t *testing.T) {
	now := time.Now()
	refused := record{Refused: []Refusal{{At: now.UnixMilli(), Mark: "one"}, {At: now.UnixMilli(), Mark: "two"}}}
	for _, each := range []struct {
		mark           string
		isNew, isTried bool
	}{{"three", false, false}, {"three", true, true}, {"two", true, false}} {
		if err := refused.judge(each.mark, 0, each.isNew, now); (err == nil) != each.isTried {
			t.Errorf("%+v: %v", each, err)
		}
	}
}
