// The owners of this machine's TCP connections, as the system listed them at one time.

/** One reading of the system's table of established TCP connections. */
export interface OwnerTable {
  /**
   * The user that has the end at `address` and `port` of a connection to `localPort` of 127.0.0.1; null: no such row.
   */
  ownerOf(address: string, port: number, localPort: number): number | null;
}
