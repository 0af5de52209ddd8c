// Finds SMB shares that are mounted already: in the mount table and in /etc/fstab. This module touches no mount.
import { readFile } from "node:fs/promises";
import type { FoundShare } from "../../config/values/found-share.ts";
import { hostText } from "../../config/values/host-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { parseSmbSource, percentDecoded } from "../smb-source.ts";
import { parseFstab } from "./fstab.ts";
import { type MountEntry, optionValue } from "./mount-entry.ts";
import { createMountTable } from "./mount-table.ts";

const KERNELS: ReadonlySet<string> = new Set(["cifs", "smb3", "smbfs"]);

/** Finds each share of each host once. Never rejects: a source that cannot be read yields no shares. */
export async function findShares(fstabPath = "/etc/fstab"): Promise<readonly FoundShare[]> {
  const clock = systemClock;
  const table = createMountTable({ clock });
  const entries = await table.read(clock.monotonicMs()).catch(() => []);
  const fstab = await readFile(fstabPath, "utf8").catch(() => "");
  const all = [...sharesOfTable(entries), ...sharesOfFstab(fstab)];
  // A share that is both mounted and in fstab is listed once, as mounted.
  const same = Map.groupBy(all, ({ host, share }) => `${host} ${share}`.toLowerCase());
  return [...same.values()].flatMap(([first]) => first ?? []);
}

/** Exported for its test. */
export function sharesOfTable(entries: readonly MountEntry[]): readonly FoundShare[] {
  return entries.filter(({ type }) => KERNELS.has(type)).flatMap((entry) => sharesOf(entry, "kernel"));
}

/** Exported for its test. */
export function sharesOfFstab(text: string): readonly FoundShare[] {
  return parseFstab(text).flatMap((entry) => sharesOf(entry, "fstab"));
}

function sharesOf(
  entry: Pick<MountEntry, "source" | "path" | "options">,
  by: FoundShare["by"],
): readonly FoundShare[] {
  const { source, path } = entry;
  const parsed = parseSmbSource(source);
  const share = parsed?.shareNames.at(-1);
  if (parsed === null || share === undefined) return [];
  const user =
    optionValue(entry.options, "username") || optionValue(entry.options, "user") || userOfSource(source);
  return [{ host: hostText(parsed), share, user, path, by }];
}

function userOfSource(source: string): string | null {
  const user = /^\/\/(?:[^;/@]*;)?([^:/@]+)(?::[^/@]*)?@/.exec(source)?.[1];
  return user === undefined ? null : percentDecoded(user);
}
