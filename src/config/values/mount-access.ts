// Which users of this machine may use a mount, and with which modes its files and folders appear.
import { textReader } from "./names.ts";

export interface MountAccess {
  /** Whether other users of this machine may use the mount, within the modes. */
  readonly allowOther: boolean;
  /** Octal digits, as `chmod` takes them. */
  readonly fileMode: string;
  readonly folderMode: string;
  /** Which symbolic links are links; the others are shown as the files that they are on the server. */
  readonly symlinks: SymlinksShown;
  /** All changes through the mount are refused. */
  readonly readOnly?: true;
}

/** "inside": those whose target lies in the share. */
export type SymlinksShown = "inside" | boolean;

export const DEFAULT_ACCESS: MountAccess = {
  allowOther: false,
  fileMode: "0755",
  folderMode: "0755",
  symlinks: "inside",
};

export const MODE_EXPECTED = 'three octal digits in quotes, with or without a 0 before them, such as "0755"';

export const parseMode = textReader((text) => /^0?[0-7]{3}$/.test(text), MODE_EXPECTED);
