// Whether the content of a configuration file waits for a person, compared with the content before it.
import { stat } from "node:fs/promises";
import { expecting, isSystemError, MountaineerError } from "../../runtime/errors.ts";
import { heldBecause } from "../approval/loosens.ts";
import type { ConfigPlace } from "../locate.ts";
import type { LoadedConfig } from "../read/load.ts";
import type { ConfigLayer } from "./layer.ts";
import { parseLayered } from "./parse-layered.ts";

export interface FormerContent {
  /** The bytes, base64. */
  readonly content: string;
  /** The inode that held them; null: not known, or known to be that of the file. */
  readonly inode: string | null;
}

export function heldError(why: string): MountaineerError {
  return new MountaineerError("config_cut_short", `${why}; it is taken for half a file, and not used`, {
    hint: CUT_SHORT_HINT,
  });
}

export const CUT_SHORT_HINT =
  "mountaineer config rollback 0 puts the last content back; if the file is meant to be so, tell the daemon: mountaineer reload";

/** Why the content waits for a person; null: it does not, or it came by a rename or another symlink. */
export async function whyHeld(
  { bytes, loaded }: { readonly bytes: Uint8Array; readonly loaded: LoadedConfig },
  before: FormerContent | null,
  { path, place, layer }: { path: string; place: ConfigPlace; layer: ConfigLayer | null },
): Promise<string | null> {
  if (before === null) return null;
  const inode = before.inode === null ? undefined : await inodeAt(path);
  if (inode !== undefined && inode !== before.inode) return null;
  const former = Buffer.from(before.content, "base64");
  const was = await parseLayered(former, path, place, layer);
  const configOf = (one: LoadedConfig) => (one.ok ? one.snapshot.config : null);
  const why = heldBecause({ bytes, config: configOf(loaded) }, { bytes: former, config: configOf(was) });
  return why && `${path}: ${why}`;
}

/** The inode of the file; undefined: it cannot be looked at. */
export async function inodeAt(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(expecting(isSystemError, null));
  return found === null ? undefined : String(found.ino);
}
