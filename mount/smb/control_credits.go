package smb2

// take takes as many of these credits as there are, without waiting. The answer returns them; those that were not taken would be
// counted twice.
func (a *account) take(credits uint16) (taken uint16) {
	for taken < credits {
		select {
		case <-a.balance:
			taken++
		default:
			return taken
		}
	}
	return taken
}
