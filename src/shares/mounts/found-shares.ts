// Finds SMB shares that are mounted already: in the mount table, among the desktop's mounts (GVfs), and in /etc/fstab.
// It touches no mount; the prober reads the folder with the desktop's mounts.
import { readFile } from "node:fs/promises";
import { hostText } from "../../config/values/host-text.ts";
import { silentLogger } from "../../runtime/log/log.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { startProber } from "../prober/prober-process.ts";
import { CARRIED_ADDRESS, parseSmbSource, percentDecoded } from "../smb-source.ts";
import type { MountEntry } from "./mount-entry.ts";
import { createMountTable } from "./mount-table.ts";
import { gvfsValues } from "./mount-table-gvfs.ts";
import { unescapeField } from "./mount-table-mountinfo.ts";

const LOOK_MS = 3_000;

export interface FoundShare {
  /** A name or address, with `:port` only if it is not 445. */
  readonly host: string;
  /** The server's name for it. */
  readonly share: string;
  /** null: unknown. */
  readonly user: string | null;
  /** Where it is mounted, or would be. */
  readonly path: string;
  readonly by: "kernel" | "rclone" | "gvfs" | "fstab";
}

/** Each share of each host once. Never rejects: a source that cannot be read has none. */
export async function findShares(fstabPath = "/etc/fstab"): Promise<readonly FoundShare[]> {
  const entries = await createMountTable({ clock: systemClock })
    .read(systemClock.monotonicMs())
    .catch(() => []);
  const fstab = await readFile(fstabPath, "utf8").catch(() => "");
  return withoutRepeats([
    ...sharesOfTable(entries),
    ...(await sharesOfGvfs(entries)),
    ...sharesOfFstab(fstab),
  ]);
}

/** Exported for its test. */
export function sharesOfTable(entries: readonly MountEntry[]): readonly FoundShare[] {
  return entries.flatMap(({ type, source, path, options }) => {
    const by = type === "fuse.rclone" ? "rclone" : /^(cifs|smb3|smbfs)$/.test(type) ? "kernel" : null;
    if (by === null) return [];
    const user = optionOf(options, "username") ?? optionOf(options, "user") ?? userOfSource(source);
    return found(source, { path, by, user });
  });
}

/** `//nas/share  /mnt/share  cifs  credentials=…,uid=1000  0 0`; the only option that is read is the user's name. */
export function sharesOfFstab(text: string): readonly FoundShare[] {
  return text.split("\n").flatMap((line) => {
    const [source = "", path = "", type = "", options = ""] = line.trim().split(/\s+/);
    if (source.startsWith("#") || !/^(cifs|smb3)$/.test(type)) return [];
    const list = options.split(",");
    const user = optionOf(list, "username") ?? optionOf(list, "user");
    return found(unescapeField(source), { path: unescapeField(path), by: "fstab", user });
  });
}

async function sharesOfGvfs(entries: readonly MountEntry[]): Promise<readonly FoundShare[]> {
  const roots = entries.filter(({ type }) => type === "fuse.gvfsd-fuse").map(({ path }) => path);
  if (roots.length === 0) return [];
  await using prober = startProber({ clock: systemClock, logger: silentLogger });
  const listings = await Promise.all(roots.map((root) => prober.folders(root, "", LOOK_MS)));
  return listings.flatMap((listing, index) => {
    if (listing?.state !== "listed") return [];
    const root = roots[index] ?? "";
    return listing.folders.flatMap((folder) => shareOfGvfsFolder(folder, root));
  });
}

/** `smb-share:server=nas.local,share=core,user=ann`, each value percent-escaped. */
export function shareOfGvfsFolder(folder: string, root: string): readonly FoundShare[] {
  const values = gvfsValues(folder);
  const server = values?.get("server") ?? "";
  const share = values?.get("share") ?? "";
  if (server === "" || share === "") return [];
  const port = Number(values?.get("port") ?? "445");
  const host = hostText({ host: server, port: Number.isInteger(port) ? port : 445 });
  const path = `${root}/${folder}`;
  return [{ host, share, user: values?.get("user") ?? null, path, by: "gvfs" }];
}

function found(source: string, rest: Pick<FoundShare, "path" | "by" | "user">): readonly FoundShare[] {
  const parsed = parseSmbSource(source);
  const share = parsed?.shareNames.at(-1);
  if (parsed === null || share === undefined) return [];
  // The line of a carried mount, or that mount: it leads to Mountaineer itself, at a port that the source does not tell.
  if (parsed.host === CARRIED_ADDRESS && rest.by !== "rclone") return [];
  return [{ host: hostText({ host: parsed.host, port: parsed.port }), share, ...rest }];
}

function optionOf(options: readonly string[], key: string): string | null {
  return options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1) || null;
}

function userOfSource(source: string): string | null {
  const user = /^\/\/(?:[^;/@]*;)?([^:/@]+)(?::[^/@]*)?@/.exec(source)?.[1];
  return user === undefined ? null : percentDecoded(user);
}

/** A share that is mounted replaces the same one in fstab. */
function withoutRepeats(shares: readonly FoundShare[]): readonly FoundShare[] {
  const seen = new Set<string>();
  return shares.filter(({ host, share }) => {
    const key = `${host} ${share}`.toLowerCase();
    return seen.has(key) ? false : seen.add(key) !== undefined;
  });
}
