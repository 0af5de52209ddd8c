// A new share that a person typed, and its table for the configuration. Pure.
import { PROVED_NETWORKS } from "../values/names.ts";
import type { ConfigTable } from "./edit-value.ts";

export interface ShareInput {
  readonly name: string;
  /** The new NAS that gets the hosts, the login and the networks; null: the share has them itself. */
  readonly nas: string | null;
  /** At least one of `tbHost` and `fallbackHost` is given. */
  readonly tbHost: string | null;
  readonly fallbackHost: string | null;
  /** null: the login name. */
  readonly username: string | null;
  /** null: the server's name for the share is `name`. */
  readonly shareName: string | null;
  /** A reference to the password; null: mount as guest. */
  readonly password: string | null;
  /** The networks on which the share is mounted; empty: any. */
  readonly onlyOn: readonly string[];
}

/** An address of the server, with the link to it if it was found on the network. */
export interface Chosen {
  /** The address in the file's notation. */
  readonly text: string;
  /** The link that leads to it; null: not known. */
  readonly link: Link | null;
}

interface Link {
  readonly device: string | null;
  readonly kind: string;
  readonly speed: number | null;
}

/** The kinds of links, the preferred one first. */
const KINDS = ["thunderbolt", "wired", "unknown", "wifi", "tunnel"];

/**
 * Assigns the addresses to the two routes: `tbHost`, the preferred one, is on the better kind of link, else on the faster
 * one, else the first. A single address is `tbHost` only if it is on Thunderbolt.
 */
export function routeHosts(
  first: Chosen,
  second: Chosen | null,
): Pick<ShareInput, "tbHost" | "fallbackHost"> {
  if (second === null)
    return first.link?.kind === "thunderbolt"
      ? { tbHost: first.text, fallbackHost: null }
      : { tbHost: null, fallbackHost: first.text };
  const [fast, slow] = advantage(first, second) < 0 ? [second, first] : [first, second];
  return { tbHost: fast.text, fallbackHost: slow.text };
}

/** Greater than 0 if the first link is the better one, less if the second is, 0 if that is unknown. */
export function advantage({ link: first }: Chosen, { link: second }: Chosen): number {
  const device = first?.device ?? null;
  if (device !== null && device === second?.device) return 0;
  const rank = (link: Link | null): number => KINDS.indexOf(link?.kind ?? "unknown");
  const speeds = [first?.speed ?? null, second?.speed ?? null];
  const [mine, its] = speeds.includes(null) ? [0, 0] : speeds;
  return rank(second) - rank(first) || (mine ?? 0) - (its ?? 0);
}

/**
 * The discovered servers that have the same name as `server` but are on another link. They are probably the same
 * machine.
 */
export function likelySame<Heard extends { readonly name: string | null; readonly interface: string | null }>(
  server: Heard | null,
  all: readonly Heard[],
): readonly Heard[] {
  if (server === null || server.name === null) return [];
  return all.filter((one) => one.name === server.name && one.interface !== server.interface);
}

type OfNas = Pick<ShareInput, "tbHost" | "fallbackHost" | "username" | "password" | "onlyOn">;

function nasTable(share: OfNas): ConfigTable {
  return {
    ...(share.tbHost === null ? {} : { thunderbolt_host: share.tbHost }),
    ...(share.fallbackHost === null ? {} : { fallback_host: share.fallbackHost }),
    ...(share.username === null ? {} : { username: share.username }),
    ...(share.password === null ? {} : { password: share.password }),
    ...(share.onlyOn.length === 0 ? {} : { only_on: [...share.onlyOn, PROVED_NETWORKS] }),
  };
}

/** The NAS that the shares bring, each once, with their tables. */
export function newNas(
  shares: readonly ShareInput[],
): readonly (readonly [name: string, table: ConfigTable])[] {
  const first = new Map(shares.toReversed().map((share) => [share.nas, share]));
  return [...first].flatMap(([nas, share]) => (nas === null ? [] : [[nas, nasTable(share)] as const]));
}

export function shareTable(share: ShareInput): ConfigTable {
  return {
    name: share.name,
    ...(share.nas === null ? nasTable(share) : { nas: share.nas }),
    ...(share.shareName === null ? {} : { share_name: share.shareName }),
  };
}

/** A name for a NAS, from its own name or its address; a number is added if the name is taken. */
export function freeNasName(text: string, isTaken: (name: string) => boolean): string {
  const [first = ""] = text.split(".");
  const plain = first.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, LONGEST_NAS);
  const whole = /^[A-Za-z]/.test(plain) ? plain : "nas";
  let name = whole;
  for (let count = 2; isTaken(name); count++) name = `${whole}-${count}`;
  return name;
}

/** Leaves room for a number in a name of at most 64 characters. */
const LONGEST_NAS = 60;

/** The name for a found share: the server's name for it, or `share-…` if a share may not have that name. */
export function shareNameOf({ share }: { readonly share: string }): string {
  const name = share.normalize("NFC").trim().replaceAll("/", "-");
  return name === "" || name === "." || name === ".." || /^links$/i.test(name) ? `share-${name}` : name;
}
