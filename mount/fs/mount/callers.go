package mount

import "github.com/hanwen/go-fuse/v2/fuse"

// A request has the thread that asks. One of the repeater is marked, and what it never asks is refused; of any other that looks for a name, or
// opens a folder, its process may have a watch.

func (k kernel) from(in *fuse.InHeader) (isRepeater bool) {
	if isRepeater = k.share.repeats.isFrom(in.Pid); isRepeater {
		in.Pid = repeated
	}
	return isRepeater
}

func (k kernel) looks(in *fuse.InHeader) {
	if !k.from(in) {
		k.share.watchers.note(in.Pid)
	}
}

func (k kernel) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	k.looks(in)
	return k.RawFileSystem.Lookup(cancel, in, name, out)
}

func (k kernel) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.looks(&in.InHeader)
	return k.RawFileSystem.GetAttr(cancel, in, out)
}

func (k kernel) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if k.from(&in.InHeader) {
		return fuse.EPERM
	}
	k.share.watchers.note(in.Pid)
	return k.RawFileSystem.OpenDir(cancel, in, out)
}

func (k kernel) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.from(&in.InHeader)
	return k.RawFileSystem.SetAttr(cancel, in, out)
}

func (k kernel) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	k.from(&in.InHeader)
	return k.RawFileSystem.Open(cancel, in, out)
}

func (k kernel) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	k.from(&in.InHeader)
	return k.RawFileSystem.Create(cancel, in, name, out)
}

func (k kernel) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	k.from(&in.InHeader)
	return k.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (k kernel) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	k.from(in)
	return k.RawFileSystem.Rmdir(cancel, in, name)
}

func (k kernel) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if k.from(&in.InHeader) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Mknod(cancel, in, name, out)
}

func (k kernel) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if k.from(&in.InHeader) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Link(cancel, in, name, out)
}

func (k kernel) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if k.from(in) {
		return fuse.EPERM
	}
	return k.RawFileSystem.Symlink(cancel, in, target, name, out)
}
