// Finds unsent files in those write caches of a share that no mount uses, and applies a person's decisions about
// these files. A share has one write cache for each of its servers.

import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorText, MountaineerError, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder, readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { isObject, jsonObject } from "../../../runtime/text/json-object.ts";
import { preferredRoute, type ShareSpec } from "../../share-spec.ts";
import { isSameShareName, sourceOf } from "../../smb-source.ts";
import type { UnsentFile, UnsentForServer } from "../mount-driver.ts";
import { recordOfRunning } from "../serving-processes.ts";
import {
  FIRST_SERVER,
  folderName,
  isServerId,
  type StateFolderTools,
  serverFolder,
  serversFolder,
  shareFiles,
  shareMountsFolder,
  shareOfFolder,
} from "../share-files.ts";
import { type RcloneFiles, REMOTE_NAME, rcloneFilesIn } from "./files.ts";
import { setFilesAside } from "./set-aside.ts";
import { createUnsentWrites, type UnsentWrites } from "./unsent.ts";

interface CachesOptions extends StateFolderTools {
  readonly unsent: UnsentWrites;
  /** Called after a cache was renamed or replaced by another cache. The last review of that cache is then outdated. */
  readonly onReplaced: (files: RcloneFiles) => void;
}

type ServerFacts = Pick<UnsentForServer, "source" | "proved">;

export interface FormerUnsent {
  /** The name that the share had in the configuration. */
  readonly share: string;
  readonly waiting: UnsentForServer;
}

const SEARCH_VALID_MS = 10_000;

/** The result of the last search for files that wait for a share's other servers. */
interface SearchResult {
  readonly shareName: string;
  readonly inUse: string | null;
  readonly atMs: number;
  readonly waiting: readonly UnsentForServer[];
}

