// Package safely runs code so that a panic fails one request or ends one goroutine, but not the program, which has files open for all users.
//
// Every goroutine of the program is started by Go, Ask or Done (safely_test.go checks that). Do turns a panic into EIO; Again restarts a loop
// that others depend on. A panic may leave a mutex locked. So after one, the mutexes given to Guard must be free within seconds, and no goroutine
// may wait for a mutex for minutes; otherwise the program exits, and its daemon starts it again.
package safely

import (
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Do returns EIO if op panics.
func Do[T any](op func() (T, error)) (value T, err error) {
	defer func() {
		if value := recover(); value != nil {
			Panicked(value)
			err = syscall.EIO
		}
	}()
	return op()
}

// Of is op, which ends at a panic.
func Of(op func()) func() {
	return func() { _, _ = Do(func() (struct{}, error) { op(); return struct{}{}, nil }) }
}

// Go runs op in a goroutine.
func Go(op func()) { go Of(op)() }

const againAfter = time.Second

// Again is op, which is started again after a panic.
func Again(op func()) func() {
	return func() {
		for {
			_, err := Do(func() (struct{}, error) { op(); return struct{}{}, nil })
			if err == nil {
				return
			}
			time.Sleep(againAfter)
		}
	}
}

// Answer is the result of an operation.
type Answer[T any] struct {
	Value T
	Err   error
}

// Ask runs op in a goroutine, and sends its result, or EIO after a panic.
func Ask[T any](op func() (T, error)) <-chan Answer[T] {
	answer := make(chan Answer[T], 1)
	Go(func() {
		value, err := Do(op)
		answer <- Answer[T]{value, err}
	})
	return answer
}

// Done runs op in a goroutine. The channel is closed once that has ended.
func Done(op func()) <-chan struct{} {
	done := make(chan struct{})
	Go(func() {
		defer close(done)
		op()
	})
	return done
}

var locks struct {
	sync.Mutex
	guarded []*sync.Mutex
	watch   sync.Once
}

// Guard registers mutexes that are only held for an instant, never during a wait.
func Guard(guarded ...*sync.Mutex) {
	locks.Lock()
	defer locks.Unlock()
	locks.guarded = append(locks.guarded, guarded...)
}

// Panicked logs a panic and starts to check for a mutex that it left locked.
func Panicked(value any) {
	log.Printf("%v\n%s", value, debug.Stack())
	Go(checkGuarded)
	locks.watch.Do(func() { Go(watchWaiting) })
}

const heldAtMost = 5 * time.Second

func checkGuarded() {
	locks.Lock()
	guarded := locks.guarded
	locks.Unlock()
	for _, each := range guarded {
		until := time.Now().Add(heldAtMost)
		for !each.TryLock() {
			if time.Now().After(until) {
				end()
			}
			time.Sleep(time.Millisecond)
		}
		each.Unlock()
	}
}

// Other mutexes may be held during a request, which may take minutes.
const (
	lookedEvery = time.Minute
	looksAtMost = 7
)

func watchWaiting() {
	waiting := map[string]int{}
	for {
		now := map[string]int{}
		for _, id := range waitsForLock.FindAllStringSubmatch(allGoroutines(), -1) {
			if now[id[1]] = waiting[id[1]] + 1; now[id[1]] == looksAtMost {
				end()
			}
		}
		waiting = now
		time.Sleep(lookedEvery)
	}
}

var waitsForLock = regexp.MustCompile(`(?m)^goroutine (\d+) .*\[sync\.(?:RW)?Mutex\.R?Lock`)

func allGoroutines() string {
	text := make([]byte, 4<<20)
	return string(text[:runtime.Stack(text, true)])
}

// end exits as an uncaught panic does.
var end = func() {
	_, _ = fmt.Fprintln(os.Stderr, "a panic left a mutex locked: the program ends")
	os.Exit(2)
}
