package smb2

// EncodeTimeWarp writes the context TWrp of a CREATE.
func EncodeTimeWarp(b []byte, at *Filetime) {
	le.PutUint16(b[4:6], 16)   // NameOffset
	le.PutUint16(b[6:8], 4)    // NameLength
	le.PutUint16(b[10:12], 24) // DataOffset
	le.PutUint32(b[12:16], 8)  // DataLength
	copy(b[16:20], "TWrp")
	at.Encode(b[24:32])
}

// SnapshotsIn returns the names in an answer to FSCTL_SRV_ENUMERATE_SNAPSHOTS (MS-SMB2 2.2.32.2), in UTF-16 with a zero behind each.
func SnapshotsIn(output []byte) (list []byte, isWhole, ok bool) {
	if len(output) < 12 {
		return nil, false, false
	}
	all, returned, size := le.Uint32(output[:4]), le.Uint32(output[4:8]), le.Uint32(output[8:12])
	if returned > 0 {
		list = output[12:]
		list = list[:min(uint64(len(list)), uint64(size))]
	}
	return list, returned >= all, true
}
