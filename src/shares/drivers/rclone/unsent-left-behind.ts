// Finds files that rclone had not sent when their share got another driver, or another name on the server: rclone no
// longer sends them.

import { join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { entryExists } from "../../../runtime/files/durable-file.ts";
import type { ShareSpec } from "../../share-spec.ts";
import type { MountDriver, SetAsideFolder, SmbDriverOptions } from "../mount-driver.ts";
import { readProcessRecord, recordOfRunning } from "../serving-processes.ts";
import { type StateFolderTools, shareFiles } from "../share-files.ts";
import { indexMounts } from "../smb-mounts.ts";
import { listCaches } from "./caches.ts";
import { RCLONE_PROGRAM, REMOTE_NAME, rcloneFiles, rcloneFilesIn } from "./files.ts";
import { createUnsentWrites } from "./unsent.ts";

/**
 * Finds folders of rclone's write cache that the share's rclone will not send, because they are not below
 * `sentNames`, the share's names on the server. Cheap enough for every check; never rejects.
 */
type UnsentLeftovers = (name: string, sentNames: readonly string[]) => Promise<readonly SetAsideFolder[]>;

/** `name`: the share's name on the server. */
type Leftovers = readonly (SetAsideFolder & { readonly name: string })[];

const SEARCH_VALID_MS = 10_000;
const NAMED_AT_MOST = 100;

export function createUnsentLeftovers({ clock, logger, stateFolder }: StateFolderTools): UnsentLeftovers {
  const unsent = createUnsentWrites();
  const searched = new Map<string, { readonly atMs: number; readonly left: Leftovers }>();

  const search = async (name: string): Promise<Leftovers> => {
    const left: { name: string; folder: string; files: string[] }[] = [];
    for (const { cache } of await listCaches(shareFiles(stateFolder, name).folder)) {
      const root = join(cache, "vfs", REMOTE_NAME);
      for (const path of await unsent.of(cache, "")) {
        const [serverName = "", ...inShare] = path.split("/");
        const folder = join(root, serverName);
        const one = left.find((each) => each.folder === folder);
        // A person may have moved the file away, so that only its note is left.
        if ((one?.files.length ?? 0) >= NAMED_AT_MOST || !(await entryExists(join(root, path)))) continue;
        if (one !== undefined) one.files.push(inShare.join("/"));
        else left.push({ name: serverName, folder, files: [inShare.join("/")] });
      }
    }
    return left;
  };

  return async (name, sentNames) => {
    let known = searched.get(name);
    const atMs = clock.monotonicMs();
    // If the last search found unsent files, each call searches again, because they may have been sent since.
    if (known === undefined || known.left.length > 0 || atMs - known.atMs >= SEARCH_VALID_MS) {
      try {
        known = { atMs, left: await search(name) };
        searched.set(name, known);
      } catch (error) {
        logger.debug("unsent files of rclone not looked up", { share: name, error: errorText(error) });
      }
    }
    return (known?.left ?? [])
      .filter((one) => !sentNames.includes(one.name))
      .map(({ folder, files }) => ({ folder, files }));
  };
}

/**
 * Unsent files of a mount that rclone made before the share got a driver that keeps none. `path`: the mount path, as the
 * mount table spells it.
 */
export function createUnsentOfRcloneMount({
  mountTable,
  stateFolder,
}: Pick<SmbDriverOptions, "mountTable"> & Pick<StateFolderTools, "stateFolder">) {
  const unsent = createUnsentWrites();
  return async ({ name, shareName }: ShareSpec, path: string): Promise<readonly string[]> => {
    const atPath = indexMounts(await mountTable.read(0)).at(path);
    if (atPath?.entry.type !== RCLONE_PROGRAM.type) return [];
    const files = rcloneFiles(stateFolder, name);
    const { cache } = rcloneFilesIn(files.folder, (await readProcessRecord(files))?.server);
    return unsent.of(cache, shareName);
  };
}

/** Wraps a driver that does not use rclone: it also reports files that rclone left unsent, as set aside. */
export function withUnsentOfRclone(driver: MountDriver, options: StateFolderTools): MountDriver {
  const leftovers = createUnsentLeftovers(options);
  /** True if a running rclone still sends the files. */
  const isServing = async (name: string): Promise<boolean> =>
    (await recordOfRunning(rcloneFiles(options.stateFolder, name))) !== null;
  return {
    ...driver,
    async setAside(share) {
      const own = (await driver.setAside?.(share)) ?? [];
      const left = await leftovers(share.name, []);
      return left.length === 0 || (await isServing(share.name)) ? own : [...own, ...left];
    },
  };
}
