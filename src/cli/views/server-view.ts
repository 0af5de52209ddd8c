// Found servers, one per line. Pure.

import { foundServerText } from "../../api/labels/found-labels.ts";
import type { FoundServer } from "../../api/setup/found-server.ts";
import { hostText } from "../../config/values/host-text.ts";
import type { TerminalStyle } from "../../runtime/text/paint.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { renderTable } from "./table-view.ts";

export function serverCells(server: FoundServer): string[] {
  const { name, link, known } = foundServerText(server);
  return [name, hostText({ host: server.address, port: server.port }), link, known].map(printable);
}

export function renderServers(servers: readonly FoundServer[], style: TerminalStyle): string {
  if (servers.length === 0) return "";
  return renderTable(["NAME", "ADDRESS", "LINK", "KNOWN BY"], servers.map(serverCells), style);
}
