package mount

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mountaineer/mount/fs/client"
	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/rig"
	"mountaineer/mount/fs/smb"
)

func (m *mounted) crossed() int64 {
	now := m.client.Status().Bytes
	return now.ToServer + now.FromServer
}

// copyRange is what cp does: it asks for the whole file until nothing is left.
func copyRange(in, out *os.File) error {
	for {
		n, err := unix.CopyFileRange(int(in.Fd()), nil, int(out.Fd()), nil, 1<<30, 0)
		if err != nil || n == 0 {
			return err
		}
		if n > copiedAtMost {
			return errors.New("more than can be killed within a moment")
		}
	}
}

// oldest is the oldest dialect that is spoken.
var oldest = rig.Global("server max protocol = SMB2_10")

func TestTheServerCopies(t *testing.T) {
	for name, options := range map[string][]rig.Option{"3.1.1": nil, "2.1": {oldest}} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t, patient, options...)
			if is := m.client.Status().Dialect; is != name {
				t.Fatal(is)
			}
			data := m.put("source", 37*mib+5)
			source, target := m.open("source"), openFile(t, m.here("target"), os.O_RDWR|os.O_CREATE)
			write(t, m.here("across："), "")
			before := m.crossed()
			rig.Must(t, copyRange(source, target))
			part := client.CopyPart{From: "source", Share: "again", To: "across:", NameMapping: identity.RcloneMapping}
			for part.Offset < int64(len(data)) {
				copied, err := m.share.CopyAcross(t.Context(), part)
				rig.Must(t, err)
				part.Offset += copied.Copied
			}
			if crossed := m.crossed() - before; crossed > mib/4 {
				t.Errorf("%d bytes crossed the cable", crossed)
			}
			rig.Must(t, isAt(target, data, 0))
			for _, each := range []string{"target", "across："} {
				if got, err := os.ReadFile(m.Theirs(each)); err != nil || !bytes.Equal(got, data) {
					t.Errorf("the server has other bytes, %v", err)
				}
			}
			for _, share := range []string{"closed", "none"} {
				part.Share = share
				if _, err := m.share.CopyAcross(t.Context(), part); smb.CodeOf(err) != smb.NoShare {
					t.Errorf("%s: %v", share, err)
				}
			}
		})
	}
}

func TestACopyIntoAFileLeavesTheRestOfIt(t *testing.T) {
	m := newMount(t, patient)
	data, want := m.put("source", 2*mib), m.put("target", 3*mib)
	source, target := m.open("source"), openFile(t, m.here("target"), os.O_RDWR)
	// So the kernel has its pages.
	rig.Must(t, isAt(target, want, 0))
	from, to := int64(mib-7), int64(99)
	n, err := unix.CopyFileRange(int(source.Fd()), &from, int(target.Fd()), &to, mib, 0)
	rig.Must(t, err)
	copy(want[99:], data[mib-7:][:n])
	if n != mib {
		t.Errorf("%d bytes", n)
	}
	rig.Must(t, isAt(target, want, 0))
	// The source ends on the server, whatever the kernel believes.
	rig.Must(t, os.Truncate(m.Theirs("source"), mib))
	from, to = mib, 0
	if n, err := unix.CopyFileRange(int(source.Fd()), &from, int(target.Fd()), &to, mib, 0); n != 0 || err != nil {
		t.Errorf("behind the end: %d bytes, %v", n, err)
	}
}

func TestACopyGoesOnAfterLosses(t *testing.T) {
	m := newMount(t, patient)
	data := m.put("source", 300*mib)
	source, target := m.open("source"), openFile(t, m.here("target"), os.O_RDWR|os.O_CREATE)
	stop := m.cutOften(20 * time.Millisecond)
	err := copyRange(source, target)
	if cuts := stop(); cuts == 0 {
		t.Error("it was not cut")
	}
	rig.Must(t, err)
	got, err := os.ReadFile(m.Theirs("target"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the server has %d other bytes, %v", len(got), err)
	}
}

func TestACopyOfAFileThatWasReplacedEnds(t *testing.T) {
	m := newMount(t, patient)
	m.put("source", mib)
	source, target := m.open("source"), openFile(t, m.here("target"), os.O_RDWR|os.O_CREATE)
	m.put("other", mib)
	m.Cable.Set(true)
	rig.Must(t, os.Rename(m.Theirs("other"), m.Theirs("source")))
	m.Cable.Set(false)
	if err := copyRange(source, target); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("%v", err)
	}
	if n, err := target.Seek(0, io.SeekEnd); n != 0 || err != nil {
		t.Errorf("%d bytes were copied, %v", n, err)
	}
}
