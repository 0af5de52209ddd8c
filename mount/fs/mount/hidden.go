package mount

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// hiddenFiles is the list of hidden paths, which is also kept in the share's folder of the home.
type hiddenFiles struct {
	mu    sync.Mutex
	path  string // empty: the list is only in memory
	paths map[string]hiddenFile
	left  []hiddenFile
}

type hiddenFile struct {
	Path string `json:"path"`
	Id   uint64 `json:"id,string"`
}

// open reads what an earlier program has left.
func (l *hiddenFiles) open(folder string) {
	l.paths = map[string]hiddenFile{}
	if folder == "" {
		return
	}
	l.path = filepath.Join(folder, "aside")
	text, err := os.ReadFile(l.path)
	if err != nil {
		return
	}
	for line := range bytes.Lines(text) {
		var each hiddenFile
		if json.Unmarshal(line, &each) == nil && isHiddenPath(each.Path) {
			l.paths[each.Path] = each
			l.left = append(l.left, each)
		}
	}
}

// isHiddenPath: whatever the list says, no other file is removed.
func isHiddenPath(path string) bool {
	name := strings.TrimPrefix(path[len(folderOf(path)):], "/")
	return isHidden(name) || filepath.Base(folderOf(path)) == removedFolder && len(name) == markLength
}

func (l *hiddenFiles) leftovers() []hiddenFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}

func (l *hiddenFiles) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.paths)
}

// add returns once the path is in the list on disk.
func (l *hiddenFiles) add(path string, id uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paths[path] = hiddenFile{path, id}
	if l.path == "" {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	line, _ := json.Marshal(l.paths[path])
	_, err = file.Write(append(line, '\n'))
	return cmp.Or(err, file.Sync(), file.Close())
}

// remove: no file is at that path now.
func (l *hiddenFiles) remove(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.paths, path)
	if l.path == "" {
		return
	}
	var text []byte
	for _, each := range l.paths {
		line, _ := json.Marshal(each)
		text = append(append(text, line...), '\n')
	}
	if err := os.WriteFile(l.path+".new", text, 0o600); err == nil {
		_ = os.Rename(l.path+".new", l.path)
	}
}
