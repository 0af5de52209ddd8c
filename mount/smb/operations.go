package smb2

import (
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// The operations that a file system needs. Each is one round trip (a compound), leaves nothing open but the handle that it returns, and returns the
// server's status as a ResponseError.

// Access is what a handle may do.
type Access uint32

const (
	AccessRead  = Access(smb2.GENERIC_READ)
	AccessWrite = Access(smb2.GENERIC_WRITE | smb2.FILE_READ_ATTRIBUTES)
	// AccessList is enough to list a folder and to watch it.
	AccessList = Access(smb2.FILE_READ_DATA | smb2.FILE_READ_ATTRIBUTES)
)

// Disposition says whether the name must exist.
type Disposition uint32

const (
	// MustExist opens a file or folder that exists.
	MustExist = Disposition(smb2.FILE_OPEN)
	// MustBeNew creates a file, and fails if the name exists.
	MustBeNew = Disposition(smb2.FILE_CREATE)
	// MayExist opens a file, or creates it.
	MayExist = Disposition(smb2.FILE_OPEN_IF)
)

// Opened is a file that was opened, with its attributes at that moment.
type Opened struct {
	*Handle
	FileStat *FileStat
	// IsNew: it did not exist before.
	IsNew bool
}

// OpenAt opens or creates a file. It requests a read lease with that key, or a level II oplock if the server has no leases.
func (fs *Share) OpenAt(name string, access Access, disposition Disposition, key LeaseKey) (Opened, error) {
	return fs.opened(name, fs.openRequest(access, disposition, key), key)
}

func (fs *Share) openRequest(access Access, disposition Disposition, key LeaseKey) *smb2.CreateRequest {
	create := fs.createRequest(uint32(access), uint32(disposition), 0)
	create.RequestedOplockLevel = smb2.SMB2_OPLOCK_LEVEL_II
	if fs.conn.capabilities&smb2.SMB2_GLOBAL_CAP_LEASING != 0 {
		create.RequestedOplockLevel = smb2.SMB2_OPLOCK_LEVEL_LEASE
		create.Contexts = []smb2.Encoder{&smb2.LeaseRequest{Key: key, State: readCaching}}
	}
	if disposition != MustExist {
		create.CreateOptions |= smb2.FILE_NON_DIRECTORY_FILE
	}
	return create
}

// opened opens the file and sends the requests of first for it, before it reads the attributes.
func (fs *Share) opened(name string, create *smb2.CreateRequest, key LeaseKey, first ...smb2.Packet) (Opened, error) {
	requested := Lease(anOplock{})
	if create.RequestedOplockLevel == smb2.SMB2_OPLOCK_LEVEL_LEASE {
		requested = key
	}
	var got Lease
	answered := fs.conn.breaks.request(requested)
	defer func() { answered(got) }()
	answers, err := fs.exchange(name, create, append(first, queryAll())...)
	if err != nil {
		return Opened{}, err
	}
	r := smb2.CreateResponseDecoder(answers[0])
	o := Opened{Handle: fs.handleOf(r), IsNew: r.CreateAction() == actionCreated}
	switch {
	case r.OplockLevel() == smb2.SMB2_OPLOCK_LEVEL_II:
		o.Lease = *o.id
	case r.OplockLevel() == smb2.SMB2_OPLOCK_LEVEL_LEASE && r.LeaseState()&readCaching != 0:
		o.Lease = key
	}
	if o.FileStat, err = statOf(answers[len(answers)-1]); err != nil {
		_, _ = o.Close()
		return Opened{}, err
	}
	got = o.Lease
	return o, nil
}

const (
	readCaching   = 1
	actionCreated = 2
)

// OpenFolder opens a folder to list or watch it.
func (fs *Share) OpenFolder(name string) (Opened, error) {
	create := fs.createRequest(uint32(AccessList), smb2.FILE_OPEN, smb2.FILE_DIRECTORY_FILE)
	answers, err := fs.exchange(name, create, queryAll())
	if err != nil {
		return Opened{}, err
	}
	o := Opened{Handle: fs.handleOf(answers[0])}
	o.folder = name
	if o.FileStat, err = statOf(answers[1]); err != nil {
		_, _ = o.Close()
		return Opened{}, err
	}
	return o, nil
}

// StatAt returns the attributes of a file or folder, with its FileId. That needs no right to read it.
func (fs *Share) StatAt(name string) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, 0)
	return fs.statBy(name, create, queryAll(), &smb2.CloseRequest{})
}

