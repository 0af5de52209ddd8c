// A reader of /etc/fstab (fstab(5)) for SMB shares that a user may mount, and for the accounts in its lines.
import { readFile } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../../runtime/errors.ts";
import type { ShareSpec } from "../share-spec.ts";
import { parseSmbSource, RELAY_ADDRESS } from "../smb-source.ts";
import type { MountEntry } from "./mount-entry.ts";
import { unescapeField } from "./mount-table-mountinfo.ts";

export interface FstabEntry {
  readonly source: string;
  readonly path: string;
  readonly options: readonly string[];
  /** The option `user` or `users`: users without root rights may also mount the share. */
  readonly forUsers: boolean;
  /** The line has an account on the server, or says that there is none. */
  readonly hasCredentials: boolean;
  /** The port of 127.0.0.1 to which the line of a relayed mount leads; null: the line leads to a server. */
  readonly relayPort: number | null;
  /** The option `hard`: calls wait for a server that is gone, instead of failing. */
  readonly isHard: boolean;
}

/** Returns the SMB shares of an fstab in the order of the lines. Malformed lines are skipped. */
export function parseFstab(content: string): readonly FstabEntry[] {
  const entries: FstabEntry[] = [];
  for (const line of content.split("\n")) {
    const [source, path, type, options] = fieldsOf(line);
    if (source === undefined || path === undefined) continue;
    if (type !== "cifs" && type !== "smb3") continue;
    const list = (options ?? "defaults").split(",");
    entries.push({
      source,
      path: withoutSlash(path),
      options: list,
      // The last option counts, as in mount(8).
      forUsers: list.findLast((one) => /^(no)?users?$/.test(one))?.startsWith("user") ?? false,
      hasCredentials: list.some((one) => /^(cred(entials)?|pass(word)?2?|guest|sec)(=|$)/i.test(one)),
      relayPort: relayPortIn(source, list),
      isHard: list.findLast((one) => one === "hard" || one === "soft") === "hard",
    });
  }
  return entries;
}

/** The mount path of a line of any kind; null: a comment or an empty line. */
export function fstabPath(line: string): string | null {
  const [, path] = fieldsOf(line);
  return path === undefined ? null : withoutSlash(path);
}

function fieldsOf(line: string): readonly string[] {
  const fields = line.trim().split(/[ \t]+/);
  return fields[0]?.startsWith("#") ? [] : fields.map(unescapeField);
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

/** The line as an entry of the mount table, for code that reads sources. */
export function asMountEntry({ source, path, options }: FstabEntry): MountEntry {
  return { id: "", path, type: "cifs", source, options, deviceMinor: 0 };
}

export function fstabLine(source: string, path: string, options: readonly string[]): string {
  return `${escapeField(source)} ${escapeField(path)} cifs ${options.map(escapeField).join(",")} 0 0`;
}

/** The port in a line that leads to this machine; of several `port=` options the last counts. */
function relayPortIn(source: string, options: readonly string[]): number | null {
  const port = options.findLast((one) => one.startsWith("port="))?.slice("port=".length) ?? "";
  if (parseSmbSource(source)?.host !== RELAY_ADDRESS || !/^\d{1,5}$/.test(port)) return null;
  return Number(port);
}

function escapeField(field: string): string {
  return field.replace(/[ \t\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

export type CifsAccount = Pick<ShareSpec, "username" | "password">;

/**
 * The account in a line. null: there is none, or only the kernel's client can use it (a Kerberos ticket, or a
 * credentials file that this user may not read).
 */
export async function accountOf({ options }: FstabEntry): Promise<CifsAccount | null> {
  if (options.includes("guest")) return { username: "", password: null };
  if (options.some((one) => /^sec=krb5/i.test(one))) return null;
  const file = lastOf(options, /^cred(entials)?$/i);
  const members = file === null ? options : [...options, ...(await linesOf(file))];
  const username = lastOf(members, /^user(name)?$/i);
  const password = lastOf(members, /^pass(word)?$/i);
  const domain = lastOf(members, /^dom(ain)?$/i);
  if (username === null || password === null) return null;
  return { username: domain === null ? username : `${domain}\\${username}`, password };
}

/** Returns the value of the last `NAME=value` whose NAME matches `name`; null if there is none. */
function lastOf(members: readonly string[], name: RegExp): string | null {
  const member = members.findLast((one) => one.includes("=") && name.test(one.slice(0, one.indexOf("="))));
  return member === undefined ? null : member.slice(member.indexOf("=") + 1);
}

/** The lines of a credentials file (mount.cifs(8)), without blanks before a name. Empty: this user may not read it. */
async function linesOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8").catch(recoverFrom(isSystemError, ""));
  return text.split("\n").map((line) => line.trimStart());
}
