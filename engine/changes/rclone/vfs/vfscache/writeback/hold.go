package writeback

import "time"

// heldFor is longer than a move on the remote takes
const heldFor = 24 * time.Hour

// Hold stops the upload of an item, and none begins until release is called
func (wb *WriteBack) Hold(id Handle) (release func()) {
	wb.mu.Lock()
	defer wb.mu.Unlock()
	for item := wb.lookup[id]; item != nil && item.uploading; item = wb.lookup[id] {
		item.cancel()
		wb.mu.Unlock()
		<-item.done
		wb.mu.Lock()
	}
	wb._sendAt(id, time.Now().Add(heldFor))
	return func() {
		wb.mu.Lock()
		defer wb.mu.Unlock()
		wb._sendAt(id, wb._newExpiry())
	}
}

// _sendAt changes when an item is sent that waits for it
func (wb *WriteBack) _sendAt(id Handle, at time.Time) {
	if item := wb.lookup[id]; item != nil && !item.uploading {
		wb.items._update(item, at)
		wb._resetTimer()
	}
}

// Pause lets no upload begin until resume is called
func (wb *WriteBack) Pause() (resume func()) {
	wb.mu.Lock()
	defer wb.mu.Unlock()
	wb.pauses++
	return func() {
		wb.mu.Lock()
		defer wb.mu.Unlock()
		wb.pauses--
		wb._stopTimer()
		wb._resetTimer()
	}
}
