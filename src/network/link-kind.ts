// The kind of link of an interface, in words for people, and this machine's neighbours.

export interface LinkKind {
  readonly kind: "thunderbolt" | "wired" | "unknown" | "wifi" | "tunnel";
  /** For people: "Thunderbolt bridge, 40 Gbit/s". */
  readonly text: string;
  /** Mbit/s; null: unknown. */
  readonly speed: number | null;
}

/** The link that leads to a host. */
export interface RouteDevice extends LinkKind {
  readonly device: string;
}

export interface Neighbour {
  readonly address: string;
  readonly interfaceName: string;
  /** `aa:bb:cc:dd:ee:ff` */
  readonly mac: string;
}

export interface NetworkLinks {
  of(interfaceName: string): Promise<LinkKind>;
  neighbours(): Promise<readonly Neighbour[]>;
  /** The IPv4 gateways of default routes. */
  gateways(): Promise<readonly Pick<Neighbour, "address" | "interfaceName">[]>;
}

export const UNKNOWN_LINK: LinkKind = { kind: "unknown", text: "unknown link", speed: null };

export function linkKind(kind: LinkKind["kind"], name: string, speed: number | null): LinkKind {
  const known = speed !== null && speed > 0 ? speed : null;
  const rate = known === null ? "" : `, ${known >= 1000 ? `${known / 1000} Gbit/s` : `${known} Mbit/s`}`;
  return { kind, text: `${name}${rate}`, speed: known };
}
