module mountaineer/mount

go 1.26.0

ignore (
	./fuse
	./smb
)

require (
	github.com/cloudsoda/go-smb2 v0.0.0-20260918041005-0c5d69b69701
	github.com/hanwen/go-fuse/v2 v2.11.0
	golang.org/x/sys v0.49.0
)
