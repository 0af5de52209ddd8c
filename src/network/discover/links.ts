// Picks the reader of links and neighbours for this system.
import type { NetworkLinks } from "../link-kind.ts";
import { readLinksDarwin } from "./links-darwin.ts";
import { readLinksLinux } from "./links-linux.ts";

/** Reads the system's tables; nothing is sent. Methods reject only with the signal's reason. */
export function readLinks(signal: AbortSignal): NetworkLinks {
  return process.platform === "darwin" ? readLinksDarwin(signal) : readLinksLinux();
}
