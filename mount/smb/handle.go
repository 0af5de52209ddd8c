package smb2

import (
	"io"
	"log"
	"strings"
	"time"

	"github.com/cloudsoda/go-smb2/internal/erref"
	"github.com/cloudsoda/go-smb2/internal/smb2"
)

// Handle is a file or folder that is open on the server. Its methods return the server's status as a ResponseError.
type Handle struct {
	fs *Share
	id *smb2.FileId
	// Lease is nil if the server granted none.
	Lease Lease
	// For listings: the folder's path, how many pages in a row had no entry, and whether an entry was left out.
	folder  string
	empty   int
	leftOut bool
}

// ErrBroken: the answer is authentic but invalid.
var ErrBroken = &BrokenError{}

type BrokenError struct{}

func (*BrokenError) Error() string { return "the server's answer makes no sense" }

// Block is a part of a file, in the buffer that received it.
type Block struct {
	Data []byte
	rr   *requestResponse
}

// Release releases the buffer. Data must not be used after it.
func (b Block) Release() {
	if b.rr != nil {
		b.rr.freeRecvBuf()
	}
}

// Read reads up to length bytes; io.EOF: the file ends at or before off. It may return fewer bytes than there are.
func (h *Handle) Read(length int, off int64) (Block, error) {
	length = min(length, h.fs.MaxReadSize())
	charge, granted, err := h.fs.borrowCredits(length)
	if err != nil {
		return Block{}, err
	}
	req := &smb2.ReadRequest{FileId: h.id, Length: uint32(min(length, granted)), Offset: uint64(off), MinimumCount: 1}
	req.CreditCharge = charge
	rr, err := h.fs.send(h.fs.ctx, req)
	if err != nil {
		return Block{}, err
	}
	pkt, err := h.fs.recv(rr)
	if err != nil {
		return Block{}, err
	}
	res, err := answerOf(pkt)
	if statusOfError(err) == erref.STATUS_END_OF_FILE {
		err = io.EOF
	}
	if err != nil {
		rr.freeRecvBuf()
		return Block{}, err
	}
	return Block{smb2.ReadResponseDecoder(res).Data(), rr}, nil
}

// Write writes data in requests of part bytes, and sends them all before it waits for the first answer: while the server stores one, the next is
// signed. It returns how many bytes from the start of data were written.
func (h *Handle) Write(data []byte, off int64, part int) (written int, err error) {
	part = min(part, h.fs.MaxWriteSize())
	var parts []writing
	var unsent error
	for at := 0; at < len(data) && unsent == nil; {
		var next writing
		if next, unsent = h.startWrite(data[at:min(at+part, len(data))], off+int64(at)); unsent == nil {
			parts = append(parts, next)
			at += next.length
		}
	}
	isWhole := true
	for _, each := range parts {
		n, e := h.written(each)
		if isWhole {
			written += n
			isWhole, err = n == each.length, e
		}
	}
	if isWhole {
		err = unsent
	}
	return written, err
}

// writing is a part of a write in flight.
type writing struct {
	length int
	rr     *requestResponse
}

func (h *Handle) startWrite(data []byte, off int64) (writing, error) {
	charge, granted, err := h.fs.borrowCredits(len(data))
	if err != nil {
		return writing{}, err
	}
	req := &smb2.WriteRequest{FileId: h.id, Offset: uint64(off), Data: data[:min(len(data), granted)]}
	req.CreditCharge = charge
	rr, err := h.fs.send(h.fs.ctx, req)
	return writing{len(req.Data), rr}, err
}

func (h *Handle) written(part writing) (int, error) {
	pkt, err := h.fs.recv(part.rr)
	if err != nil {
		return 0, err
	}
	res, err := answerOf(pkt)
	if err != nil {
		return 0, err
	}
	return int(smb2.WriteResponseDecoder(res).Count()), nil
}

// Stat returns the attributes.
func (h *Handle) Stat() (*FileStat, error) {
	req := queryAll()
	if err := h.charge(req); err != nil {
		return nil, err
	}
	req.FileId = h.id
	res, err := h.ask(req)
	if err != nil {
		return nil, err
	}
	return statOf(res)
}

// Sync returns once the written bytes are on the server's disk, if its settings allow that.
func (h *Handle) Sync() error {
	req := &smb2.FlushRequest{FileId: h.id}
	if err := h.charge(req); err != nil {
		return err
	}
	_, err := h.ask(req)
	return err
}

func (h *Handle) Resize(size int64) error {
	return h.set(smb2.FileEndOfFileInformation, &smb2.FileEndOfFileInformationEncoder{EndOfFile: size})
}

