// Checks whether other users can write or read a file or folder, by its mode and the modes of all folders above it. Access
// control lists are ignored.
import { access, constants, lstat, readFile, readlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { errorText, recoverFrom, systemErrorCode } from "../errors.ts";

/** A file or a folder above it, whose mode or owner gives access to other users. */
export interface OpenEntry {
  readonly path: string;
  readonly why: "mode" | "owner";
  /** Permission bits in octal, as `chmod` takes them: `0775`. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly isFolder: boolean;
}

export interface Exposure {
  readonly path: string;
  /** The path without symlinks; null: no such file. */
  readonly realPath: string | null;
  /** The first entry that lets other users change or replace the file; null: none. */
  readonly writable: OpenEntry | null;
  /** The file itself, if other users can reach and read it; else null. */
  readonly readable: OpenEntry | null;
  readonly failure: string | null;
}

export interface Identity {
  readonly uid: number;
  /**
   * Users besides `uid` that count as trusted: root, and in a user namespace the overflow user, which stands for unmapped
   * users.
   */
  readonly trusted: readonly number[];
  /** True if no other user is in the group. */
  isPrivateGroup(gid: number): boolean;
}

const MOST_LINKS = 40;
const OTHERS_WRITE = 0o002;
const GROUP_WRITE = 0o020;
const STICKY = 0o1000;

export async function ownIdentity(): Promise<Identity> {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const [passwd, group, mapping, overflow] = await Promise.all(
    ["/etc/passwd", "/etc/group", "/proc/self/uid_map", "/proc/sys/kernel/overflowuid"].map(textOrEmpty),
  );
  const isPartial = mapping !== undefined && mapping !== "" && !/^\s*0\s+0\s+4294967295\s*$/.test(mapping);
  return {
    uid,
    trusted: isPartial ? [0, Number(overflow || "65534")] : [0],
    isPrivateGroup: (groupId) =>
      isPrivateGroup(groupId, { uid, gid, passwd: passwd ?? "", group: group ?? "" }),
  };
}

/**
 * True for root's group, and for the user's own primary group if no other user is in that group. The primary group
 * must have the user's name or, if no file lists the group, the user's number.
 */
export function isPrivateGroup(
  groupId: number,
  own: { readonly uid: number; readonly gid: number; readonly passwd: string; readonly group: string },
): boolean {
  const users = rows(own.passwd).map(([name = "", , uid = "", gid = ""]) => ({
    name,
    uid: Number(uid),
    gid: Number(gid),
  }));
  const entry = rows(own.group).find(([, , gid]) => gid === String(groupId));
  const members = (entry?.[3] ?? "").split(",").filter((name) => name !== "");
  const name = users.find(({ uid }) => uid === own.uid)?.name ?? null;
  const isOnlyMember =
    members.every((member) => member === name || member === "root") &&
    users.every(({ uid, gid }) => gid !== groupId || uid === own.uid || uid === 0);
  if (groupId === 0) return isOnlyMember;
  if (groupId !== own.gid || !isOnlyMember) return false;
  return entry === undefined ? groupId === own.uid : entry[0] === name;
}

/** The user's name; `user 1000` for one who is not in /etc/passwd. */
export async function userNameOf(uid: number): Promise<string> {
  const user = rows(await textOrEmpty("/etc/passwd")).find(([, , id]) => id === String(uid));
  return user?.[0] ?? `user ${uid}`;
}

/** Entries by path, of several paths with the same folders above them. */
type FoundEntries = Map<string, Entry>;

/** Never rejects. */
export async function exposureOf(
  path: string,
  identity: Identity,
  found: FoundEntries = new Map(),
): Promise<Exposure> {
  try {
    return await walk(path, identity, found);
  } catch (error) {
    return { path, ...NOT_FOUND, failure: errorText(error) };
  }
}

const NOT_FOUND = { realPath: null, writable: null, readable: null, failure: null };

async function walk(path: string, identity: Identity, found: FoundEntries): Promise<Exposure> {
  const waiting = partsOf(resolve(path));
  let current = "/";
  let links = 0;
  let canEnter = true;
  let writable: OpenEntry | null = null;
  for (;;) {
    const entry = found.get(current) ?? (await statPath(current));
    if (entry !== null) found.set(current, entry);
    const isLast = waiting.length === 0;
    if (entry === null) return { path, ...NOT_FOUND, writable };
    if (entry.isLink) {
      links += 1;
      if (links > MOST_LINKS) return { path, ...NOT_FOUND, writable, failure: "too many links" };
      // A symlink's mode has no effect. Its owner can replace it, even in a folder with the sticky bit.
      if (isForeign(entry.uid, identity)) writable ??= opened(current, "owner", entry);
      const target = resolve(dirname(current), await readlink(current));
      waiting.unshift(...partsOf(target));
      current = "/";
      canEnter = true;
      continue;
    }
    const fault = await faultOf(current, entry, isLast, identity);
    writable ??= fault === null ? null : opened(current, fault, entry);
    if (isLast) {
      const isReadable = canEnter && mayOthers(entry, 0o4, identity);
      const readable = isReadable ? opened(current, "mode", entry) : null;
      return { path, realPath: current, writable, readable, failure: null };
    }
    canEnter &&= mayOthers(entry, 0o1, identity);
    current = join(current, waiting.shift() ?? "");
  }
}

type Entry = NonNullable<Awaited<ReturnType<typeof statPath>>>;

async function statPath(path: string) {
  const found = await lstat(path).catch(recoverFrom(["ENOENT", "ENOTDIR"], null));
  if (found === null) return null;
  const { mode, uid, gid } = found;
  return { mode: mode & 0o7777, uid, gid, isFolder: found.isDirectory(), isLink: found.isSymbolicLink() };
}

async function faultOf(
  path: string,
  entry: Entry,
  isLast: boolean,
  identity: Identity,
): Promise<OpenEntry["why"] | null> {
  const { mode, uid, gid } = entry;
  const isOpen = (mode & OTHERS_WRITE) !== 0 || ((mode & GROUP_WRITE) !== 0 && !identity.isPrivateGroup(gid));
  // In a folder with the sticky bit, such as /tmp, users cannot replace the files of other users.
  const isShielded = !isLast && entry.isFolder && (mode & STICKY) !== 0;
  const why = isForeign(uid, identity) ? "owner" : isOpen && !isShielded ? "mode" : null;
  return why === null || (await isReadOnly(path)) ? null : why;
}

function isForeign(uid: number, { uid: own, trusted }: Identity): boolean {
  return uid !== own && !trusted.includes(uid);
}

/** Whether another user has the permission `bit`, as the owner, by the group, or by the bits for others. */
function mayOthers({ mode, uid, gid }: Entry, bit: number, identity: Identity): boolean {
  if (isForeign(uid, identity) && (mode & (bit << 6)) !== 0) return true;
  return (mode & bit) !== 0 || ((mode & (bit << 3)) !== 0 && !identity.isPrivateGroup(gid));
}

/** Whether the file system is mounted read-only, such as a Kubernetes ConfigMap. */
async function isReadOnly(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return systemErrorCode(error) === "EROFS";
  }
}

function opened(path: string, why: OpenEntry["why"], { mode, uid, gid, isFolder }: Entry): OpenEntry {
  return { path, why, mode: mode.toString(8).padStart(4, "0"), uid, gid, isFolder };
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

function rows(text: string): readonly (readonly string[])[] {
  return text.split("\n").flatMap((line) => (line === "" || line.startsWith("#") ? [] : [line.split(":")]));
}

async function textOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