export function createCaches({ clock, logger, stateFolder, unsent, onReplaced }: CachesOptions) {
  const searched = new Map<string, SearchResult>();

  const search = async (
    share: ShareSpec,
    inUse: string | null,
    atMost?: number,
  ): Promise<readonly UnsentForServer[]> => {
    const waiting: UnsentForServer[] = [];
    for (const files of await listCaches(shareFiles(stateFolder, share.name).folder)) {
      const paths = await unsent.of(files.cache, share.shareName, atMost);
      if (paths.length === 0) continue;
      const facts = await factsOf(files);
      if (facts.source === null && files.server === FIRST_SERVER) await recordSource(share, files);
      waiting.push(await waitingIn(files, facts, share.shareName, paths, files.server === inUse));
    }
    return waiting;
  };

  return {
    /**
     * Unsent files for all servers but `inUse`. The result is at most 10 s old, and read again when `inUse` changes.
     * Rejects with the system's error.
     */
    async waiting(share: ShareSpec, inUse: string | null): Promise<readonly UnsentForServer[]> {
      const { name, shareName } = share;
      const known = searched.get(name);
      const atMs = clock.monotonicMs();
      const isSame = known?.shareName === shareName && known.inUse === inUse;
      if (isSame && atMs - known.atMs < SEARCH_VALID_MS) return known.waiting;
      const waiting = (await search(share, inUse)).filter((one) => !one.inUse);
      searched.set(name, { shareName, inUse, atMs, waiting });
      return waiting;
    },

    /** Unsent files for all servers, including `inUse`; each call reads them again. */
    all: (share: ShareSpec, inUse: string | null) => search(share, inUse, Number.POSITIVE_INFINITY),

    /**
     * Orders that the files that wait for `server` go to the server `inUse`. They are sent at the next mount of
     * `inUse`.
     */
    async sendHere(server: string, inUse: RcloneFiles): Promise<void> {
      if (!(await unsent.isNone(inUse.cache))) {
        throw new MountaineerError("usage", "files of the server that is mounted now are not sent yet", {
          hint: "Try again when `mountaineer status` names none.",
        });
      }
      const { proved } = await factsOf(inUse);
      const files = rcloneFilesIn(inUse.folder, server);
      await ensureFolder(dirname(orderPath(files)), 0o700);
      await writeDurably(orderPath(files), `${JSON.stringify({ to: proved ? inUse.server : null })}\n`, {
        mode: 0o600,
      });
      searched.clear();
    },

    /**
     * Moves the files that wait for `server` to the share's set-aside folder. No process may use the cache of `server`
     * during the call.
     */
    async setAside({ name, shareName }: ShareSpec, server: string): Promise<void> {
      const files = rcloneFilesIn(shareFiles(stateFolder, name).folder, server);
      const paths = (await unsent.of(files.cache, shareName)).map((path) =>
        join(REMOTE_NAME, shareName, path),
      );
      const aside = await setFilesAside(files, paths, "asked", clock.wallMs());
      logger.warn("unsent files set aside", { share: name, server, files: aside });
      searched.clear();
    },

    /**
     * Call it before mounting from `files`, while none of the share's processes runs. Rejects with the system's error.
     */
    async prepare({ name, shareName }: ShareSpec, files: RcloneFiles): Promise<void> {
      if (await spellAs(files, shareName)) onReplaced(files);
      // This server answers again: a person's decision to send its files elsewhere does not apply to files
      // that are written from now on.
      await rm(orderPath(files), { force: true });
      for (const other of await listCaches(files.folder)) {
        if (other.server === files.server) continue;
        const isEmpty = await unsent.isNone(other.cache);
        // No file waits for that server now: all were sent, set aside, or moved to another cache just before a crash.
        if (isEmpty) await rm(orderPath(other), { force: true });
        const { proved } = await factsOf(other);
        // No file waits for this server, and no proof can recognize it later, so it is forgotten.
        if (isEmpty && !proved && other.server !== FIRST_SERVER) await forget(other);
        else if (!isEmpty && (await isMeant(other, files))) {
          logger.warn("unsent files are sent to another server, as asked", {
            share: name,
            from: other.server,
            to: files.server,
          });
          await rm(files.cache, { recursive: true, force: true });
          await ensureFolder(dirname(files.cache), 0o700);
          await rename(other.cache, files.cache);
          onReplaced(files);
          await forget(other);
        }
      }
      searched.clear();
    },
  };

  /** Whether a person decided to send the files of `other` to the server that is about to be mounted. */
  async function isMeant(other: RcloneFiles, files: RcloneFiles): Promise<boolean> {
    const order = jsonObject((await readIfPresent(orderPath(other))) ?? "");
    if (order === null || !(await unsent.isNone(files.cache))) return false;
    return order["to"] === null ? !(await factsOf(files)).proved : order["to"] === files.server;
  }
}

/** Finds unsent files of shares that are no longer configured. */
export function createFormerShares(
  { clock, logger, stateFolder }: StateFolderTools,
  unsent = createUnsentWrites(),
) {
  let searchedAtMs = Number.NEGATIVE_INFINITY;
  let known: readonly FormerUnsent[] = [];

  const search = async (configured: readonly string[], atMost?: number): Promise<readonly FormerUnsent[]> => {
    const folders = new Set(configured.map(folderName));
    const root = shareMountsFolder(stateFolder);
    const found: FormerUnsent[] = [];
    for (const entry of await readdir(root, { withFileTypes: true }).catch(recoverFrom("ENOENT", []))) {
      const { name } = entry;
      if (folders.has(name) || !entry.isDirectory()) continue;
      const folder = join(root, name);
      const serving = (await recordOfRunning(rcloneFilesIn(folder)))?.server;
      for (const files of await listCaches(folder)) {
        const byName = Map.groupBy(
          await unsent.of(files.cache, "", atMost),
          (path) => path.split("/")[0] ?? "",
        );
        for (const [shareName, paths] of byName) {
          const inShare = paths.map((path) => path.slice(shareName.length + 1));
          const isServed = files.server === serving;
          const waiting = await waitingIn(files, await factsOf(files), shareName, inShare, isServed);
          if (waiting.files.length > 0) found.push({ share: shareOfFolder(name), waiting });
        }
      }
    }
    return found;
  };

  return {
    /**
     * Reads the files now, however many there are. `configured`: names of the shares that are configured. Rejects with
     * the system's error.
     */
    search: (configured: readonly string[]) => search(configured, Number.POSITIVE_INFINITY),

    /**
     * The unsent files of shares that are no longer configured, without those that a running rclone sends, as the
     * newest check found them. If the newest check is older than 10 s, begins another one.
     */
    known(configured: readonly string[]): readonly FormerUnsent[] {
      if (clock.monotonicMs() - searchedAtMs >= SEARCH_VALID_MS) {
        searchedAtMs = clock.monotonicMs();
        search(configured).then(
          (found) => {
            known = found.filter(({ waiting }) => !waiting.inUse);
          },
          (error: unknown) =>
            logger.debug("unsent files of former shares not looked up", { error: errorText(error) }),
        );
      }
      return known;
    },
  };
}

