// Reads tables of a file that is not checked yet.

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
