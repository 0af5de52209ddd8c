// How the kernel's SMB client can mount a share on this machine: as root, or by a line in fstab that lets users
// mount.

import { readFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { entryExists } from "../../../runtime/files/durable-file.ts";
import { findProgram } from "../../../runtime/process/find-program.ts";
import {
  accountOf,
  asMountEntry,
  type CifsAccount,
  type FstabEntry,
  fstabLine,
  parseFstab,
} from "../../mounts/fstab.ts";
import { type RouteName, routesOf, type ShareSpec } from "../../share-spec.ts";
import { isShareNamed, parseSmbSource, RELAY_ADDRESS } from "../../smb-source.ts";
import type { AddressesOf, MissingRequirement, RelayAddress } from "../mount-driver.ts";
import { routeOfSource } from "../smb-mounts.ts";
import { accountOptions, cifsSource, relayEchoIntervalS } from "./options.ts";

export interface CifsTools {
  readonly userId: number;
  /** Folders in which programs are looked up, in this order. */
  readonly programFolders: readonly string[];
  readonly fstab: string;
  /**
   * The file in which the kernel lists the file systems that it can mount. A module's file system is missing
   * until the module is loaded.
   */
  readonly filesystems: string;
}

export type MountMethod =
  /** This process is root: `program` is mount.cifs, which takes everything as options. */
  | { readonly kind: "root"; readonly program: string }
  /** This process is not root: `program` is the command `mount`, which finds everything else in fstab by `operand`. */
  | { readonly kind: "fstab"; readonly program: string; readonly operand: string; readonly entry: FstabEntry }
  | { readonly kind: "none"; readonly missing: MissingRequirement };

/** The default patience of a relayed mount. */
const PATIENCE_MS = 60_000;
const FIRST_SUGGESTED_PORT = 24_000;
const SUGGESTED_PORTS = 2_000;

const NO_HELPER: MissingRequirement = {
  text: "mount.cifs is not installed",
  hint: "install cifs-utils (apt install cifs-utils)",
};

/** The system's program folders are added, because not every user has them on PATH. */
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

/**
 * Returns what this machine lacks for mounting any share; null if nothing is known to be lacking. A share's own
 * configuration may require more.
 */
export async function cifsRequirement(tools: CifsTools): Promise<MissingRequirement | null> {
  const missing = await missingProgram(tools);
  if (missing !== null || tools.userId === 0) return missing;
  return (await readFstab(tools.fstab)).some(({ forUsers }) => forUsers)
    ? null
    : needsRoot("no line of /etc/fstab lets a user mount an SMB share", null);
}

/**
 * What this machine lacks to mount with the kernel's client; null: nothing. Does not check whether this user
 * may mount.
 */
export async function missingProgram(tools: CifsTools): Promise<MissingRequirement | null> {
  if (!(await entryExists(tools.filesystems).catch(() => false)))
    return { text: "cifs is Linux's", hint: 'set driver = "auto"' };
  return (await findProgram("mount.cifs", tools.programFolders)) === null ? NO_HELPER : null;
}

export interface MountMethodFor {
  readonly tools: CifsTools;
  readonly share: ShareSpec;
  /** The mount path, as the mount table spells it. */
  readonly path: string;
  readonly addressesOf: AddressesOf;
}

/**
 * Resolves with what is missing to mount this share; null if it can be mounted, either relayed or over at least one
 * of its routes.
 */
export async function shareRequirement(methodFor: MountMethodFor): Promise<MissingRequirement | null> {
  if ((await relayObstacle(methodFor)) === null) return null;
  let missing: MissingRequirement | null = null;
  for (const route of routesOf(methodFor.share)) {
    const method = await chooseMountMethod(methodFor, route, null);
    if (method.kind !== "none") return null;
    missing ??= method.missing;
  }
  return missing;
}

/** The relay's port that the user's line in fstab prescribes for this share; null: any port. */
export async function fixedPortOf({ tools, share, path }: MountMethodFor): Promise<number | null> {
  if (tools.userId === 0) return null;
  return (await linesOf(tools, share, path))[0]?.relayPort ?? null;
}

/**
 * Returns the account in the fstab line that lets a user mount the share; null: there is none, or this user cannot
 * read it.
 */
export async function accountInFstab({ tools, share, path }: MountMethodFor): Promise<CifsAccount | null> {
  if (tools.userId === 0) return null;
  const [entry] = await linesOf(tools, share, path);
  return entry === undefined ? null : accountOf(entry);
}

/** Why this share cannot be relayed here; null: it can. */
export async function relayObstacle(methodFor: MountMethodFor): Promise<MissingRequirement | null> {
  const port = (await fixedPortOf(methodFor)) ?? 0;
  // `patienceMs` does not change the result.
  const method = await chooseMountMethod(methodFor, "tb", { port, patienceMs: PATIENCE_MS });
  return method.kind === "none" ? method.missing : null;
}

/** Returns how to mount the share: through the relay's port, or directly over the route if `through` is null. */
export async function chooseMountMethod(
  { tools, share, path, addressesOf }: MountMethodFor,
  routeName: RouteName,
  through: RelayAddress | null,
): Promise<MountMethod> {
  const missing = await missingProgram(tools);
  if (missing !== null) return { kind: "none", missing };
  const mountCifs = await findProgram("mount.cifs", tools.programFolders);
  if (tools.userId === 0 && mountCifs !== null) return { kind: "root", program: mountCifs };
  const mount = await findProgram("mount", tools.programFolders);
  if (mount === null)
    return { kind: "none", missing: { text: "mount is not installed", hint: "install mount" } };
  const lines = await linesOf(tools, share, path);
  const fits = (entry: FstabEntry): boolean =>
    entry.forUsers &&
    (through === null
      ? isRoute(entry, share, routeName, addressesOf)
      : entry.relayPort === through.port && isOfShare(entry, share));
  const entry = lines.find(fits);
  const none = (text: string): MountMethod => ({ kind: "none", missing: needsRoot(text, share, lines[0]) });
  if (entry === undefined) return none(noLine(share, routeName, through, lines));
  if (entry !== lines[0]) return none(`mount.cifs takes only the first line of /etc/fstab for ${entry.path}`);
  if (through !== null && !entry.isHard)
    return none(`the line of /etc/fstab for ${entry.path} lacks \`hard\``);
  // If fstab has several lines for this path, `mount` gets the source instead, provided that only one line
  // has it.
  if (lines.length === 1) return { kind: "fstab", program: mount, operand: entry.path, entry };
  if ((await readFstab(tools.fstab)).filter(({ source }) => source === entry.source).length === 1) {
    return { kind: "fstab", program: mount, operand: entry.source, entry };
  }
  return none(`/etc/fstab has several lines for ${entry.source} and for ${entry.path}`);
}

function noLine(
  share: ShareSpec,
  routeName: RouteName,
  through: RelayAddress | null,
  [first]: readonly FstabEntry[],
): string {
  if (through !== null && first?.options.some((one) => /^(ip|addr)=127\./.test(one)))
    return `the line of /etc/fstab for ${share.mountPath} sets an address next to the server's name, which the kernel looks up again at each reconnect`;
  if (through !== null)
    return `no line of /etc/fstab lets a user mount this share through the relay at ${share.mountPath}`;
  return first?.relayPort != null
    ? `the line of /etc/fstab for ${share.mountPath} is for a relayed mount, not for one over ${routeName}`
    : `no line of /etc/fstab lets a user mount this share over ${routeName} at ${share.mountPath}`;
}

/** The facts about a share that its line in fstab needs. `password` null: a guest. */
export type LineShare = Pick<ShareSpec, "name" | "shareName" | "mountPath" | "username" | "password">;

/**
 * Composes the line in fstab that lets a user mount this share through the relay. `present`: the line that
 * the new one replaces.
 */
function relayedLine(share: LineShare, present?: FstabEntry): string {
  // A password in the replaced line is left out.
  const known = present?.options.filter((one) =>
    /^(cred(entials)?=|user(name)?=|dom(ain)?=|sec=|guest$)/.test(one),
  );
  return fstabLine(cifsSource({ host: RELAY_ADDRESS }, share.shareName), share.mountPath, [
    ...["users", "noauto", `port=${suggestedPort(share.name)}`],
    ...["hard", "nosharesock", `echo_interval=${relayEchoIntervalS(PATIENCE_MS)}`],
    ...(known === undefined || known.length === 0 ? accountOptions(share) : known),
  ]);
}

/**
 * A port below those that the system uses for outgoing connections: always the same for a name, and different for most
 * names.
 */
function suggestedPort(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name)) hash = (hash * 31 + byte) % SUGGESTED_PORTS;
  return FIRST_SUGGESTED_PORT + hash;
}

