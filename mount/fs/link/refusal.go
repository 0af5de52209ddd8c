package link

import (
	"mountaineer/mount/fs/smb"
)

// noteRefusal: the caller holds mu.
func (l *Link) noteRefusal(err error) {
	if l.refused == nil {
		l.refused = &refusal{err.Error(), smb.Monotonic()}
		l.note(Event{Is: "refused", Text: err.Error()})
		l.announce()
	}
}

// forgetRefusal: a login is tried again, and programs wait for what comes of it. The caller holds mu.
func (l *Link) forgetRefusal() {
	o := l.outage
	if l.pair != nil {
		o = l.pair.missing
	}
	if l.refused != nil && o != nil {
		o.since, o.isOver = smb.Monotonic(), false
	}
	l.refused = nil
}
