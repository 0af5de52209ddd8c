// The mount options for the kernel's SMB client, and how the password is passed.
import type { RouteSpec, ShareSpec } from "../../share-spec.ts";
import { SMB_PORT } from "../../smb-source.ts";
import type { RelayAddress } from "../mount-driver.ts";
import { account } from "../rclone/files.ts";

interface CifsMount {
  readonly share: ShareSpec;
  readonly route: RouteSpec;
  /** The host's address, used by the probe and the mount; null: none is known. */
  readonly address: string | null;
  /** The local user and group that own the mounted files. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** The relay's port for the mount; null: the mount talks to the route's host directly. */
  readonly relay: RelayAddress | null;
}

/**
 * Interval at which the kernel asks a silent server for a sign of life, s. The kernel gives up after three intervals;
 * a shorter interval would cut off a server whose disks spin up for ten seconds.
 */
const ECHO_S = 5;
/** The kernel's maximum for `echo_interval`, s. */
const ECHO_AT_MOST_S = 600;

/** Why the account cannot be passed to `mount.cifs`, whose options are separated by commas; null: it can. */
export function unspeakable({ username, password }: Pick<ShareSpec, "username" | "password">): string | null {
  if (password !== null && /[,\n]/.test(username))
    return "a user name with a comma cannot be given to the kernel";
  if (password?.includes("\0")) return "a password with a NUL cannot be given to the kernel";
  return null;
}

/** `//HOST/SHARE`, without the port, which is an option, and without brackets around an IPv6 address. */
export function cifsSource({ host }: Pick<RouteSpec, "host">, shareName: string): string {
  return `//${host ?? ""}/${shareName}`;
}

/**
 * The `echo_interval` of a relayed mount, s. After three intervals without an answer, the kernel gives up a
 * server and opens a new connection. A relayed mount that waits for a route must not do that before the
 * relay's patience is over.
 */
export function relayEchoIntervalS(patienceMs: number): number {
  return Math.min(ECHO_AT_MOST_S, Math.max(ECHO_S, Math.floor(patienceMs / 3_000) + 1));
}

/** The value of `-o`; nothing secret is in it. */
export function cifsOptions({ share, route, address, owner, relay }: CifsMount): string {
  return [
    ...accountOptions(share),
    ...(relay === null ? toServer(route, address) : relayOptions(relay)),
    // Gives the mount its own connection, so that it does not wait on the dead connection of an earlier
    // mount.
    "nosharesock",
    // Without this option the client may list the root from memory, so that a dead mount would look alive.
    "nohandlecache",
    "actimeo=1",
    "iocharset=utf8",
    // The mount is as private as a FUSE mount: no other user of this machine may use this user's login through it.
    ...[`uid=${owner.uid}`, `gid=${owner.gid}`, "forceuid", "forcegid", "file_mode=0700", "dir_mode=0700"],
    ...["nosuid", "nodev"],
  ].join(",");
}

function toServer(route: RouteSpec, address: string | null): string[] {
  return [
    ...(address === null || address === route.host ? [] : [`ip=${address}`]),
    ...(route.port === SMB_PORT ? [] : [`port=${route.port}`]),
    // Calls end with an error when the server is gone, instead of waiting for it for ever.
    "soft",
    // Programs that wait for a silent server get an error after three intervals. Probes notice a lost route
    // much sooner.
    `echo_interval=${ECHO_S}`,
  ];
}

function relayOptions({ port, patienceMs }: RelayAddress): string[] {
  return [
    `port=${port}`,
    // With `hard`, calls wait until the relay has a route again or resets the connection. With `soft`, a move would
    // lose changes of memory-mapped files.
    "hard",
    `echo_interval=${relayEchoIntervalS(patienceMs)}`,
    // A DFS referral would bypass the relay. So would further channels, but the kernel uses them only when
    // asked to.
    "nodfs",
  ];
}

/**
 * The environment variable with the password. Only the user of mount.cifs and root can read its environment,
 * while all users can read arguments.
 */
export function cifsEnvironment({ password }: ShareSpec): Record<string, string> {
  return password === null ? {} : { PASSWD: password };
}

/** The account on the server, without the password. */
export function accountOptions({ username, password }: Pick<ShareSpec, "username" | "password">): string[] {
  if (password === null) return ["guest"];
  const { user, domain } = account(username);
  return domain === null ? [`username=${user}`] : [`username=${user}`, `domain=${domain}`];
}
