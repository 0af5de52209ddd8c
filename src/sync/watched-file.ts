// Access to the watched file: bounded, asynchronous, and through a process that may touch its disk.
/** What distinguishes one state of a file from another without reading it. */
export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** The file as its watcher sees it. For a file on a network file system another process does the looking. */
export interface WatchedFile {
  /** Absolute. */
  readonly path: string;
  /** Follows symlinks; null: no such file. Rejects when it cannot tell, or when `signal` aborts. */
  stat(signal: AbortSignal): Promise<FileStat | null>;
  /** All bytes, bounded; null: no such file. Rejects when they cannot be read, or when `signal` aborts. */
  read(signal: AbortSignal): Promise<Uint8Array | null>;
  /** A path on the way to it without symlinks inside; null: there is none, or that cannot be told now. Never rejects. */
  realPath(path: string): Promise<string | null>;
  /**
   * Whether this process may itself touch `path` (an ancestor of the file or of a symlink on the way to it); false on
   * network file systems, where a call may never return. Answers at once, from memory.
   */
  isHere(path: string): boolean;
}
