// Owns by which program, and by whose right, the kernel's SMB client mounts a share here: as root, or as fstab lets users.
import { access, readFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import { findProgram } from "../../runtime/find-program.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import { parseSmbSource } from "../smb-source.ts";
import { asMountEntry, type FstabEntry, parseFstab } from "./fstab.ts";
import type { Lacking } from "./mount-driver.ts";
import { type AddressesOf, routeOfSource } from "./smb-mounts.ts";

export interface CifsTools {
  readonly userId: number;
  /** Where programs are looked for, first come first. */
  readonly programFolders: readonly string[];
  readonly fstab: string;
  /** The kernel's list of what it can mount. Its modules come into it only when they are wanted. */
  readonly filesystems: string;
}

export type CifsWay =
  /** As root: `program` is mount.cifs, to which everything is told. */
  | { readonly kind: "root"; readonly program: string }
  /** As a user: `program` is mount, which finds all else in fstab by `operand`. */
  | { readonly kind: "fstab"; readonly program: string; readonly operand: string; readonly entry: FstabEntry }
  | { readonly kind: "none"; readonly lacking: Lacking };

const NO_HELPER: Lacking = {
  text: "mount.cifs is not installed",
  hint: "install cifs-utils (apt install cifs-utils)",
};

/** This machine's own; the folders of the system's programs are not on every user's PATH. */
export function systemTools(): CifsTools {
  return {
    userId: process.getuid?.() ?? 0,
    programFolders: [
      ...(process.env["PATH"] ?? "").split(delimiter),
      "/usr/sbin",
      "/sbin",
      "/usr/bin",
      "/bin",
    ],
    fstab: "/etc/fstab",
    filesystems: "/proc/filesystems",
  };
}

/** null: at least one share can be mounted, as far as can be told without one. */
export async function lackingForCifs(tools: CifsTools): Promise<Lacking | null> {
  if (!(await isThere(tools.filesystems))) return { text: "cifs is Linux's", hint: 'set driver = "auto"' };
  if ((await findProgram("mount.cifs", tools.programFolders)) === null) return NO_HELPER;
  if (tools.userId === 0) return null;
  return (await readFstab(tools.fstab)).some(({ forUsers }) => forUsers)
    ? null
    : needsRoot("no line of /etc/fstab lets a user mount an SMB share", null);
}

/** null: this share can be mounted over one of its routes at least. `path`: as the mount table spells it. */
export async function lackingForShare(
  tools: CifsTools,
  share: ShareSpec,
  path: string,
  addressesOf: AddressesOf,
): Promise<Lacking | null> {
  let lacking: Lacking | null = null;
  for (const route of ROUTE_NAMES) {
    const way = await wayToMount(tools, share, route, path, addressesOf);
    if (way.kind !== "none") return null;
    lacking ??= way.lacking;
  }
  return lacking;
}

/** `path`: as the mount table spells it. */
export async function wayToMount(
  tools: CifsTools,
  share: ShareSpec,
  routeName: RouteName,
  path: string,
  addressesOf: AddressesOf,
): Promise<CifsWay> {
  const lacking = await lackingForCifs(tools);
  if (lacking !== null) return { kind: "none", lacking };
  const mountCifs = await findProgram("mount.cifs", tools.programFolders);
  if (tools.userId === 0 && mountCifs !== null) return { kind: "root", program: mountCifs };
  const mount = await findProgram("mount", tools.programFolders);
  if (mount === null)
    return { kind: "none", lacking: { text: "mount is not installed", hint: "install mount" } };
  const entries = await readFstab(tools.fstab);
  const there = entries.filter((entry) => entry.path === path || entry.path === share.mountPath);
  const entry = there.find((one) => one.forUsers && isRoute(one, share, routeName, addressesOf));
  if (entry === undefined) {
    const text = `no line of /etc/fstab lets a user mount this share over ${routeName} at ${share.mountPath}`;
    return { kind: "none", lacking: needsRoot(text, share) };
  }
  // With a line for each route only the source tells them apart.
  if (there.length === 1) return { kind: "fstab", program: mount, operand: entry.path, entry };
  if (entries.filter(({ source }) => source === entry.source).length === 1) {
    return { kind: "fstab", program: mount, operand: entry.source, entry };
  }
  const text = `/etc/fstab has several lines for ${entry.source} and for ${entry.path}`;
  return { kind: "none", lacking: { text, hint: "keep one line for each source" } };
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return false;
  }
}

async function readFstab(path: string): Promise<readonly FstabEntry[]> {
  try {
    return parseFstab(await readFile(path, "utf8"));
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return [];
  }
}

function isRoute(entry: FstabEntry, share: ShareSpec, name: RouteName, addressesOf: AddressesOf): boolean {
  const source = parseSmbSource(entry.source);
  if (source === null || source.subpath !== "") return false;
  return routeOfSource(share, { entry: asMountEntry(entry), source }, addressesOf) === name;
}

function needsRoot(text: string, share: ShareSpec | null): Lacking {
  const at = share === null ? "its mount path" : share.mountPath;
  const hint = `run the service as root, or give each route a line in /etc/fstab with the option \`user\` and the path ${at}, or set driver = "rclone"`;
  return { text: `without root ${text}`, hint };
}
