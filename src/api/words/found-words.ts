// Servers that were found, in words: what one calls itself, the link that leads there, and how it is known. Pure.
import type { FoundServer } from "../found-server.ts";

const WAYS = {
  "dns-sd": "advertises SMB",
  "ws-discovery": "answers WS-Discovery",
  neighbour: "met on this link",
  mounted: "mounted here",
  fstab: "in /etc/fstab",
} as const;

export function foundWords({ name, host, link, by }: FoundServer) {
  return { name: name ?? host ?? "?", link: link.text, known: by.map((way) => WAYS[way]).join(", ") };
}
