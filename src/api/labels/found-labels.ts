// Texts about a found server: its name, its link, and how it was found. Pure.
import type { FoundServer } from "../setup/found-server.ts";

const SOURCES = {
  "dns-sd": "advertises SMB",
  "ws-discovery": "answers WS-Discovery",
  neighbour: "on this network",
  mounted: "mounted here",
  fstab: "in /etc/fstab",
} as const;

export function foundServerText({ name, host, link, by }: FoundServer) {
  return {
    name: name ?? host ?? "?",
    link: link.text,
    known: by.map((source) => SOURCES[source]).join(", "),
  };
}
