// Owns the words in which the kernel's SMB client is told what to mount, and where the password travels.
import type { RouteSpec, ShareSpec } from "../share-spec.ts";
import { SMB_PORT } from "../smb-source.ts";

export interface CifsMount {
  readonly share: ShareSpec;
  readonly route: RouteSpec;
  /** An address of the host that is known already, so that the mount goes where the probe went. */
  readonly address: string | null;
  /** Whose the files are on this machine. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** What `mount.cifs` cannot be told, because commas part its options; null: nothing. */
export function unspeakable({ username, password }: ShareSpec): string | null {
  if (password !== null && /[,\n]/.test(username))
    return "a user name with a comma cannot be given to the kernel";
  if (password?.includes("\0")) return "a password with a NUL cannot be given to the kernel";
  return null;
}

/** `//HOST/SHARE`; never a port, which is an option, and an IPv6 address without brackets. */
export function cifsSource({ host }: Pick<RouteSpec, "host">, shareName: string): string {
  return `//${host ?? ""}/${shareName}`;
}

/** The value of `-o`; nothing secret is in it. */
export function cifsOptions({ share, route, address, owner }: CifsMount): string {
  return [
    ...account(share),
    ...(address === null || address === route.host ? [] : [`ip=${address}`]),
    ...(route.port === SMB_PORT ? [] : [`port=${route.port}`]),
    // Calls end with an error when the server is gone, instead of waiting for it for ever.
    "soft",
    // A silent server counts as gone after three times that, and who waits is freed. Less would cut off a server whose
    // disks spin up for ten seconds; that a route is gone is found out far sooner, by asking the server.
    "echo_interval=5",
    // A socket of its own: what hangs on a dead one of before must not be found again by the next mount.
    "nosharesock",
    // Else the root's listing may come from memory, and a dead mount would look alive.
    "nohandlecache",
    "actimeo=1",
    "iocharset=utf8",
    // As private as a mount of FUSE is: whoever else is on this machine has no business with this user's password.
    ...[`uid=${owner.uid}`, `gid=${owner.gid}`, "forceuid", "forcegid", "file_mode=0700", "dir_mode=0700"],
    ...["nosuid", "nodev"],
  ].join(",");
}

/** The password's only way: the environment of the one program, which only its own user and root can read. */
export function cifsEnvironment({ password }: ShareSpec): Record<string, string> {
  return password === null ? {} : { PASSWD: password };
}

function account({ username, password }: ShareSpec): string[] {
  if (password === null) return ["guest"];
  // `DOMAIN\user` and `DOMAIN;user`, as people write them.
  const match = /^([^\\;]+)[\\;](.+)$/s.exec(username);
  const [, domain, user] = match ?? [];
  return domain === undefined || user === undefined
    ? [`username=${username}`]
    : [`username=${user}`, `domain=${domain}`];
}
