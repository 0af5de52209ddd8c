package smb2

// How a range is locked or unlocked (MS-SMB2 2.2.26.1).
const (
	LockShared    = 0x01
	LockExclusive = 0x02
	LockUnlock    = 0x04
	// LockAtOnce: it is refused rather than waited for.
	LockAtOnce = 0x10
)

// LockElement is a range of a LOCK request.
type LockElement struct {
	Offset, Length uint64
	Flags          uint32
}

// LockRequest locks ranges, or unlocks ranges that were locked exactly so: all of them or none (MS-SMB2 2.2.26).
type LockRequest struct {
	PacketHeader
	FileId *FileId
	Locks  []LockElement
}

func (c *LockRequest) Header() *PacketHeader { return &c.PacketHeader }

func (c *LockRequest) Size() int { return 64 + 24 + 24*len(c.Locks) }

func (c *LockRequest) Encode(pkt []byte) {
	c.Command = SMB2_LOCK
	c.encodeHeader(pkt)
	req := pkt[64:]
	le.PutUint16(req[:2], 48) // StructureSize
	le.PutUint16(req[2:4], uint16(len(c.Locks)))
	c.FileId.Encode(req[8:24])
	for i, each := range c.Locks {
		lock := req[24+24*i:]
		le.PutUint64(lock[:8], each.Offset)
		le.PutUint64(lock[8:16], each.Length)
		le.PutUint32(lock[16:20], each.Flags)
	}
}
