// Reads tables of a file that is not checked yet.
import { defaultSharesRoot, expandPath, isWithin, parsePath } from "../values/paths.ts";

export type Table = Readonly<Record<string, unknown>>;

/** What the rules need of the machine. */
export interface RulePlace {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  readonly userHome: string;
  readonly defaultMountRoot: string;
  /** False: this system has no sandbox for backends. */
  readonly hasSandbox?: false;
}

/** Null for anything but a table. */
export function asTable(value: unknown): Table | null {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date)
    return null;
  return Object.fromEntries(Object.entries(value));
}

/** Whether an absolute path lies where shares are mounted or linked, as the file says. */
export function isOnShare(path: string, file: Table, place: RulePlace): boolean {
  const global = asTable(file["global"]) ?? {};
  const roots = [
    global["shares_root"] ?? defaultSharesRoot(place),
    global["mount_root"] ?? place.defaultMountRoot,
  ];
  return roots.some((root) => {
    if (typeof root !== "string" || !parsePath(root).ok) return false;
    return isWithin(path, expandPath(root, place.userHome));
  });
}
