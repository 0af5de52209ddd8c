package smb2

// take takes up to this number of credits without waiting. The answer returns all of them, so credits that were not taken would count twice.
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
