package smb2

import "github.com/cloudsoda/go-smb2/internal/utf16le"

// ChangeNotifyRequest asks for the next changes in a folder (MS-SMB2 2.2.35).
type ChangeNotifyRequest struct {
	PacketHeader
	FileId             *FileId
	OutputBufferLength uint32
	CompletionFilter   uint32
	IsTree             bool
}

func (c *ChangeNotifyRequest) Header() *PacketHeader { return &c.PacketHeader }

func (c *ChangeNotifyRequest) Size() int { return 64 + 32 }

func (c *ChangeNotifyRequest) Encode(pkt []byte) {
	c.Command = SMB2_CHANGE_NOTIFY
	c.encodeHeader(pkt)
	req := pkt[64:]
	le.PutUint16(req[:2], 32) // StructureSize
	if c.IsTree {
		le.PutUint16(req[2:4], 1) // WATCH_TREE
	}
	le.PutUint32(req[4:8], c.OutputBufferLength)
	c.FileId.Encode(req[8:24])
	le.PutUint32(req[24:28], c.CompletionFilter)
}

// ChangeNotifyResponseDecoder has a list of changes (MS-FSCC 2.7.1).
type ChangeNotifyResponseDecoder []byte

func (r ChangeNotifyResponseDecoder) offset() int { return int(le.Uint16(r[2:4])) }

func (r ChangeNotifyResponseDecoder) length() int { return int(le.Uint32(r[4:8])) }

// Change is a name in a folder or below it, and what became of it.
type Change struct {
	Name   string
	Action uint32
}

// A change of a name: it is new there, also by a rename, or no longer there.
const (
	ActionAdded   = 1
	ActionRemoved = 2
	ActionOldName = 4
	ActionNewName = 5
)

// Changes returns the changed names; false: the list is broken, as when entries overlap. A
// name longer than most is left out. The answer is whole.
func (r ChangeNotifyResponseDecoder) Changes(most int) (changes []Change, ok bool) {
	if r.length() == 0 {
		return nil, true
	}
	for list := r[r.offset()-64:][:r.length()]; ; {
		if len(list) < 12 {
			return nil, false
		}
		next, length := le.Uint32(list[:4]), le.Uint32(list[8:12])
		if uint64(len(list)) < 12+uint64(length) || uint64(next) > uint64(len(list)) || next != 0 && uint64(next) < 12+uint64(length) {
			return nil, false
		}
		if int(length) <= most {
			changes = append(changes, Change{utf16le.Decode(list[12:12+length], utf16le.MapCharsNone), le.Uint32(list[4:8])})
		}
		if next == 0 {
			return changes, true
		}
		list = list[next:]
	}
}

// LeaseRequest is the context by which a CREATE asks for a lease (MS-SMB2 2.2.13.2.8).
type LeaseRequest struct {
	Key   [16]byte
	State uint32
}

func (c *LeaseRequest) Size() int { return 24 + 32 }

func (c *LeaseRequest) Encode(b []byte) {
	le.PutUint16(b[4:6], 16)   // NameOffset
	le.PutUint16(b[6:8], 4)    // NameLength
	le.PutUint16(b[10:12], 24) // DataOffset
	le.PutUint32(b[12:16], 32) // DataLength
	copy(b[16:20], leaseName)
	copy(b[24:40], c.Key[:])
	le.PutUint32(b[40:44], c.State)
}

const leaseName = "RqLs"

// LeaseState returns the lease that was granted; 0: none.
func (r CreateResponseDecoder) LeaseState() uint32 {
	for list := r.CreateContexts(); len(list) >= 20; {
		next, name, data := int(le.Uint32(list[:4])), int(le.Uint16(list[4:6])), int(le.Uint16(list[10:12]))
		if len(list) >= name+4 && string(list[name:name+4]) == leaseName && len(list) >= data+20 {
			return le.Uint32(list[data+16 : data+20])
		}
		if next == 0 || next > len(list) {
			return 0
		}
		list = list[next:]
	}
	return 0
}

// Break is a server's notification that a lease or oplock is broken (MS-SMB2 2.2.23). Key: of a lease; else FileId.
type Break struct {
	IsLease bool
	Key     [16]byte
	FileId  FileId
	// MustBeAcknowledged with this state.
	MustBeAcknowledged bool
	State              uint32
}

// BreakOf reads the body of a notification; nil: it is not a break.
func BreakOf(body []byte) *Break {
	switch {
	case len(body) >= 44 && le.Uint16(body[:2]) == 44:
		b := &Break{IsLease: true, MustBeAcknowledged: le.Uint32(body[4:8])&1 != 0, State: le.Uint32(body[28:32])}
		copy(b.Key[:], body[8:24])
		return b
	case len(body) >= 24 && le.Uint16(body[:2]) == 24:
		return &Break{FileId: *FileIdDecoder(body[8:24]).Decode()}
	}
	return nil
}

// LeaseBreakAcknowledgment gives a lease back (MS-SMB2 2.2.24.2).
type LeaseBreakAcknowledgment struct {
	PacketHeader
	Key   [16]byte
	State uint32
}

func (c *LeaseBreakAcknowledgment) Header() *PacketHeader { return &c.PacketHeader }

func (c *LeaseBreakAcknowledgment) Size() int { return 64 + 36 }

func (c *LeaseBreakAcknowledgment) Encode(pkt []byte) {
	c.Command = SMB2_OPLOCK_BREAK
	c.encodeHeader(pkt)
	req := pkt[64:]
	le.PutUint16(req[:2], 36) // StructureSize
	copy(req[8:24], c.Key[:])
	le.PutUint32(req[24:28], c.State)
}
