package logins

import (
	"context"
	"errors"
	"testing"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"mountaineer/mount/fs/smb"
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

// A14: the login of a program that hangs may still be refused, so that it counts as one of two until its result is recorded.
func TestAProgramThatHangsWhileItSignsInIsPassedOver(t *testing.T) {
	refused := smb.Fail(smb.LogonFailure, errors.New("refused"))
	for _, each := range []struct {
		outcome error
		held    string // of a third login
	}{{refused, smb.LogonHeld}, {nil, ""}} {
		folder := t.TempDir()
		enter := func(password string) (smb.Turn, string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got, err := New(folder, "user", "", password).Enter(ctx, smb2.Server{}, smb.Route{})
			if errors.Is(err, context.DeadlineExceeded) {
				return got, "waits"
			} else if err != nil {
				return got, smb.CodeOf(err)
			}
			return got, ""
		}
		is := func(what, got, want string) {
			if got != want {
				t.Fatalf("%s: %q, not %q", what, got, want)
			}
		}
		first, _ := enter("one")
		_, code := enter("two")
		is("beside one that has just begun", code, "waits")
		hangs := first.(*turn)
		r := hangs.read()
		r.TurnAt -= hangsFrom.Milliseconds()
		hangs.at = r.TurnAt
		hangs.write(r)
		second, code := enter("two")
		is("beside one that hangs", code, "")
		_, code = enter("three")
		is("beside the second", code, "waits")
		second.Ended(refused)
		_, code = enter("three")
		is("after the second", code, smb.LogonHeld)
		hangs.Ended(each.outcome)
		_, code = enter("three")
		is("after both", code, each.held)
	}
}
