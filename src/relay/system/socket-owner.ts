// Finds the user who opened a connection to a port of 127.0.0.1.
import { createSemaphore, createSingleFlight } from "../../network/probe/single-flight.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { OwnerTable } from "./owner-table.ts";
import { readOwnersDarwin } from "./socket-owner-darwin.ts";
import { readOwnersLinux } from "./socket-owner-linux.ts";

/** Maximum number of ports that are looked up at the same time; each look-up runs a command. */
const PORTS_AT_ONCE = 4;

interface OwnerReader {
  /** False: one reading returns only the connections of the `port` that is passed to `read`. */
  readonly hasAllPorts: boolean;
  read(clock: Clock, port: number): Promise<OwnerTable>;
}

export type SocketOwners = ReturnType<typeof createSocketOwners>;

/** Each reading serves all calls that came before it began. */
export function createSocketOwners(
  clock: Clock,
  reader: OwnerReader = process.platform === "darwin"
    ? { hasAllPorts: false, read: readOwnersDarwin }
    : { hasAllPorts: true, read: readOwnersLinux },
) {
  const readings = createSingleFlight<OwnerTable>(clock);
  const semaphore = createSemaphore(reader.hasAllPorts ? 1 : PORTS_AT_ONCE);
  const tableOf = (localPort: number): Promise<OwnerTable> =>
    readings.run(reader.hasAllPorts ? "" : String(localPort), clock.monotonicMs(), (goesOut) =>
      semaphore.use(() => {
        goesOut();
        return reader.read(clock, localPort);
      }),
    );
  return {
    /**
     * The uid of the user who opened the connection; null: there is no such connection. Rejects if the table
     * cannot be read.
     */
    async ownerOf(address: string, port: number, localPort: number): Promise<number | null> {
      const owner = (await tableOf(localPort)).ownerOf(address, port, localPort);
      // Looks up a missing row again, because the table is not a snapshot: it may lack a row while other rows come and
      // go.
      return owner ?? (await tableOf(localPort)).ownerOf(address, port, localPort);
    },
  };
}
