package client

import (
	"maps"
	"slices"
	"time"

	"mountaineer/mount/fs/identity"
	"mountaineer/mount/fs/safely"
	"mountaineer/mount/fs/smb"
)

// The record of the server is updated when a session is used that prove has checked (recordProof), while programs use the share (keepRecord),
// and before an unmount (recordLast). Its entries have to be as they are on the server, or the next sign-in recognizes nothing.

const (
	recordTick = 10 * time.Second
	// In ticks: the first update of the entries, and then each further one.
	recordFirst, recordEvery = 6, 60
	// For this long after an answer a server's disks do not sleep.
	disksAwake = time.Minute
	// An unmount and a sign-in wait no longer for the server's entries.
	recordedWithin = 2 * time.Second
)

// recordProof updates the record with the result of prove, and its entries in the background. The caller holds mu.
func (cl *Client) recordProof(c *Conn) {
	isAccepted := cl.isAccepted(c.checked.reading.Guid)
	if c.checked.isReplacement {
		cl.forgetServer()
	}
	cl.acceptedGuid, cl.other = nil, nil
	c.ServerNumber, cl.clockAhead = cl.serverNumber, c.ClockAhead
	if cl.record == nil {
		if cl.options.Folder != "" {
			if err := identity.Archive(cl.options.Folder, time.Now()); err != nil {
				cl.logf("the old record of the server cannot be kept: %v", err)
			}
		}
		cl.record = &identity.Record{Guid: c.checked.reading.Guid, Share: cl.account.Share, NameMapping: cl.nameMapping, Root: c.checked.reading.Root}
		cl.proof = identity.First
	} else {
		cl.record = new(cl.record.Updated(c.checked.verdict, c.checked.reading, cl.record.Entries, cl.outage != nil))
		cl.proof = c.checked.verdict.Proof
	}
	cl.record.Protect(c.Proved(), c.Share, isAccepted)
	safely.Go(func() { cl.updateEntries(c) })
}

// updateEntries reads which entries the share has now, and writes the record with them.
func (cl *Client) updateEntries(c *Conn) {
	cl.recording.Lock()
	defer cl.recording.Unlock()
	cl.mu.Lock()
	requests := cl.requestCount
	cl.mu.Unlock()
	root, err := c.Share.StatAt("")
	listed, e := identity.ListRoot(c.Share)
	if err != nil || e != nil {
		return
	}
	entries := cl.withDeepFiles(c, identity.WithFiles(c.Share, listed), len(listed) == 0)
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// The server may answer although its volume is gone.
	if cl.record == nil || c.isRetired || c.ServerNumber != cl.serverNumber || root.FileId != cl.record.Root.Id {
		return
	}
	next := *cl.record
	next.Entries = identity.LongestUnchanged(entries)
	cl.record, cl.isRootEmpty, cl.countAtRecord = &next, len(listed) == 0, requests
	if cl.options.Folder == "" {
		return
	}
	if err := next.Write(cl.options.Folder); err != nil {
		cl.logf("the server cannot be recorded: %v", err)
	}
}

// withDeepFiles adds files that lie deeper than ListRoot and WithFiles search: those of the record if there is no other file, and the known ones.
func (cl *Client) withDeepFiles(c *Conn, entries []identity.Entry, isRootEmpty bool) []identity.Entry {
	cl.mu.Lock()
	record := cl.record
	cl.mu.Unlock()
	if record != nil && !isRootEmpty && !identity.HasFile(entries) {
		if now, err := identity.ReadRoot(c.Share, c.Server().Guid, record.Entries); err == nil {
			entries = append(entries, slices.Collect(maps.Values(now.Found))...)
		}
	}
	for _, each := range cl.options.Known() {
		isThere := slices.ContainsFunc(entries, func(one identity.Entry) bool { return one.Path == each.Path })
		if each.Written != 0 && !isThere {
			entries = append(entries, each)
		}
	}
	return entries
}

// RootChanged is called when this client has changed a name in the root: the record is outdated.
func (cl *Client) RootChanged() { notify(cl.rootChanged) }

// keepRecord updates the entries every 10 min, and 10 s after a change of the root, but never wakes a disk for that.
func (cl *Client) keepRecord() {
	for ticks := recordFirst; ; ticks-- {
		select {
		case <-cl.options.After(recordTick):
		case <-cl.rootChanged:
			select {
			case <-cl.options.After(recordTick):
				ticks = 0
			case <-cl.life.Done():
			}
		case <-cl.life.Done():
		}
		if cl.life.Err() != nil {
			return
		}
		if c := cl.connToRecord(); ticks <= 0 && c != nil {
			cl.updateEntries(c)
			ticks = recordEvery
		}
	}
}

// connToRecord is the connection for files, if programs have sent requests since the last update and the server's disks are awake; else nil.
func (cl *Client) connToRecord() *Conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.current == nil || cl.current.files == nil || cl.requestCount == cl.countAtRecord || smb.Monotonic()-cl.current.files.LastReceived() > disksAwake {
		return nil
	}
	return cl.current.files
}

// recordLast updates the record for the next start.
func (cl *Client) recordLast() {
	if c := cl.connToRecord(); c != nil {
		_, _ = Await(cl.life, nil, safely.Done(func() { cl.updateEntries(c) }), time.Now().Add(recordedWithin))
	}
}
