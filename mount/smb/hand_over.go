package smb2

import "context"

// handOver writes pkt, or passes it to the sender goroutine and waits until it is written. taken: some of it may be on the wire, whatever err is.
// If the request is cancelled before, the sender keeps its buffer, and the next request gets the result of the write. The caller holds conn.m.
func (conn *conn) handOver(ctx context.Context, pkt, tail []byte) (taken bool, err error) {
	if conn.abandoned {
		select {
		case err = <-conn.werr:
			conn.abandoned = false
			if err != nil {
				return false, &TransportError{err}
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if ctx.Done() == nil {
		// The request cannot be cancelled. Passing it to the sender would take as long as a short message.
		if tail != nil {
			err = conn.t.(*directTCP).writeParts(pkt, tail)
		} else {
			_, err = conn.t.Write(pkt)
		}
		if err != nil {
			return true, &TransportError{err}
		}
		return true, nil
	}
	select {
	case conn.write <- pkt:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case err = <-conn.werr:
		if err != nil {
			return true, &TransportError{err}
		}
		return true, nil
	case <-ctx.Done():
		conn.abandoned = true
		conn.encodeBuf = nil
		if s := conn.session.Load(); s != nil {
			s.encryptBuf = nil
		}
		return true, ctx.Err()
	}
}