// MakeFile creates a file, and fails if the name exists. If the answer is lost, the file is recognized by its creation time.
func (fs *Share) MakeFile(name string, access Access, key LeaseKey, created time.Time) (Opened, error) {
	create := fs.openRequest(access, MustBeNew, key)
	create.DesiredAccess |= smb2.FILE_WRITE_ATTRIBUTES
	return fs.opened(name, create, key, setFile(smb2.FileBasicInformation, creationOf(created)))
}

func creationOf(created time.Time) *smb2.FileBasicInformationEncoder {
	return &smb2.FileBasicInformationEncoder{CreationTime: smb2.NsecToFiletime(created.UnixNano())}
}

// MakeFolder creates a folder; isHidden: with the hidden attribute. A creation time that is not zero is set, as by MakeFile.
func (fs *Share) MakeFolder(name string, isHidden bool, created time.Time) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_READ_ATTRIBUTES, smb2.FILE_CREATE, smb2.FILE_DIRECTORY_FILE)
	create.FileAttributes = smb2.FILE_ATTRIBUTE_DIRECTORY
	if isHidden {
		create.FileAttributes |= smb2.FILE_ATTRIBUTE_HIDDEN
	}
	if created.IsZero() {
		return fs.statBy(name, create, queryAll(), &smb2.CloseRequest{})
	}
	create.DesiredAccess |= smb2.FILE_WRITE_ATTRIBUTES
	return fs.statBy(name, create, setFile(smb2.FileBasicInformation, creationOf(created)), queryAll(), &smb2.CloseRequest{})
}

// Move renames a file or folder. isReplacing: a file with the new name is replaced.
func (fs *Share) Move(from, to string, isReplacing bool) error {
	rename := &smb2.FileRenameInformationType2Encoder{FileName: normPath(to), Mapping: fs.mapping}
	if isReplacing {
		rename.ReplaceIfExists = 1
	}
	create := fs.createRequest(smb2.DELETE|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT)
	_, err := fs.exchange(from, create, setFile(smb2.FileRenameInformation, rename), &smb2.CloseRequest{})
	return err
}

// Link gives a file a second name.
func (fs *Share) Link(name, second string) error {
	link := &smb2.FileLinkInformationType2Encoder{FileName: normPath(second), Mapping: fs.mapping}
	create := fs.createRequest(smb2.FILE_WRITE_ATTRIBUTES|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT)
	_, err := fs.exchange(name, create, setFile(smb2.FileLinkInformation, link), &smb2.CloseRequest{})
	return err
}

// Delete removes a file, or a folder that is empty.
func (fs *Share) Delete(name string, isFolder bool) error {
	options := uint32(smb2.FILE_OPEN_REPARSE_POINT | smb2.FILE_NON_DIRECTORY_FILE)
	if isFolder {
		options = smb2.FILE_OPEN_REPARSE_POINT | smb2.FILE_DIRECTORY_FILE
	}
	return fs.delete(name, fs.createRequest(smb2.DELETE, smb2.FILE_OPEN, options))
}

// DeleteUnused is Delete for a file that no client has open: a sharing violation if one has.
func (fs *Share) DeleteUnused(name string) error {
	create := fs.createRequest(smb2.DELETE, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT|smb2.FILE_NON_DIRECTORY_FILE)
	create.ShareAccess = 0
	return fs.delete(name, create)
}

func (fs *Share) delete(name string, create *smb2.CreateRequest) error {
	remove := setFile(smb2.FileDispositionInformation, &smb2.FileDispositionInformationEncoder{DeletePending: 1})
	_, err := fs.exchange(name, create, remove, &smb2.CloseRequest{})
	return err
}

// SetAttributes changes the DOS attributes, such as read-only.
func (fs *Share) SetAttributes(name string, attributes uint32) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_WRITE_ATTRIBUTES|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT)
	if attributes == 0 {
		attributes = smb2.FILE_ATTRIBUTE_NORMAL
	}
	setting := &smb2.FileBasicInformationEncoder{FileAttributes: attributes}
	return fs.statBy(name, create, setFile(smb2.FileBasicInformation, setting), queryAll(), &smb2.CloseRequest{})
}

// Resize changes the length of a file.
func (fs *Share) Resize(name string, size int64) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_WRITE_DATA|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_NON_DIRECTORY_FILE)
	resize := setFile(smb2.FileEndOfFileInformation, &smb2.FileEndOfFileInformationEncoder{EndOfFile: size})
	return fs.statBy(name, create, resize, queryAll(), &smb2.CloseRequest{})
}

