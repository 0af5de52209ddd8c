package vfs

// WritePlaced writes where off says, also if the handle appends: what comes
// from a mapping of the file does.
func (fh *RWFileHandle) WritePlaced(b []byte, off int64) (n int, err error) {
	fh.mu.Lock()
	defer fh.mu.Unlock()
	if fh.closed {
		return 0, ECLOSED
	}
	if fh.readOnly() {
		return 0, EBADF
	}
	fh.writeCalled = true
	n, err = fh.item.WriteAt(b, off)
	_ = fh._size()
	return n, err
}
