// Reads what macOS's `mount` prints: `FROM on PATH (TYPE, FLAG, …, mounted by USER)`, one line per mount.

export interface MountLine {
  /** The file system's own number, different for each mount; null if it is not shown. */
  readonly fsid: string | null;
  readonly path: string;
  /** `smbfs`, `apfs`, … */
  readonly type: string;
  readonly source: string;
  /** As words: `nodev`, `read-only`, … */
  readonly options: readonly string[];
  /** The user who made it, by number or by name; null if it is not shown (root). */
  readonly owner: { readonly userId: number } | { readonly userName: string } | null;
}

/** The last parenthesis of a line begins the flags, which contain none; a path begins with a slash. */
const WHOLE_LINE = /^([^\n]*?) on (\/.*) \(([a-z0-9_+-]+(?:, [^()]*)?)\)$/su;
/** More lines than this, which would be newlines in a path, are not one mount. */
const LINES_AT_MOST = 16;

/**
 * Malformed lines are skipped. Nothing is escaped in a path, so one with a newline is put together again unless its end
 * looks like a mount of its own. `getfsstat` has no such problem and is used first.
 */
export function parseMountOutput(output: string): readonly MountLine[] {
  const mounts: MountLine[] = [];
  let pending: string[] = [];
  for (const line of output.split("\n")) {
    pending.push(line);
    const parsed = parseLine(line) ?? parseLine(pending.join("\n"));
    if (parsed !== null) mounts.push(parsed);
    if (parsed !== null || pending.length >= LINES_AT_MOST || pending[0] === "") pending = [];
  }
  return mounts;
}

function parseLine(text: string): MountLine | null {
  const [, source, path, flags] = WHOLE_LINE.exec(text) ?? [];
  if (source === undefined || path === undefined || flags === undefined) return null;
  const [type = "", ...options] = flags.split(", ");
  const by = options.find((option) => option.startsWith(MOUNTED_BY));
  return {
    fsid: null,
    path,
    type,
    source,
    options: options.filter((option) => option !== by),
    owner: by === undefined ? null : { userName: by.slice(MOUNTED_BY.length) },
  };
}

const MOUNTED_BY = "mounted by ";
