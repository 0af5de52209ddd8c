// A reader of /etc/fstab for SMB shares that a user may mount (fstab(5)).
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { parseSmbSource } from "../../smb-source.ts";
import { CARRIED_ADDRESS } from "./options.ts";

export interface FstabEntry {
  readonly source: string;
  readonly path: string;
  readonly options: readonly string[];
  /** `user` or `users`: not only root mounts it. */
  readonly forUsers: boolean;
  /** It says who to be on the server, or that nobody. */
  readonly hasCredentials: boolean;
  /** The port of 127.0.0.1 that it leads to: the line of a carried mount. null: it leads to a server. */
  readonly carriedPort: number | null;
  /** Calls wait for a server that is gone, instead of failing. */
  readonly isHard: boolean;
}

/** The SMB shares of an fstab, in its order. Lines that do not have the form are left out. */
export function parseFstab(content: string): readonly FstabEntry[] {
  const entries: FstabEntry[] = [];
  for (const line of content.split("\n")) {
    const [source, path, type, options] = line
      .trim()
      .split(/[ \t]+/)
      .map(unescapeField);
    if (source === undefined || source.startsWith("#") || path === undefined) continue;
    if (type !== "cifs" && type !== "smb3") continue;
    const list = (options ?? "defaults").split(",");
    entries.push({
      source,
      path: path.length > 1 ? path.replace(/\/+$/, "") : path,
      options: list,
      forUsers: isForUsers(list),
      hasCredentials: list.some((one) => /^(cred(entials)?|pass(word)?2?|guest|sec)(=|$)/i.test(one)),
      carriedPort: carriedPortIn(source, list),
      isHard: list.findLast((one) => one === "hard" || one === "soft") === "hard",
    });
  }
  return entries;
}

/** As an entry of the mount table would be, for whoever reads sources. */
export function asMountEntry({ source, path, options }: FstabEntry): MountEntry {
  return { id: "", path, type: "cifs", source, options, deviceMinor: 0 };
}

/** One line of an fstab, as people may put it there. */
export function fstabLine(source: string, path: string, options: readonly string[]): string {
  return `${escapeField(source)} ${escapeField(path)} cifs ${options.map(escapeField).join(",")} 0 0`;
}

/** The last `port=` holds. */
function carriedPortIn(source: string, options: readonly string[]): number | null {
  const port = options.findLast((one) => one.startsWith("port="))?.slice("port=".length) ?? "";
  if (parseSmbSource(source)?.host !== CARRIED_ADDRESS || !/^\d{1,5}$/.test(port)) return null;
  return Number(port);
}

/** The last one holds, as mount(8) has it. */
function isForUsers(options: readonly string[]): boolean {
  let allowed = false;
  for (const option of options) {
    if (option === "user" || option === "users") allowed = true;
    if (option === "nouser" || option === "nousers") allowed = false;
  }
  return allowed;
}

/** Blanks and tabs are octal: `\040`. The bytes around them are UTF-8. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function escapeField(field: string): string {
  return field.replace(/[ \t\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