// SetTimes sets times by this handle, and returns the attributes after that, in one round trip. A zero time is not set. After it most servers keep
// the time of the last write although this handle writes.
func (h *Handle) SetTimes(accessed, written time.Time) (*FileStat, error) {
	req := setFile(smb2.FileBasicInformation, timesOf(accessed, written))
	if err := h.charge(req); err != nil {
		return nil, err
	}
	req.FileId = h.id
	rr, err := h.fs.send(h.fs.ctx, req)
	if err != nil {
		return nil, err
	}
	seen, err := h.Stat()
	pkt, refused := h.fs.recv(rr)
	if refused == nil {
		defer rr.freeRecvBuf()
		_, refused = answerOf(pkt)
	}
	if refused != nil {
		return nil, refused
	}
	return seen, err
}

func (h *Handle) set(class uint8, input smb2.Encoder) error {
	req := setFile(class, input)
	if err := h.charge(req); err != nil {
		return err
	}
	req.FileId = h.id
	_, err := h.ask(req)
	return err
}

// Close closes the file, and returns its length and times. Even after an error the handle is closed.
func (h *Handle) Close() (*FileStat, error) {
	req := &smb2.CloseRequest{FileId: h.id, Flags: smb2.SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB}
	if err := h.charge(req); err != nil {
		return nil, err
	}
	if h.Lease != nil {
		defer h.fs.conn.breaks.closed(h.Lease)
	}
	res, err := h.ask(req)
	if err != nil {
		return nil, err
	}
	r := smb2.CloseResponseDecoder(res)
	if r.Flags()&smb2.SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB == 0 {
		return nil, nil
	}
	return &FileStat{
		CreationTime:   timeOf(r.CreationTime()),
		LastAccessTime: timeOf(r.LastAccessTime()),
		LastWriteTime:  timeOf(r.LastWriteTime()),
		ChangeTime:     timeOf(r.ChangeTime()),
		EndOfFile:      r.EndofFile(),
		AllocationSize: r.AllocationSize(),
		FileAttributes: r.FileAttributes(),
	}, nil
}

