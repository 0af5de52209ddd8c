package smb2

// MS-SMB2 2.2.3.1.2, from Windows Server 2022 and Samba 4.15 on.
const (
	AES256CCM = 3
	AES256GCM = 4
)
