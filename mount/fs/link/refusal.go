package link

import (
	"mountaineer/mount/fs/smb"
)

// noteRefusal records that the server refused the login. The caller holds mu.
func (l *Link) noteRefusal(err error) {
	if l.refused == nil {
		l.refused = &refusal{err.Error(), smb.Monotonic()}
		l.note(Event{Is: "refused", Text: err.Error()})
		l.announce()
	}
}

// forgetRefusal lets a login be tried again; programs wait for its result. The caller holds mu.
func (l *Link) forgetRefusal() {
	o := l.outage
	if l.current != nil {
		o = l.current.missing
	}
	if l.refused != nil && o != nil {
		o.since, o.isOver = smb.Monotonic(), false
	}
	l.refused = nil
}