// List returns the next entries of a folder, without . and .., and io.EOF after the last one.
func (h *Handle) List() ([]*FileStat, error) {
	size := min(h.fs.longest(h.fs.maxTransactSize), listedAtMost)
	charge, granted, err := h.fs.borrowCredits(size)
	if err != nil {
		return nil, err
	}
	req := &smb2.QueryDirectoryRequest{
		FileInfoClass:      smb2.FileIdBothDirectoryInformation,
		OutputBufferLength: uint32(min(size, granted)),
		FileName:           "*",
		FileId:             h.id,
	}
	req.CreditCharge = charge
	res, err := h.ask(req)
	if status := statusOfError(err); status == erref.STATUS_NO_MORE_FILES || status == erref.STATUS_NO_SUCH_FILE {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	return h.entriesOf(smb2.QueryDirectoryResponseDecoder(res).OutputBuffer())
}

// A page of a listing: some 2,000 entries.
const listedAtMost = 256 << 10

const (
	// 255 characters of UTF-16.
	nameAtMost = 510
	pathAtMost = 64 << 10
	// A listing ends after this number of pages without an entry.
	emptyAtMost = 16
	namedAtMost = 64
)

func (h *Handle) leaveOut(name string) {
	if h.leftOut {
		return
	}
	h.leftOut = true
	log.Printf("the listing of %q leaves out an invalid name of %d bytes: %.*q", h.folder, len(name), namedAtMost, name)
}

// entriesOf reads a page. Entries with invalid names are left out; entries that overlap are an error.
func (h *Handle) entriesOf(page []byte) (entries []*FileStat, err error) {
	for {
		info := smb2.FileIdBothDirectoryInformationDecoder(page)
		if info.IsInvalid() || info.EndOfFile() < 0 || info.AllocationSize() < 0 {
			return nil, ErrBroken
		}
		name := info.FileName(0)
		switch {
		case name == "." || name == "..":
		case info.FileNameLength() > nameAtMost || name == "" || strings.ContainsAny(name, "/\\\x00"):
			h.leaveOut(name)
		default:
			entries = append(entries, &FileStat{
				CreationTime:    timeOf(info.CreationTime()),
				LastAccessTime:  timeOf(info.LastAccessTime()),
				LastWriteTime:   timeOf(info.LastWriteTime()),
				ChangeTime:      timeOf(info.ChangeTime()),
				EndOfFile:       info.EndOfFile(),
				AllocationSize:  info.AllocationSize(),
				FileAttributes:  info.FileAttributes(),
				FileId:          info.FileId(),
				ReparsePointTag: info.ReparsePointTag(),
				FileName:        name,
			})
		}
		next := info.NextEntryOffset()
		if next == 0 {
			break
		}
		if uint64(next) >= uint64(len(page)) || uint64(next) < 104+uint64(info.FileNameLength()) {
			return nil, ErrBroken
		}
		page = page[next:]
	}
	if h.empty++; len(entries) > 0 {
		h.empty = 0
	}
	if h.empty > emptyAtMost {
		return nil, ErrBroken
	}
	return entries, nil
}

// Change is a name in a watched folder, or a path below it.
type Change struct {
	Name string
	// It was created or removed, perhaps by a rename; otherwise it has changed.
	IsNew, IsGone bool
}

// Watch sends a CHANGE_NOTIFY for the folder, or for the whole tree below it. The function that it returns waits for the changes; without any: more
// has changed than fits into the answer.
func (h *Handle) Watch(isTree bool) (changes func() ([]Change, error), err error) {
	const any = 0x17F // names, attributes, sizes, times
	req := &smb2.ChangeNotifyRequest{FileId: h.id, OutputBufferLength: 16 << 10, CompletionFilter: any, IsTree: isTree}
	if err := h.charge(req); err != nil {
		return nil, err
	}
	rr, err := h.fs.send(h.fs.ctx, req)
	if err != nil {
		return nil, err
	}
	if err := h.checkRemoved(); err != nil {
		return nil, err
	}
	return func() ([]Change, error) { return h.changesIn(rr, isTree) }, nil
}

// checkRemoved returns DELETE_PENDING if the folder is removed once all handles are closed. Samba sends that only to requests that were waiting.
func (h *Handle) checkRemoved() error {
	req := queryAll()
	if err := h.charge(req); err != nil {
		return err
	}
	req.FileId = h.id
	res, err := h.ask(req)
	if err != nil {
		return err
	}
	info := smb2.FileAllInformationDecoder(smb2.QueryInfoResponseDecoder(res).OutputBuffer())
	if !info.IsInvalid() && info.StandardInformation().DeletePending() != 0 {
		return &ResponseError{Code: uint32(erref.STATUS_DELETE_PENDING)}
	}
	return nil
}

func (h *Handle) changesIn(rr *requestResponse, isTree bool) (changes []Change, err error) {
	pkt, err := h.fs.recv(rr)
	if err != nil {
		return nil, err
	}
	res, err := answerOf(pkt)
	if statusOfError(err) == erref.STATUS_NOTIFY_ENUM_DIR {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	most := nameAtMost
	if isTree {
		most = pathAtMost
	}
	all, ok := smb2.ChangeNotifyResponseDecoder(res).Changes(most)
	if !ok {
		return nil, ErrBroken
	}
	for _, each := range all {
		isNew := each.Action == smb2.ActionAdded || each.Action == smb2.ActionNewName
		isGone := each.Action == smb2.ActionRemoved || each.Action == smb2.ActionOldName
		changes = append(changes, Change{each.Name, isNew, isGone})
	}
	return changes, nil
}

// charge borrows a credit for the request.
func (h *Handle) charge(req smb2.Packet) (err error) {
	req.Header().CreditCharge, _, err = h.fs.borrowCredits(1)
	return err
}

func (h *Handle) ask(req smb2.Packet) ([]byte, error) {
	rr, err := h.fs.send(h.fs.ctx, req)
	if err != nil {
		return nil, err
	}
	pkt, err := h.fs.recv(rr)
	if err != nil {
		return nil, err
	}
	return answerOf(pkt)
}

// answerOf returns the body of an answer, or the server's error.
func answerOf(pkt []byte) ([]byte, error) {
	p := smb2.PacketCodec(pkt)
	if erref.NtStatus(p.Status()) == erref.STATUS_SUCCESS {
		return p.Data(), nil
	}
	err := acceptError(p.Status(), p.Data())
	if _, ok := err.(*ResponseError); !ok {
		err = &ResponseError{Code: p.Status()}
	}
	return nil, err
}

func statusOfError(err error) erref.NtStatus {
	if response, ok := err.(*ResponseError); ok {
		return erref.NtStatus(response.Code)
	}
	return 0
}

func timeOf(t smb2.FiletimeDecoder) time.Time { return time.Unix(0, t.Nanoseconds()) }

// MaxReadSize is the longest read that goes to the server as one request.
func (fs *Share) MaxReadSize() int { return fs.longest(fs.maxReadSize) }

// MaxWriteSize is the longest write that goes to the server as one request.
func (fs *Share) MaxWriteSize() int { return fs.longest(fs.maxWriteSize) }

func (fs *Share) longest(size uint32) int {
	if fs.conn.capabilities&smb2.SMB2_GLOBAL_CAP_LARGE_MTU == 0 {
		return min(int(size), singleCreditMaxPayloadSize)
	}
	return min(int(size), winMaxPayloadSize)
}
