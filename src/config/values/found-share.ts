// An SMB share that is mounted or known on this machine outside Mountaineer.

export interface FoundShare {
  /** A name or address, with `:port` only if it is not 445. */
  readonly host: string;
  /** The share's name on the server. */
  readonly share: string;
  /** null: not known. */
  readonly user: string | null;
  /** The mount point; for a share that is not mounted, the configured mount point. */
  readonly path: string;
  readonly by: "kernel" | "fstab";
}
