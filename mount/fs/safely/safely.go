// Package safely runs what may meet a mistake of this program, so that a mistake costs what it was met in, and not the files of all programs.
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

// Do returns EIO if op fails by a mistake.
func Do[T any](op func() (T, error)) (value T, err error) {
	defer func() {
		if mistake := recover(); mistake != nil {
			Mistake(mistake)
			err = syscall.EIO
		}
	}()
	return op()
}

// Of is op, which a mistake ends.
func Of(op func()) func() {
	return func() { _, _ = Do(func() (struct{}, error) { op(); return struct{}{}, nil }) }
}

// Go runs op in a goroutine.
func Go(op func()) { go Of(op)() }

const againAfter = time.Second

// Again is op, which begins anew after a mistake: others need it for as long as it goes on.
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

// Answer is what came of an operation.
type Answer[T any] struct {
	Value T
	Err   error
}

// Ask runs op in a goroutine, and gives its answer, whatever becomes of it.
func Ask[T any](op func() (T, error)) <-chan Answer[T] {
	answer := make(chan Answer[T], 1)
	Go(func() {
		value, err := Do(op)
		answer <- Answer[T]{value, err}
	})
	return answer
}

// Done runs op in a goroutine, and is closed once that has ended.
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

// Guard: these are held for an instant only, never while anything is waited for.
func Guard(guarded ...*sync.Mutex) {
	locks.Lock()
	defer locks.Unlock()
	locks.guarded = append(locks.guarded, guarded...)
}

// Mistake is logged. One that left a lock held would let others wait for ever: then the program ends, and is started again.
func Mistake(mistake any) {
	log.Printf("%v\n%s", mistake, debug.Stack())
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

// Other locks may be held while a server is asked, which may take minutes.
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

// end: as an uncaught mistake ends a program.
var end = func() {
	_, _ = fmt.Fprintln(os.Stderr, "a mistake left a lock held: the program ends")
	os.Exit(2)
}