async function linesOf(tools: CifsTools, share: ShareSpec, path: string): Promise<readonly FstabEntry[]> {
  const entries = await readFstab(tools.fstab);
  return entries.filter((entry) => entry.path === path || entry.path === share.mountPath);
}

export async function readFstab(path: string): Promise<readonly FstabEntry[]> {
  return parseFstab(await readFile(path, "utf8").catch(recoverFrom(isSystemError, "")));
}

function isRoute(entry: FstabEntry, share: ShareSpec, name: RouteName, addressesOf: AddressesOf): boolean {
  const source = parseSmbSource(entry.source);
  if (source === null || source.subpath !== "") return false;
  return routeOfSource(share, { entry: asMountEntry(entry), source }, addressesOf) === name;
}

/**
 * Whether a line names this share. The host does not count: the line of a relayed share names this machine.
 */
function isOfShare(entry: FstabEntry, share: ShareSpec): boolean {
  const source = parseSmbSource(entry.source);
  return source !== null && source.subpath === "" && isShareNamed(source, share.shareName);
}

function needsRoot(text: string, share: ShareSpec | null, present?: FstabEntry): MissingRequirement {
  const line =
    share === null
      ? "give each share one line in /etc/fstab (docs/reference/drivers.md has it)"
      : `make this the one line for it in /etc/fstab: ${relayedLine(share, present)}`;
  return {
    text: `without root ${text}`,
    hint: `run the service as root, or ${line}, or set driver = "rclone"`,
  };
}
