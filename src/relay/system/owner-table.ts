// The owners of this machine's established TCP connections: one reading of the system's table.

export interface OwnerTable {
  /** The user whose socket at `address` and `port` is connected to `localPort` of 127.0.0.1; null: no such row. */
  ownerOf(address: string, port: number, localPort: number): number | null;
}
