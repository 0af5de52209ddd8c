package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/safely"
)

const (
	journalAtMost  = 256 << 10
	entriesAtMost  = 1_000
	entryAtMost    = 4 << 10
	pausedEventIs  = "waited"
	unwrittenLimit = 256
)

// entry is a line of the journal.
type entry struct {
	N  int   `json:"n"`
	At int64 `json:"at"` // Unix ms
	client.Event
}

// journal records what the mount did, for a daemon that was not running.
type journal struct {
	path string // empty: only in memory

	mu     sync.Mutex
	n      int
	recent []entry
	size   int64
	queue  chan entry
}

// openJournal continues the numbers of earlier programs, and sums up their pauses.
func openJournal(folder string) (*journal, client.Pauses) {
	j := &journal{queue: make(chan entry, unwrittenLimit)}
	var pauses client.Pauses
	if folder != "" {
		j.path = filepath.Join(folder, "journal")
		for _, each := range j.read(0) {
			j.n = each.N
			if each.Is == pausedEventIs {
				pauses.Add(each.Ms)
			}
		}
		if info, err := os.Stat(j.path); err == nil {
			j.size = info.Size()
		}
	}
	safely.Go(safely.Again(j.write))
	return j, pauses
}

// note adds an event. It returns at once: another goroutine writes the file.
func (j *journal) note(event client.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	e := entry{j.n, time.Now().UnixMilli(), event}
	if j.recent = append(j.recent, e); len(j.recent) > entriesAtMost {
		j.recent = j.recent[1:]
	}
	select {
	case j.queue <- e:
	default:
		// The home's disk hangs. The newest entries are still in memory.
	}
}

func (j *journal) newest() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

func (j *journal) write() {
	for e := range j.queue {
		if j.path == "" {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			continue
		}
		if j.size > journalAtMost {
			j.shorten()
		}
		file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			continue
		}
		n, _ := file.Write(append(line, '\n'))
		j.size += int64(n)
		_ = file.Close()
	}
}

// shorten drops the older half.
func (j *journal) shorten() {
	text, err := os.ReadFile(j.path)
	if err != nil {
		return
	}
	half := text[len(text)/2:]
	half = half[bytes.IndexByte(half, '\n')+1:]
	if os.WriteFile(j.path+".new", half, 0o600) == nil && os.Rename(j.path+".new", j.path) == nil {
		j.size = int64(len(half))
	}
}

// after returns the entries with higher numbers, oldest first.
func (j *journal) after(n int) []entry {
	j.mu.Lock()
	recent := append([]entry{}, j.recent...)
	j.mu.Unlock()
	if len(recent) == 0 || recent[0].N > n+1 {
		older := j.read(n)
		for len(older) > 0 && len(recent) > 0 && older[len(older)-1].N >= recent[0].N {
			older = older[:len(older)-1]
		}
		recent = append(older, recent...)
	}
	for len(recent) > 0 && recent[0].N <= n {
		recent = recent[1:]
	}
	return recent[:min(len(recent), entriesAtMost)]
}

// read returns what the file has beyond n.
func (j *journal) read(n int) (entries []entry) {
	file, err := os.Open(j.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, entryAtMost), 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.N > n {
			entries = append(entries, e)
		}
	}
	return entries
}
