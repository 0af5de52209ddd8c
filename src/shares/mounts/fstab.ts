// A reader of /etc/fstab (fstab(5)) for SMB shares.
import { trimEnd } from "../../runtime/text/trim-end.ts";
import { unescapeField } from "./mount-table-mountinfo.ts";

interface FstabEntry {
  readonly source: string;
  readonly path: string;
  readonly options: readonly string[];
}

/** Returns the SMB shares of an fstab in the order of the lines. Malformed lines are skipped. */
export function parseFstab(content: string): readonly FstabEntry[] {
  return content.split("\n").flatMap((line): readonly FstabEntry[] => {
    const [source, path, type, options = "defaults"] = fieldsOf(line);
    if (source === undefined || path === undefined) return [];
    if (type !== "cifs" && type !== "smb3") return [];
    return [{ source, path: withoutSlash(path), options: options.split(",") }];
  });
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
  return path.length > 1 ? trimEnd(path, "/") : path;
}
