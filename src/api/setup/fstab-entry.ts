// The line of /etc/fstab that lets a user mount a share with the kernel's SMB client.

export interface FstabEntryControl {
  readonly line: string;
  /** Whether this process may write the file. */
  readonly isRoot: boolean;
  /** Writes or removes the line; null: no change is needed. Rejects with `usage`. */
  readonly save: (() => Promise<void>) | null;
}