// SetTimes changes the times of a file or folder. A zero time is not set.
func (fs *Share) SetTimes(name string, accessed, written time.Time) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_WRITE_ATTRIBUTES|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, 0)
	times := setFile(smb2.FileBasicInformation, timesOf(accessed, written))
	return fs.statBy(name, create, times, queryAll(), &smb2.CloseRequest{})
}

// Space returns the size and free space of the file system that has this file or folder.
func (fs *Share) Space(name string) (FileFsInfo, error) {
	create := fs.createRequest(smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, 0)
	query := &smb2.QueryInfoRequest{
		InfoType:           smb2.SMB2_0_INFO_FILESYSTEM,
		FileInfoClass:      smb2.FileFsFullSizeInformation,
		OutputBufferLength: 32,
	}
	answers, err := fs.exchange(name, create, query, &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	info := smb2.FileFsFullSizeInformationDecoder(smb2.QueryInfoResponseDecoder(answers[1]).OutputBuffer())
	if info.IsInvalid() {
		return nil, ErrBroken
	}
	return &fileFsFullSizeInformation{
		TotalAllocationUnits:           info.TotalAllocationUnits(),
		CallerAvailableAllocationUnits: info.CallerAvailableAllocationUnits(),
		ActualAvailableAllocationUnits: info.ActualAvailableAllocationUnits(),
		SectorsPerAllocationUnit:       info.SectorsPerAllocationUnit(),
		BytesPerSector:                 info.BytesPerSector(),
	}, nil
}

func timesOf(accessed, written time.Time) *smb2.FileBasicInformationEncoder {
	times := &smb2.FileBasicInformationEncoder{}
	if !accessed.IsZero() {
		times.LastAccessTime = smb2.NsecToFiletime(accessed.UnixNano())
	}
	if !written.IsZero() {
		times.LastWriteTime = smb2.NsecToFiletime(written.UnixNano())
	}
	return times
}

func (fs *Share) createRequest(access, disposition, options uint32) *smb2.CreateRequest {
	return &smb2.CreateRequest{
		RequestedOplockLevel: smb2.SMB2_OPLOCK_LEVEL_NONE,
		ImpersonationLevel:   smb2.Impersonation,
		DesiredAccess:        access,
		FileAttributes:       smb2.FILE_ATTRIBUTE_NORMAL,
		ShareAccess:          shareAll,
		CreateDisposition:    disposition,
		CreateOptions:        options,
		Mapping:              fs.mapping,
	}
}

func (fs *Share) handleOf(r smb2.CreateResponseDecoder) *Handle {
	return &Handle{fs: fs, id: r.FileId().Decode()}
}

func queryAll() *smb2.QueryInfoRequest {
	return &smb2.QueryInfoRequest{
		InfoType:           smb2.SMB2_0_INFO_FILE,
		FileInfoClass:      smb2.FileAllInformation,
		OutputBufferLength: 64 * 1024,
	}
}

func setFile(class uint8, input smb2.Encoder) *smb2.SetInfoRequest {
	return &smb2.SetInfoRequest{InfoType: smb2.SMB2_0_INFO_FILE, FileInfoClass: class, Input: input}
}

// statBy sends a compound, and returns the attributes from the answer to its query.
func (fs *Share) statBy(name string, create *smb2.CreateRequest, following ...smb2.Packet) (*FileStat, error) {
	answers, err := fs.exchange(name, create, following...)
	if err != nil {
		return nil, err
	}
	for i, req := range following {
		if _, isQuery := req.(*smb2.QueryInfoRequest); isQuery {
			return statOf(answers[1+i])
		}
	}
	return nil, ErrBroken
}

func statOf(answer []byte) (*FileStat, error) {
	info := smb2.FileAllInformationDecoder(smb2.QueryInfoResponseDecoder(answer).OutputBuffer())
	if info.IsInvalid() {
		return nil, ErrBroken
	}
	basic, std := info.BasicInformation(), info.StandardInformation()
	if std.EndOfFile() < 0 || std.AllocationSize() < 0 {
		return nil, ErrBroken
	}
	return &FileStat{
		CreationTime:   timeOf(basic.CreationTime()),
		LastAccessTime: timeOf(basic.LastAccessTime()),
		LastWriteTime:  timeOf(basic.LastWriteTime()),
		ChangeTime:     timeOf(basic.ChangeTime()),
		EndOfFile:      std.EndOfFile(),
		AllocationSize: std.AllocationSize(),
		FileAttributes: basic.FileAttributes(),
		FileId:         uint64(info.InternalInformation().IndexNumber()),
		NumberOfLinks:  std.NumberOfLinks(),
	}, nil
}
