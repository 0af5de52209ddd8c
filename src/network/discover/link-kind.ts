// What kind of link an interface is, in words for people, and whom this machine has met on it.

export interface LinkKind {
  readonly kind: "thunderbolt" | "wired" | "wifi" | "unknown";
  /** For people: "Thunderbolt bridge, 40 Gbit/s". */
  readonly text: string;
  /** Megabits in a second; null: not told. */
  readonly speed: number | null;
}

export interface Neighbour {
  readonly address: string;
  readonly interfaceName: string;
  /** `aa:bb:cc:dd:ee:ff` */
  readonly mac: string;
}

export interface Links {
  of(interfaceName: string): Promise<LinkKind>;
  neighbours(): Promise<readonly Neighbour[]>;
  /** Gateways of default routes, IPv4. */
  gateways(): Promise<readonly Pick<Neighbour, "address" | "interfaceName">[]>;
}

export const UNKNOWN_LINK: LinkKind = { kind: "unknown", text: "unknown link", speed: null };

export function linkKind(kind: LinkKind["kind"], name: string, speed: number | null): LinkKind {
  const known = speed !== null && speed > 0 ? speed : null;
  const rate = known === null ? "" : `, ${known >= 1000 ? `${known / 1000} Gbit/s` : `${known} Mbit/s`}`;
  return { kind, text: `${name}${rate}`, speed: known };
}
