// Parses what `rclone lsjson` and `smbclient` print about a share's root. Pure; unexpected output never throws.

import { jsonObject } from "../../runtime/text/json-object.ts";
import { trimEnd } from "../../runtime/text/trim-end.ts";
import type { ListedEntry } from "./root-listing.ts";

/** Parses a line of `rclone lsjson`, which prints each entry on a line; null: the line is not an entry. */
export function parseRcloneLine(line: string): ListedEntry | null {
  const start = line.indexOf("{");
  if (start === -1) return null;
  const members = jsonObject(line.slice(start).replace(/,\s*$/, ""));
  const { Name: name, Size: size, ModTime: modTime, IsDir: isFolder } = members ?? {};
  if (typeof name !== "string" || typeof size !== "number" || typeof isFolder !== "boolean") return null;
  // Date cuts off everything below a millisecond.
  const modifiedMs = typeof modTime === "string" ? Date.parse(modTime) : Number.NaN;
  if (Number.isNaN(modifiedMs)) return null;
  return { name, isFolder, size: isFolder ? null : size, modifiedMs };
}

/** A creation time as SMB reports it. */
export interface CreationTime {
  readonly createdMs: number;
  /**
   * Whether the creation time is older than all other times of the file. If not, it may be made up: for files that
   * were not created over SMB, Samba on Linux returns the oldest of the other times, which can change.
   */
  readonly isOwn: boolean;
}

/**
 * A command that smbclient does not know: its error message shows where the answer for the next path begins.
 */
const MARK = "mountaineer-mark";

/** The commands for smbclient's standard input: `list` lists the root; then the times of each path are shown. */
export function smbclientScript(list: boolean, paths: readonly string[]): string {
  const commands = paths.map((path, index) => `${MARK}-${index}\nallinfo "${path}"\n`);
  return `${list ? "ls\n" : ""}${commands.join("")}`;
}

/** Parses the output of `smbclient` for a script of `smbclientScript` with `count` paths. */
export function createSmbclientReader(count: number, onEntry: (entry: ListedEntry) => void) {
  const times = Array.from({ length: count }, () => new Map<string, number>());
  let at = -1;
  let error: string | null = null;
  const mark = new RegExp(`^${MARK}-(\\d+): `);
  return {
    onLine(line: string): void {
      const marked = mark.exec(line)?.[1];
      if (marked !== undefined) at = Number(marked);
      if (at !== -1) {
        const [, key, text] = /^(create|access|write|change)_time: +(\S.*)$/.exec(line) ?? [];
        const timeMs = Date.parse(text ?? "");
        if (key !== undefined && !Number.isNaN(timeMs)) times[at]?.set(key, timeMs);
        return;
      }
      // For a root that lists nothing, not even itself, smbclient prints "no such file".
      if (/^NT_STATUS_\w+ listing /.test(line) && !line.startsWith("NT_STATUS_NO_SUCH_FILE ")) error ??= line;
      const entry = parseSmbclientLine(line);
      if (entry !== null) onEntry(entry);
    },
    /** Creation times in the order of the paths; null: no answer. */
    creationTimes: (): readonly (CreationTime | null)[] => times.map(creationTimeOf),
    /**
     * Whether smbclient has connected. The exit code does not tell, because it is that of smbclient's last command
     * only.
     */
    isConnected: (): boolean => at !== -1,
    /** Returns the error that the server gave instead of a listing; null if there was none. */
    listingError: (): string | null => error,
  };
}

/** smbclient rounds some times to seconds, and cuts off others. */
export const SMBCLIENT_ROUNDING_MS = 1_000;

function creationTimeOf(times: ReadonlyMap<string, number>): CreationTime | null {
  const createdMs = times.get("create");
  if (createdMs === undefined) return null;
  const others = ["access", "write", "change"].flatMap((key) => times.get(key) ?? []);
  const isOwn = others.length === 3 && Math.min(...others) - createdMs > 2 * SMBCLIENT_ROUNDING_MS;
  return { createdMs, isOwn };
}

/**
 * Parses a line of smbclient's listing: the name padded to 30 bytes, seven columns of attributes, the size,
 * and the time in UTC.
 */
export function parseSmbclientLine(line: string): ListedEntry | null {
  const [, size, time] = / (\d+) {2}(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})$/.exec(line) ?? [];
  if (!/^ {2}./s.test(line) || size === undefined || time === undefined) return null;
  const columns = /^(.*)([ A-Za-z]{7})$/s.exec(nameAndAttributes(line, size, time));
  const name = asRcloneShows(trimEnd(columns?.[1] ?? "", " "));
  const modifiedMs = Date.parse(`${time} UTC`);
  if (name === "" || name === "." || name === ".." || Number.isNaN(modifiedMs)) return null;
  const isFolder = (columns?.[2] ?? "").includes("D");
  return { name, isFolder, size: isFolder ? null : Number(size), modifiedMs };
}

const ENCODED = /(‛?)([＂＊：＜＞？＼｜]|(?<=.)[␠．]$)/gu;

/** Decodes the substitutes that rclone stores for characters that SMB forbids in names. */
function asRcloneShows(name: string): string {
  return name.replace(ENCODED, (_, quote: string, char: string) =>
    quote !== "" ? char : char === "␠" ? " " : String.fromCharCode(char.charCodeAt(0) - 0xfee0),
  );
}

/** The part of the line before the size. The size takes at least eight columns. */
function nameAndAttributes(line: string, size: string, time: string): string {
  const tail = 1 + Math.max(8, size.length) + 2 + time.length;
  return line.slice(2, line.length - tail);
}
