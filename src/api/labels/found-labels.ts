// Texts about a found server: its name, its link, and how it was found. Pure.
import type { FoundServer } from "../setup/found-server.ts";

const SOURCES = {
  "dns-sd": "advertises SMB",
  "ws-discovery": "answers WS-Discovery",
  neighbour: "on this network",
  mounted: "mounted here",
  fstab: "in /etc/fstab",
} as const;

/** `tb0, Thunderbolt, 10 Gbit/s`; of an unknown kind only `br0` */
export function linkText({ kind, text }: FoundServer["link"], device: string | null): string {
  if (device === null) return text;
  return kind === "unknown" ? device : `${device}, ${text}`;
}

export function foundServerText({ name, host, interface: device, link, by }: FoundServer) {
  return {
    name: name ?? host ?? "without a name",
    link: linkText(link, device),
    known: by.map((source) => SOURCES[source]).join(", "),
  };
}
