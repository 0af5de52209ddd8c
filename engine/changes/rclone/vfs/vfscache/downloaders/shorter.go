package downloaders

import "errors"

// errShorter counts as a failed download: what is missing would else be asked
// for again at once, for ever.
var errShorter = errors.New("the remote's file is shorter than it was")

func (dl *downloader) wasStopped() bool {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	return dl.stop
}
