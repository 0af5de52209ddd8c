// Servers that were found, one a line. Pure.
import type { FoundServer } from "../../api/found-server.ts";
import { hostText } from "../../config/values/host.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { renderTable } from "./table-view.ts";
import type { TerminalStyle } from "./terminal-style.ts";

const WAYS = {
  "dns-sd": "advertises SMB",
  "ws-discovery": "answers WS-Discovery",
  neighbour: "met on this link",
  mounted: "mounted here",
  fstab: "in /etc/fstab",
} as const;

/** Cells of one server: what it calls itself, its address, the link that leads there, and how it is known. */
export function serverCells({ address, port, name, host, link, by }: FoundServer): string[] {
  const known = by.map((way) => WAYS[way]).join(", ");
  return [name ?? host ?? "?", hostText({ host: address, port }), link.text, known].map(harmless);
}

export function renderServers(servers: readonly FoundServer[], style: TerminalStyle): string {
  if (servers.length === 0) return "";
  return renderTable(["NAME", "ADDRESS", "LINK", "KNOWN BY"], servers.map(serverCells), style);
}
