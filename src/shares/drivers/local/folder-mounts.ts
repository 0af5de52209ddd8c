// Remembers which mount each route's folder is on. Once that mount is gone, the same path is a folder of the local disk,
// which must not be used in its place.
import { dirname, join } from "node:path";
import { isExpectedError, isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../../runtime/files/durable-file.ts";
import { reader, record, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { fstabPath } from "../../mounts/fstab.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import type { Prober } from "../../prober/prober.ts";
import { ROUTE_NAMES, type ShareSpec } from "../../share-spec.ts";
import type { FolderProbe } from "../mount-driver.ts";
import { shareFiles, writeIfChanged } from "../share-files.ts";

export interface FolderMountsOptions {
  readonly clock: Clock;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  /** Holds a folder per share, `mounts/<NAME>`, with what is remembered of its folders. */
  readonly stateFolder: string;
  /** The mounts that this machine should have. Default: /etc/fstab. */
  readonly fstab?: string;
}

const CHECK_MS = 1_000;
const storedMounts = reader(record(text));

/** Remembers, also across restarts, the deepest mount point above each configured folder. */
export function createFolderMounts({
  clock,
  prober,
  mountTable,
  stateFolder,
  fstab = "/etc/fstab",
}: FolderMountsOptions) {
  /** For each share, the mount point of each folder; "": none. */
  const byShare = new Map<string, Promise<Map<string, string>>>();
  let saving = Promise.resolve();
  const fileOf = (share: ShareSpec): string =>
    join(shareFiles(stateFolder, share.name).folder, "local-folders.json");
  const mountsOf = (share: ShareSpec): Promise<Map<string, string>> => {
    const known =
      byShare.get(share.name) ??
      textOf(fileOf(share)).then((stored) => new Map(Object.entries(storedMounts(jsonObject(stored)) ?? {})));
    byShare.set(share.name, known);
    return known;
  };
  /** null: the table cannot be read, so nothing is known to be gone. */
  const mountedPaths = async (notBeforeMs: number): Promise<readonly string[] | null> => {
    const entries = await mountTable.read(notBeforeMs).catch(recoverFrom(isExpectedError, null));
    return entries?.map(({ path }) => path) ?? null;
  };

  /** Forgets folders that are no longer configured. A failed write does not stop the share. */
  const remember = async (share: ShareSpec, folder: string, mount: string): Promise<void> => {
    const known = await mountsOf(share);
    if (known.get(folder) === mount) return;
    known.set(folder, mount);
    const configured = ROUTE_NAMES.map((route) => share.routes[route].folder);
    for (const one of known.keys()) if (!configured.includes(one)) known.delete(one);
    const mounts = Object.fromEntries([...known].filter(([, path]) => path !== ""));
    // One write after the other: both routes are checked at the same time.
    saving = saving
      .then(() => ensureFolder(dirname(fileOf(share)), 0o700))
      .then(() => writeIfChanged(fileOf(share), `${JSON.stringify(mounts)}\n`))
      .catch(recoverFrom(isExpectedError));
    await saving;
  };

  return {
    /** The mount point below which `folder` lay and on which nothing is mounted now; null: none. */
    async lostMount(share: ShareSpec, folder: string, notBeforeMs: number): Promise<string | null> {
      const mount = (await mountsOf(share)).get(folder) ?? "";
      return mount === "" ? null : lostOf(mount, await mountedPaths(notBeforeMs));
    },

    /** Whether `folder` may be used. Checked by the prober; an automounter then mounts it. */
    async probe(share: ShareSpec, folder: string): Promise<FolderProbe> {
      const [exists, real] = await Promise.all([
        prober.folderExists(folder, CHECK_MS),
        prober.realPath(folder, CHECK_MS),
      ]);
      if (exists === false) return { verdict: "gone", text: `${folder} is not there` };
      if (exists === null || real === null) return { verdict: "silent", text: `no answer about ${folder}` };
      const before = (await mountsOf(share)).get(folder);
      const paths = await mountedPaths(clock.monotonicMs());
      const expected = before === undefined ? (await textOf(fstab)).split("\n").map(fstabPath) : [before];
      const mount = deepestAbove(real, [...expected, ...(paths ?? [])]);
      await remember(share, folder, mount);
      const lost = mount === "" ? null : lostOf(mount, paths);
      if (lost === null) return { verdict: "answers", text: `${folder} is there` };
      // `link_down`: a fact of this machine, which needs no second probe.
      return { verdict: "gone", reason: "link_down", text: lostText(lost) };
    },
  };
}

/** `mount`, if the table shows that nothing is mounted there; else null. */
function lostOf(mount: string, paths: readonly string[] | null): string | null {
  return paths === null || paths.includes(mount) ? null : mount;
}

export function lostText(mount: string): string {
  return `nothing is mounted at ${mount} now; mount it again, or configure another folder`;
}

function textOf(path: string): Promise<string> {
  return readIfPresent(path).then((content) => content ?? "", recoverFrom(isSystemError, ""));
}

/** The deepest of `mounts` above `path`, but the root, which is always mounted; "": none. */
function deepestAbove(path: string, mounts: readonly (string | null)[]): string {
  const above = mounts.filter((mount) => mount === path || (mount && path.startsWith(`${mount}/`)));
  return above.reduce<string>(
    (deepest, mount) => (mount && mount !== "/" && mount.length > deepest.length ? mount : deepest),
    "",
  );
}
