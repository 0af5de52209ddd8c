// Owns reading /etc/fstab for SMB shares that a user may mount (fstab(5)).
import type { MountEntry } from "../mount-entry.ts";

export interface FstabEntry {
  readonly source: string;
  readonly path: string;
  readonly options: readonly string[];
  /** `user` or `users`: not only root mounts it. */
  readonly forUsers: boolean;
  /** It says who to be on the server, or that nobody. */
  readonly hasCredentials: boolean;
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
    });
  }
  return entries;
}

/** As an entry of the mount table would be, for whoever reads sources. */
export function asMountEntry({ source, path, options }: FstabEntry): MountEntry {
  return { id: "", path, type: "cifs", source, options, deviceMinor: 0 };
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
