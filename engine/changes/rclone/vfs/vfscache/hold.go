package vfscache

// Hold lets nothing be sent of the items with these names until release is
// called. A move on the remote changes what the names stand for: an upload
// that is under way then would put the old contents back.
func (c *Cache) Hold(names ...string) (release func()) {
	var releases []func()
	for _, name := range names {
		c.mu.Lock()
		item := c.item[clean(name)]
		c.mu.Unlock()
		if item == nil {
			continue
		}
		item.mu.Lock()
		id := item.writeBackID
		item.mu.Unlock()
		releases = append(releases, c.writeback.Hold(id))
	}
	return func() {
		for _, release := range releases {
			release()
		}
	}
}

// MayBeOnRemote returns whether an upload of this item began whose outcome is
// not known: without an answer, or before this process
func (c *Cache) MayBeOnRemote(name string) bool {
	item := c.DirtyItem(name)
	if item == nil {
		return false
	}
	item.mu.Lock()
	defer item.mu.Unlock()
	return item.tried
}
