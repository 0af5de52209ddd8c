// An SMB share that this machine has mounted, or knows, without Mountaineer.

export interface FoundShare {
  /** A name or address, with `:port` only if it is not 445. */
  readonly host: string;
  /** As the server calls it. */
  readonly share: string;
  /** null: not told. */
  readonly user: string | null;
  /** Where it is mounted, or would be. */
  readonly path: string;
  readonly by: "kernel" | "rclone" | "gvfs" | "fstab";
}
