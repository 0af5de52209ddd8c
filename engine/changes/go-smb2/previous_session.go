package smb2

// Id is what a later Dialer names as PreviousSessionId.
func (c *Session) Id() uint64 {
	return c.s.sessionId
}

// ServerGuid is the server's own mark: another machine, or another system on it, has another one.
func (c *Session) ServerGuid() [16]byte {
	return c.s.serverGuid
}