/** The caches in the folder of one share, in use or not. */
export async function listCaches(folder: string): Promise<readonly RcloneFiles[]> {
  const others = (await readdir(serversFolder(folder)).catch(recoverFrom("ENOENT", []))).filter(
    (id) => isServerId(id) && id !== FIRST_SERVER,
  );
  return [FIRST_SERVER, ...others.toSorted()].map((server) => rcloneFilesIn(folder, server));
}

async function factsOf({ folder, server }: RcloneFiles): Promise<ServerFacts> {
  const text =
    (await readIfPresent(join(serverFolder(folder, server), "server.json"))) ??
    (server === FIRST_SERVER ? await readIfPresent(join(folder, "server.json")) : null);
  const { source, witness, serverGuid } = jsonObject(text ?? "") ?? {};
  return {
    source: typeof source === "string" ? source : null,
    proved: isObject(witness) || typeof serverGuid === "string",
  };
}

/**
 * Notes the source of a cache that has none, because an earlier version made it. The best guess is the host
 * that is configured when this version first runs.
 */
async function recordSource(share: ShareSpec, { folder }: RcloneFiles): Promise<void> {
  const path = join(folder, "server.json");
  const before = jsonObject((await readIfPresent(path)) ?? "") ?? { version: 1, shareName: share.shareName };
  const source = sourceOf(preferredRoute(share), share.shareName);
  await writeDurably(path, `${JSON.stringify({ ...before, source })}\n`, { mode: 0o600 });
}

/**
 * Renames a cache folder whose name differs from the share's name only in case, because rclone would not find the
 * files in it.
 */
async function spellAs({ cache }: RcloneFiles, shareName: string): Promise<boolean> {
  let isOther = false;
  for (const kind of ["vfs", "vfsMeta"]) {
    const root = join(cache, kind, REMOTE_NAME);
    const names = await readdir(root).catch(recoverFrom("ENOENT", []));
    const [other, ...more] = names.filter((name) => isSameShareName(name, shareName));
    if (other === undefined || more.length > 0 || other === shareName) continue;
    await rename(join(root, other), join(root, shareName));
    isOther = true;
  }
  return isOther;
}

function orderPath({ folder, server }: RcloneFiles): string {
  return join(serverFolder(folder, server), "send-to.json");
}

async function forget({ folder, server }: RcloneFiles): Promise<void> {
  await rm(serverFolder(folder, server), { recursive: true, force: true });
  if (server === FIRST_SERVER) await rm(join(folder, "server.json"), { force: true });
}

async function waitingIn(
  { cache, server }: RcloneFiles,
  facts: ServerFacts,
  shareName: string,
  paths: readonly string[],
  inUse: boolean,
): Promise<UnsentForServer> {
  const folder = join(cache, "vfs", REMOTE_NAME, shareName);
  const found = await Promise.all(paths.map((path) => unsentFile(folder, path)));
  return { server, ...facts, inUse, files: found.filter((file) => file !== null), folder };
}

/** Describes a file that has not been sent yet. Returns null if the file has been removed. */
async function unsentFile(folder: string, path: string): Promise<UnsentFile | null> {
  const found = await stat(join(folder, path)).catch(recoverFrom("ENOENT", null));
  return found === null ? null : { path, bytes: found.size, writtenAtMs: found.mtimeMs };
}
