package smb2

// field is a number in the body of an answer, with its length in bytes; 0: there is none.
type field struct{ at, bytes int }

func (f field) in(body []byte) (number int) {
	for i := range f.bytes {
		number |= int(body[f.at+i]) << (8 * i)
	}
	return number
}

// layout is what the body of an answer consists of: StructureSize, a part that is always there, and a buffer behind it (MS-SMB2 2.2).
type layout struct {
	structureSize, fixed int
	offset, length       field
}

var layouts = map[uint16]layout{
	SMB2_NEGOTIATE:       {65, 64, field{56, 2}, field{58, 2}},
	SMB2_SESSION_SETUP:   {9, 8, field{4, 2}, field{6, 2}},
	SMB2_LOGOFF:          {4, 4, field{}, field{}},
	SMB2_TREE_CONNECT:    {16, 16, field{}, field{}},
	SMB2_TREE_DISCONNECT: {4, 4, field{}, field{}},
	SMB2_CREATE:          {89, 88, field{80, 4}, field{84, 4}},
	SMB2_CLOSE:           {60, 60, field{}, field{}},
	SMB2_FLUSH:           {4, 4, field{}, field{}},
	SMB2_READ:            {17, 16, field{2, 1}, field{4, 4}},
	SMB2_WRITE:           {17, 16, field{}, field{4, 4}},
	SMB2_LOCK:            {4, 4, field{}, field{}},
	SMB2_IOCTL:           {49, 48, field{32, 4}, field{36, 4}},
	SMB2_ECHO:            {4, 4, field{}, field{}},
	SMB2_QUERY_DIRECTORY: {9, 8, field{2, 2}, field{4, 4}},
	SMB2_CHANGE_NOTIFY:   {9, 8, field{2, 2}, field{4, 4}},
	SMB2_QUERY_INFO:      {9, 8, field{2, 2}, field{4, 4}},
	SMB2_SET_INFO:        {2, 2, field{}, field{}},
	SMB2_OPLOCK_BREAK:    {36, 36, field{}, field{}},
}

// IsWhole says whether the body of an answer to that command has all that is read of it, and no more than most in its buffer (of a write: no
// more than most was written). Nothing of it is used before.
func IsWhole(command uint16, body []byte, most int) bool {
	l, isKnown := layouts[command]
	if !isKnown || len(body) < l.fixed || (field{0, 2}).in(body) != l.structureSize {
		return false
	}
	length := l.length.in(body)
	if length == 0 || l.offset.bytes == 0 {
		return length <= most
	}
	offset := l.offset.in(body) - 64
	return offset >= l.fixed && offset+length <= len(body) && length <= most
}
