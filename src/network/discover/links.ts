// Picks how this system tells of its links and neighbours.
import type { Links } from "./link-kind.ts";
import { readLinksDarwin } from "./links-darwin.ts";
import { readLinksLinux } from "./links-linux.ts";

/** Reads what the system has; nothing is sent. Never rejects but for the signal's reason. */
export function readLinks(signal: AbortSignal): Links {
  return process.platform === "darwin" ? readLinksDarwin(signal) : readLinksLinux();
}
