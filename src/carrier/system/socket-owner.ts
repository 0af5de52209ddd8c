// Finds the user who opened a connection to a port of 127.0.0.1.

import type { Clock } from "../../runtime/time/clock.ts";
import type { OwnerTable } from "./owner-table.ts";
import { readOwnersDarwin } from "./socket-owner-darwin.ts";
import { readOwnersLinux } from "./socket-owner-linux.ts";

interface OwnerReader {
  /** Whether one reading has all ports; if not, `read` is called for one at a time. */
  readonly hasAllPorts: boolean;
  read(clock: Clock, port: number): Promise<OwnerTable>;
}

export type SocketOwners = ReturnType<typeof createSocketOwners>;

/** One reading serves all calls that came before it began. */
export function createSocketOwners(
  clock: Clock,
  reader: OwnerReader = process.platform === "darwin"
    ? { hasAllPorts: false, read: readOwnersDarwin }
    : { hasAllPorts: true, read: readOwnersLinux },
) {
  const lines = new Map<number, { running: Promise<OwnerTable>; next: Promise<OwnerTable> | null }>();
  const tableOf = (localPort: number): Promise<OwnerTable> => {
    const key = reader.hasAllPorts ? 0 : localPort;
    const line = lines.get(key);
    if (line === undefined) return begin(key, localPort);
    const again = (): Promise<OwnerTable> => begin(key, localPort);
    line.next ??= line.running.then(again, again);
    return line.next;
  };
  const begin = (key: number, localPort: number): Promise<OwnerTable> => {
    const running = reader.read(clock, localPort);
    const line = { running, next: null };
    lines.set(key, line);
    const ended = (): void => {
      if (lines.get(key) === line && line.next === null) lines.delete(key);
    };
    running.then(ended, ended);
    return running;
  };
  return {
    /** null: there is no such connection. Rejects when the table cannot be read. */
    async ownerOf(address: string, port: number, localPort: number): Promise<number | null> {
      const owner = (await tableOf(localPort)).ownerOf(address, port, localPort);
      // The table is no snapshot: a row may be missed while others come and go.
      return owner ?? (await tableOf(localPort)).ownerOf(address, port, localPort);
    },
  };
}
