package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mountaineer/mount/fs/rig"
)

// task is done again and again until the mount is gone. do says whether the server has taken it; has whether all that it took is there, as
// the server's own disk shows it.
type task struct {
	name string
	do   func(folder string, round int) error
	has  func(folder string, rounds []int) error
}

func command(folder, name string, arguments ...string) error {
	c := exec.Command(name, arguments...)
	c.Dir = folder
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, arguments, err, out)
	}
	return nil
}

func output(folder, name string, arguments ...string) (string, error) {
	c := exec.Command(name, arguments...)
	c.Dir = folder
	c.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %v: %w: %s", name, arguments, err, out)
	}
	return string(out), err
}

// numbersIn reads a number from each line.
func numbersIn(text string) map[int]bool {
	numbers := map[int]bool{}
	for line := range strings.Lines(text) {
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			numbers[n] = true
		}
	}
	return numbers
}

func areAll(rounds []int, there map[int]bool) error {
	for _, round := range rounds {
		if !there[round] {
			return fmt.Errorf("%d is missing", round)
		}
	}
	return nil
}

// tasks are what people do; source is a folder of files for those that copy.
func tasks(source, archive string) []task {
	sameAsSource := func(folder string, rounds []int) error {
		for _, round := range rounds {
			for i := range sourceFiles {
				name := fmt.Sprintf("f%d", i)
				want, _ := os.ReadFile(filepath.Join(source, name))
				if got, err := os.ReadFile(filepath.Join(folder, strconv.Itoa(round), name)); err != nil || !bytes.Equal(got, want) {
					return fmt.Errorf("%d/%s: %d bytes, %v", round, name, len(got), err)
				}
			}
		}
		return nil
	}
	return []task{
		{"appender", func(folder string, round int) error {
			return appendTo(filepath.Join(folder, "lines"), fmt.Appendf(nil, "%d\n", round))
		}, func(folder string, rounds []int) error {
			text, err := os.ReadFile(filepath.Join(folder, "lines"))
			return errors.Join(err, areAll(rounds, numbersIn(string(text))))
		}},
		{"sqlite3", func(folder string, round int) error {
			return command(folder, "sqlite3", "data", fmt.Sprintf("create table if not exists t(n); insert into t values(%d)", round))
		}, func(folder string, rounds []int) error {
			// The server may have the locks of the killed program for an instant.
			text, err := output(folder, "sqlite3", "-cmd", ".timeout 10000", "data", "select n from t; pragma integrity_check")
			if err == nil && !strings.HasSuffix(text, "ok\n") {
				err = errors.New(text)
			}
			return errors.Join(err, areAll(rounds, numbersIn(text)))
		}},
		{"git", func(folder string, round int) error {
			if _, err := os.Stat(filepath.Join(folder, ".git/HEAD")); err != nil {
				if err := command(folder, "git", "init", "-q"); err != nil {
					return err
				}
			}
			// What a killed one before has left.
			if round%100_000 == 0 {
				_ = command(folder, "find", ".git", "-name", "*.lock", "-delete")
			}
			if err := os.WriteFile(filepath.Join(folder, "file"), fmt.Appendf(nil, "%d\n", round), 0o644); err != nil {
				return err
			}
			if err := command(folder, "git", "add", "file"); err != nil {
				return err
			}
			return command(folder, "git", "-c", "gc.auto=0", "commit", "-q", "-m", strconv.Itoa(round))
		}, func(folder string, rounds []int) error {
			if len(rounds) == 0 {
				return nil
			}
			text, err := output(folder, "git", "log", "--format=%s")
			return errors.Join(err, areAll(rounds, numbersIn(text)), command(folder, "git", "fsck", "--no-dangling"))
		}},
		{"tar", func(folder string, round int) error {
			into := strconv.Itoa(round)
			if err := os.Mkdir(filepath.Join(folder, into), 0o755); err != nil {
				return err
			}
			return command(folder, "tar", "-xf", archive, "-C", into)
		}, sameAsSource},
		{"rsync", func(folder string, round int) error {
			return command(folder, "rsync", "-a", source+"/", strconv.Itoa(round)+"/")
		}, sameAsSource},
	}
}

const sourceFiles = 20

// A15: all that was acknowledged is on the server. MOUNTAINEER_KILLS is how often the program is killed.
func TestNothingThatWasAcknowledgedIsMissingAfterAKill(t *testing.T) {
	kills := 2
	if text := os.Getenv("MOUNTAINEER_KILLS"); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		rig.Must(t, err)
	}
	s := newScene(t)
	source, archive := filepath.Join(s.Folder, "source"), filepath.Join(s.Folder, "source.tar")
	rig.Must(t, os.Mkdir(source, 0o755))
	for i := range sourceFiles {
		rig.Must(t, os.WriteFile(filepath.Join(source, fmt.Sprintf("f%d", i)), bytes.Repeat([]byte{byte(i)}, 1+i*i*500), 0o644))
	}
	rig.Must(t, command(source, "tar", "-cf", archive, "."))
	all := tasks(source, archive)
	taken := map[string][]int{}
	random := rand.New(rand.NewSource(int64(os.Getpid())))
	for kill := range kills {
		s.mount()
		var running sync.WaitGroup
		var mu sync.Mutex
		failures := make([]error, len(all))
		for i, each := range all {
			if rig.Program(each.name) == "" && each.name != "appender" {
				continue
			}
			folder := filepath.Join(s.mounted, each.name)
			rig.Must(t, os.MkdirAll(folder, 0o755))
			running.Go(func() {
				for number := kill * 100_000; ; number++ {
					err := each.do(folder, number)
					mu.Lock()
					failures[i] = err
					if err == nil {
						taken[each.name] = append(taken[each.name], number)
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(500+random.Intn(2000)) * time.Millisecond)
		mu.Lock()
		for i, err := range failures {
			if err != nil {
				t.Errorf("%s, before the kill: %v", all[i].name, err)
			}
		}
		mu.Unlock()
		s.kill()
		running.Wait()
		for _, each := range all {
			if err := each.has(s.Theirs(each.name), taken[each.name]); err != nil && len(taken[each.name]) > 0 {
				t.Fatalf("kill %d: %s: %v", kill, each.name, err)
			}
		}
	}
	for name, rounds := range taken {
		t.Logf("%s: %d acknowledged", name, len(rounds))
	}
}
