package safely

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Goroutines that are started without package safely: they cannot panic. Serve answers the kernel: without it nothing would.
var mayRunBare = regexp.MustCompile(`^(safely\.(Of|Again)\(.*|.*\.[rR]eset|cancel|func\(\) \{ safely\(.*|s\.server\.Serve)$`)

func TestEveryGoroutineOutlivesAPanic(t *testing.T) {
	// A server of a test, and this package.
	exempt := regexp.MustCompile(`_test\.go$|^\.\./(rig|safely)/`)
	for _, folder := range []string{"..", "../../../go-smb2"} {
		_ = filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(file, ".go") || exempt.MatchString(file) {
				return err
			}
			for _, each := range bareGoroutines(t, file) {
				t.Errorf("%s runs outside of Safely", each)
			}
			return nil
		})
	}
	if len(bareGoroutines(t, "testdata/bare.go")) != 4 {
		t.Errorf("found %q", bareGoroutines(t, "testdata/bare.go"))
	}
}

func bareGoroutines(t *testing.T, file string) (bare []string) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(n ast.Node, what string) {
		if !mayRunBare.MatchString(what) {
			bare = append(bare, fmt.Sprintf("%s: %s", files.Position(n.Pos()), what))
		}
	}
	text := func(e ast.Expr) string {
		if literal, ok := e.(*ast.FuncLit); ok && len(literal.Body.List) == 1 {
			if only, ok := literal.Body.List[0].(*ast.ExprStmt); ok {
				return "func() { " + types.ExprString(only.X)
			}
		}
		return types.ExprString(e)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if name, ok := n.Call.Fun.(*ast.Ident); !ok || name.Name != "safely" {
				check(n, text(n.Call.Fun))
			}
		case *ast.CallExpr:
			method, ok := n.Fun.(*ast.SelectorExpr)
			if ok && (method.Sel.Name == "AfterFunc" || method.Sel.Name == "Go" && types.ExprString(method.X) != "safely") {
				check(n, text(n.Args[len(n.Args)-1]))
			}
		}
		return true
	})
	return bare
}

func TestAPanicFailsOnlyItsRequest(t *testing.T) {
	oops := func() (int, error) { panic("oops") }
	if _, err := Do(oops); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if got := <-Ask(oops); !errors.Is(got.Err, syscall.EIO) {
		t.Error(got)
	}
	<-Done(func() { panic("oops") })
	runs := 0
	Again(func() {
		if runs++; runs == 1 {
			panic("oops")
		}
	})()
	if runs != 2 {
		t.Errorf("%d runs", runs)
	}
}

func TestALockThatIsLeftHeldEndsTheProgram(t *testing.T) {
	ended := make(chan struct{}, 10)
	before := end
	end = func() { ended <- struct{}{}; select {} }
	t.Cleanup(func() { end = before })
	var free, held sync.Mutex
	Guard(&free, &held)
	_, _ = Do(func() (int, error) { panic("oops") })
	_, _ = Do(func() (int, error) {
		held.Lock()
		panic("oops")
	})
	select {
	case <-ended:
	case <-time.After(3 * heldAtMost):
		t.Error("it goes on")
	}
	Go(func() { held.Lock() })
	for until := time.Now().Add(heldAtMost); len(waitsForLock.FindAllString(allGoroutines(), -1)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("who waits for a lock is not seen")
		}
	}
}
