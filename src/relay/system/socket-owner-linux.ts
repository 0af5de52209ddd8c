// Reads the owners of TCP connections in this process's network namespace from /proc/net/tcp and tcp6.
import { readFile } from "node:fs/promises";
import { recoverFrom } from "../../runtime/errors.ts";
import type { OwnerTable } from "./owner-table.ts";

const ESTABLISHED = "01";
const MAPPED_PREFIX = "0000000000000000FFFF0000";

export async function readOwnersLinux(): Promise<OwnerTable> {
  const [four, six] = await Promise.all([
    readFile("/proc/net/tcp", "latin1").catch(recoverFrom("ENOENT", "")),
    // A kernel without IPv6 has no such file.
    readFile("/proc/net/tcp6", "latin1").catch(recoverFrom("ENOENT", "")),
  ]);
  return parseOwners(four, six);
}

/**
 * Only established connections count: a connection that was closed before it was accepted has uid 0 in the table,
 * whatever its owner. Addresses are in the machine's byte order, which is little-endian wherever Node runs.
 */
export function parseOwners(four: string, six: string): OwnerTable {
  return {
    ownerOf(address, port, localPort) {
      const client = hexOf(address);
      if (client === null) return null;
      const from = `:${hexPort(port)}`;
      const to = `:${hexPort(localPort)}`;
      const here = hexOf("127.0.0.1");
      return (
        find(four, `${client}${from} ${here}${to} ${ESTABLISHED} `) ??
        find(six, `${MAPPED_PREFIX}${client}${from} ${MAPPED_PREFIX}${here}${to} ${ESTABLISHED} `)
      );
    },
  };
}

/**
 * Rows: `sl local remote state queues timer retransmits uid …`. Each connection has a row for either end; `local` in
 * the client's row is the client's address.
 */
function find(table: string, wanted: string): number | null {
  // The blank in front excludes longer addresses with the same end.
  const at = table.indexOf(` ${wanted}`);
  if (at === -1) return null;
  const lineEnd = table.indexOf("\n", at);
  const fields = table
    .slice(at, lineEnd === -1 ? undefined : lineEnd)
    .trim()
    .split(/\s+/u);
  const uid = fields[6];
  return uid !== undefined && /^\d+$/u.test(uid) ? Number(uid) : null;
}

function hexOf(address: string): string | null {
  const plain = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
  const parts = plain.split(".");
  if (parts.length !== 4) return null;
  return parts
    .reverse()
    .map((part) => Number(part).toString(16).toUpperCase().padStart(2, "0"))
    .join("");
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}
