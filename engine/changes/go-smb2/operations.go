package smb2

import (
	"time"

	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// What a file system needs of a share: each operation is one exchange with the server (a compound), leaves nothing open that it does not
// return, and reports the server's status as it is.

// Access is what a handle may do.
type Access uint32

const (
	AccessRead  = Access(smb2.GENERIC_READ)
	AccessWrite = Access(smb2.GENERIC_WRITE | smb2.FILE_READ_ATTRIBUTES)
)

// Disposition is what becomes of the name.
type Disposition uint32

const (
	// MustExist opens a file or folder that exists.
	MustExist = Disposition(smb2.FILE_OPEN)
	// MustBeNew makes a file, and fails if the name is taken.
	MustBeNew = Disposition(smb2.FILE_CREATE)
	// MayExist opens a file, and makes it if there is none.
	MayExist = Disposition(smb2.FILE_OPEN_IF)
)

// OpenAt opens or makes a file. isNew: it did not exist before.
func (fs *Share) OpenAt(name string, access Access, disposition Disposition) (f *File, seen *FileStat, isNew bool, err error) {
	create := fs.createRequest(uint32(access), uint32(disposition), 0)
	if disposition != MustExist {
		create.CreateOptions |= smb2.FILE_NON_DIRECTORY_FILE
	}
	answers, err := fs.exchange(name, create, queryAll())
	if err != nil {
		return nil, nil, false, err
	}
	r := smb2.CreateResponseDecoder(answers[0])
	f = fs.newFile(r, normPath(name))
	if seen, err = statOf(answers[1], f.name); err != nil {
		_ = f.close()
		return nil, nil, false, err
	}
	const created = 2
	return f, seen, r.CreateAction() == created, nil
}

// Look returns the attributes of a file or folder, with its FileId. That needs no right to read it.
func (fs *Share) Look(name string) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, 0)
	answers, err := fs.exchange(name, create, queryAll(), &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	return statOf(answers[1], normPath(name))
}

// MakeFolder makes a folder, which programs see in listings unless it is hidden.
func (fs *Share) MakeFolder(name string, isHidden bool) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_READ_ATTRIBUTES, smb2.FILE_CREATE, smb2.FILE_DIRECTORY_FILE)
	create.FileAttributes = smb2.FILE_ATTRIBUTE_DIRECTORY
	if isHidden {
		create.FileAttributes |= smb2.FILE_ATTRIBUTE_HIDDEN
	}
	answers, err := fs.exchange(name, create, queryAll(), &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	return statOf(answers[1], normPath(name))
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
	create := fs.createRequest(smb2.DELETE, smb2.FILE_OPEN, options)
	remove := setFile(smb2.FileDispositionInformation, &smb2.FileDispositionInformationEncoder{DeletePending: 1})
	_, err := fs.exchange(name, create, remove, &smb2.CloseRequest{})
	return err
}

// DeleteUnused is Delete for a file that nobody has open: a sharing violation if somebody has.
func (fs *Share) DeleteUnused(name string) error {
	create := fs.createRequest(smb2.DELETE, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT|smb2.FILE_NON_DIRECTORY_FILE)
	create.ShareAccess = 0
	remove := setFile(smb2.FileDispositionInformation, &smb2.FileDispositionInformationEncoder{DeletePending: 1})
	_, err := fs.exchange(name, create, remove, &smb2.CloseRequest{})
	return err
}

// ClearReadOnly takes the attribute away that keeps a file from being removed.
func (fs *Share) ClearReadOnly(name string) error {
	create := fs.createRequest(smb2.FILE_WRITE_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_OPEN_REPARSE_POINT)
	clearing := &smb2.FileBasicInformationEncoder{FileAttributes: smb2.FILE_ATTRIBUTE_NORMAL}
	_, err := fs.exchange(name, create, setFile(smb2.FileBasicInformation, clearing), &smb2.CloseRequest{})
	return err
}

// Resize changes the length of a file.
func (fs *Share) Resize(name string, size int64) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_WRITE_DATA|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, smb2.FILE_NON_DIRECTORY_FILE)
	resize := setFile(smb2.FileEndOfFileInformation, &smb2.FileEndOfFileInformationEncoder{EndOfFile: size})
	answers, err := fs.exchange(name, create, resize, queryAll(), &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	return statOf(answers[2], normPath(name))
}

// SetTimes changes the times of a file or folder. A zero time stays.
func (fs *Share) SetTimes(name string, accessed, written time.Time) (*FileStat, error) {
	create := fs.createRequest(smb2.FILE_WRITE_ATTRIBUTES|smb2.FILE_READ_ATTRIBUTES, smb2.FILE_OPEN, 0)
	answers, err := fs.exchange(name, create, setFile(smb2.FileBasicInformation, timesOf(accessed, written)), queryAll(), &smb2.CloseRequest{})
	if err != nil {
		return nil, err
	}
	return statOf(answers[2], normPath(name))
}

// SetTimes is Share.SetTimes for a file that is open for writing.
func (f *File) SetTimes(accessed, written time.Time) error {
	return f.setInfo(setFile(smb2.FileBasicInformation, timesOf(accessed, written)))
}

// MaxReadSize is the longest read that goes to the server as one request.
func (f *File) MaxReadSize() int { return f.maxReadSize() }

// MaxWriteSize is the longest write that goes to the server as one request.
func (f *File) MaxWriteSize() int { return f.maxWriteSize() }

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

func statOf(answer []byte, name string) (*FileStat, error) {
	info := smb2.FileAllInformationDecoder(smb2.QueryInfoResponseDecoder(answer).OutputBuffer())
	if info.IsInvalid() {
		return nil, &InvalidResponseError{"broken query info response format"}
	}
	basic, std := info.BasicInformation(), info.StandardInformation()
	return &FileStat{
		CreationTime:   time.Unix(0, basic.CreationTime().Nanoseconds()),
		LastAccessTime: time.Unix(0, basic.LastAccessTime().Nanoseconds()),
		LastWriteTime:  time.Unix(0, basic.LastWriteTime().Nanoseconds()),
		ChangeTime:     time.Unix(0, basic.ChangeTime().Nanoseconds()),
		EndOfFile:      std.EndOfFile(),
		AllocationSize: std.AllocationSize(),
		FileAttributes: basic.FileAttributes(),
		FileId:         uint64(info.InternalInformation().IndexNumber()),
		FileName:       base(name),
	}, nil
}
