// The line of fstab by which a user mounts a share with the kernel's own client.

export interface KernelLine {
  readonly line: string;
  /** This process may write it. */
  readonly isRoot: boolean;
  /** Writes or removes it; null: there is nothing to change. Rejects with `usage`. */
  readonly save: (() => Promise<void>) | null;
}
