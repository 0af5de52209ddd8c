// SMB shares that the desktop (GVfs) has mounted: folders of its one FUSE mount, which the mount table does not list.
import { join } from "node:path";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Prober } from "../prober/prober.ts";
import { percentDecoded, sourceOf } from "../smb-source.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";

interface GvfsOptions {
  readonly clock: Clock;
  /** Lists the folder, which is a mount and may hang. */
  readonly prober: Pick<Prober, "folders">;
  /**
   * The user whose GVfs shares are listed; default: this user. No other user can use the shares, not even
   * root.
   */
  readonly userId?: number | null;
}

/**
 * The type of an entry for a GVfs share. The system does not list it as a mount, so no unmount command ever
 * gets its path.
 */
export const GVFS_SHARE = "gvfs.smb-share";
const GVFS_MOUNT = "fuse.gvfsd-fuse";
const ID_PREFIX = "gvfs:";
/** How long a list is reused for other readings of the table, ms. */
const LISTED_FOR_MS = 1_000;
const LISTING_MS = 500;
/**
 * A first listing gets more time, because the machine is busy at login: a share that it misses would be mounted a second
 * time.
 */
const FIRST_LISTING_MS = 3_000;

interface Listing {
  readonly mountId: string;
  readonly atMs: number;
  readonly names: Promise<readonly string[]>;
}

/** Whether GVfs serves the mount, and so owns it. */
export function isGvfsMount({ id }: { readonly id: string }): boolean {
  return id.startsWith(ID_PREFIX);
}

/**
 * The table with this user's GVfs shares at its end. On a machine without GVfs nothing is asked; if GVfs
 * hangs, its last list is used.
 */
export function withGvfsShares(table: MountTable, options: GvfsOptions): MountTable {
  const { clock, prober, userId = process.getuid?.() ?? null } = options;
  let listing: Listing | null = null;
  let known = new Map<string, MountEntry>();
  let generation = 0;
  let before: { readonly entries: readonly MountEntry[]; readonly shares: string } | null = null;
  let result: readonly MountEntry[] = [];

  const list = ({ id, path }: MountEntry): Promise<readonly string[]> => {
    const last = listing?.mountId === id ? listing : null;
    const atMs = clock.monotonicMs();
    if (last !== null && atMs - last.atMs < LISTED_FOR_MS) return last.names;
    const waitMs = last === null ? FIRST_LISTING_MS : LISTING_MS;
    const names = prober.folders(path, "", waitMs).then((found) => {
      if (found === null) return last?.names ?? [];
      return found.state === "listed" ? found.folders : [];
    });
    listing = { mountId: id, atMs, names };
    return names;
  };
  /** A mount that went away and came back gets a new id. */
  const identify = (mount: MountEntry, names: readonly string[]): readonly MountEntry[] => {
    const next = new Map<string, MountEntry>();
    for (const name of [...names].sort()) {
      const source = gvfsSource(name);
      if (source === null) continue;
      const key = `${mount.id}\0${name}`;
      const user = gvfsValues(name)?.get("user");
      const entry = known.get(key) ?? {
        id: `${ID_PREFIX}${mount.id}:${++generation}`,
        path: join(mount.path, name),
        type: GVFS_SHARE,
        source,
        options: user === undefined ? [] : [`username=${user}`],
        deviceMinor: 0,
      };
      next.set(key, entry);
    }
    known = next;
    return [...next.values()];
  };

  return {
    async read(notBeforeMs) {
      const entries = await table.read(notBeforeMs);
      const mount = entries.find(
        ({ type, options: of }) => type === GVFS_MOUNT && of.includes(`user_id=${userId}`),
      );
      if (mount === undefined) return entries;
      const shares = identify(mount, await list(mount));
      const ids = shares.map(({ id }) => id).join();
      // An unchanged table stays the same object, so that indexes of it stay valid.
      if (before?.entries !== entries || before.shares !== ids) {
        before = { entries, shares: ids };
        result = shares.length === 0 ? entries : [...entries, ...shares];
      }
      return result;
    },
  };
}

/**
 * `//HOST[:port]/SHARE` of `smb-share:server=HOST,share=SHARE[,port=…][,user=…][,domain=…]`; null: not a share's root.
 */
export function gvfsSource(name: string): string | null {
  const keys = gvfsValues(name);
  if (keys === null) return null;
  const host = keys.get("server")?.replace(/^\[(.*)\]$/, "$1");
  const share = keys.get("share");
  const port = Number(keys.get("port") ?? 445);
  if (host === undefined || host === "" || share === undefined || share === "") return null;
  if (/[/\\]/.test(host + share) || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  if ((keys.get("prefix") ?? "/") !== "/") return null;
  // Percent signs that belong to the share's name must not be read as escapes.
  return sourceOf({ host, port }, share.replaceAll("%", "%25"));
}

/**
 * Returns the keys and values in a folder's name such as `smb-share:server=HOST,share=SHARE`; null for another kind
 * of mount.
 */
function gvfsValues(name: string): ReadonlyMap<string, string> | null {
  if (!name.startsWith("smb-share:")) return null;
  const values = new Map<string, string>();
  for (const part of name.slice("smb-share:".length).split(",")) {
    const equals = part.indexOf("=");
    if (equals > 0) values.set(part.slice(0, equals), percentDecoded(part.slice(equals + 1)));
  }
  return values;
}
