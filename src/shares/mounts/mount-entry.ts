// The interface of the system's mount table. Reading it never touches a mount.

export interface MountEntry {
  /** Changes whenever something else is mounted at the path, even if the kernel reuses its own id. */
  readonly id: string;
  readonly path: string;
  /** `cifs`, `fuse.mountaineer-fs`, … */
  readonly type: string;
  readonly source: string;
  /** Per-mount and superblock options, as `key` or `key=value`. */
  readonly options: readonly string[];
  /** Identifies the FUSE connection; 0 if there is none. */
  readonly deviceMinor: number;
}

export interface MountTable {
  /**
   * All mounts in the order in which they were made, for each path only the top-most. A reading that began at
   * `notBeforeMs` (monotonic) or later is shared. Rejects when the table cannot be read.
   */
  read(notBeforeMs: number): Promise<readonly MountEntry[]>;
}

/** The value of the first `key=value` among the options, or variables; null: there is none. */
export function optionValue(options: readonly string[], key: string): string | null {
  return options.find((one) => one.startsWith(`${key}=`))?.slice(key.length + 1) ?? null;
}
