// One try to mount with rclone: prepares, starts the program, waits for its mount and proves it.

import { readFile, truncate, writeFile } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { type DetachedProcess, startDetached } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../mounts/mount-entry.ts";
import type { Prober } from "../../prober/prober.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { sourceOf } from "../../smb-source.ts";
import type { FoundMount, MountFailure, MountOutcome, StepLimits, Through } from "../mount-driver.ts";
import type { MountFolders } from "../mount-folder.ts";
import { lookAtNewMount } from "../new-mount-look.ts";
import { writeIfChanged } from "../share-files.ts";
import { indexMounts, type SmbMount } from "../smb-mounts.ts";
import type { RcloneCheck } from "./available.ts";
import type { CacheCare } from "./cache-care.ts";
import { controlEnvironment, newControlPassword, noteControl } from "./control.ts";
import {
  configText,
  connectsTo,
  MOUNT_ENVIRONMENT,
  makeFolders,
  mountArguments,
  type RcloneFiles,
} from "./files.ts";
import { readLoggedFailure } from "./log.ts";
import type { ServingProcesses } from "./serving.ts";
import type { RcloneUnmount } from "./unmount.ts";

const MOUNT_POLL_MS = 5;

/** Between two looks at what a mount that does not come up is stuck with. */
const STUCK_POLL_MS = 250;

/** Of a mount's time: when it is over, a file that is still being fetched from the server is in the way. */
const LATE_SHARE = 0.6;

/** For undoing a mount that failed, beyond the step's own deadline. */
const UNDO_MS = 3_000;

type Failed = Extract<MountOutcome, { ok: false }>;

/** Files of the cache, by their paths in it, for which rclone does not mount. */
interface Stuck {
  readonly stuck: readonly string[];
}

interface Starting {
  readonly path: string;
  readonly files: RcloneFiles;
  readonly servedName: string;
  readonly child: DetachedProcess;
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

export function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

export function failedBy(error: unknown, secret: string | null): Failed {
  const code = systemErrorCode(error);
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return failed(denied ? "permission_denied" : "other", withoutSecret(errorText(error), secret));
}

function withoutSecret(text: string, secret: string | null): string {
  return secret === null || secret === "" ? text : text.replaceAll(secret, "…");
}

/** What stands in it is about this mount alone. */
async function emptyLog(path: string): Promise<void> {
  try {
    await truncate(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    await writeFile(path, "", { mode: 0o600 });
  }
}

async function readLog(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return "";
  }
}

interface RcloneAttemptsParts {
  readonly clock: Clock;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly check: RcloneCheck;
  readonly obscure: (password: string) => Promise<string>;
  readonly folders: MountFolders;
  readonly serving: ServingProcesses;
  readonly unmounts: RcloneUnmount;
  readonly care: CacheCare;
  readonly filesOf: (arg0: ShareSpec) => RcloneFiles;
  readonly found: (share: ShareSpec, mount: SmbMount) => Promise<FoundMount>;
}

export function createRcloneAttempts({
  clock,
  prober,
  mountTable,
  check,
  obscure,
  folders,
  serving,
  unmounts,
  care,
  filesOf,
  found,
}: RcloneAttemptsParts) {
  /** All that rclone needs but the folder it mounts on. */
  const prepare = async (
    share: ShareSpec,
    route: RouteName,
    files: RcloneFiles,
    through: Through | null,
  ): Promise<void> => {
    await makeFolders(files);
    const password = share.password === null ? null : await obscure(share.password);
    await writeIfChanged(files.config, configText(share, connectsTo(share.routes[route], through), password));
    await emptyLog(files.log);
    await care.review(share.name, files);
  };

  const whyFailed = async (share: ShareSpec, route: RouteName, otherwise: Failed): Promise<Failed> => {
    const logged = readLoggedFailure(await readLog(filesOf(share).log));
    const source = sourceOf(share.routes[route], share.shareName);
    if (logged === null) return { ...otherwise, text: `${source}: ${otherwise.text}` };
    return {
      ok: false,
      reason: logged.reason,
      text: `${source}: ${withoutSecret(logged.text, share.password)}`,
    };
  };

  const mountEntry = async (path: string): Promise<MountEntry | null> =>
    indexMounts(await mountTable.read(clock.monotonicMs())).at(path)?.entry ?? null;

  /** Resolves with the entry when it stands in the table, with files that rclone is stuck with, or with why it fails. */
  const untilMounted = async ({
    path,
    files,
    servedName: name,
    child,
    untilMs,
    signal,
  }: Starting): Promise<MountEntry | Stuck | Failed> => {
    const startedAtMs = clock.monotonicMs();
    const lateAtMs = startedAtMs + (untilMs - startedAtMs) * LATE_SHARE;
    let askedAtMs = startedAtMs;
    let ended = false;
    const release = child.onExit(() => {
      ended = true;
    });
    try {
      for (;;) {
        const entry = await mountEntry(path);
        if (entry !== null) return entry;
        if (ended) return failed("other", "rclone ended before it had mounted");
        if (signal.aborted) return failed("other", "cancelled");
        const atMs = clock.monotonicMs();
        if (atMs >= untilMs) return failed("timed_out", "rclone did not mount in time");
        if (atMs - askedAtMs >= STUCK_POLL_MS) {
          askedAtMs = atMs;
          const stuck = await care.stuck(files, name, child.pid, atMs >= lateAtMs);
          if (stuck.length > 0) return { stuck };
        }
        await clock.sleep(MOUNT_POLL_MS, signal).catch(() => {});
      }
    } finally {
      release();
    }
  };

  /** rclone mounts whatever it is told; only a listing proves that there is a share behind. */
  const prove = async (entry: MountEntry, untilMs: number, signal: AbortSignal): Promise<Failed | null> => {
    const look = await lookAtNewMount(prober, entry, untilMs - clock.monotonicMs(), signal);
    if (look === null) return failed("other", "cancelled");
    if (look.state !== "answered") return failed("timed_out", "the share did not list in time");
    return look.errno === null ? null : failed("other", `the share does not list (${look.errno})`);
  };

  /** Starts rclone until it mounts: what it is stuck with is set aside, and it is started again. */
  const startUntilMounted = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    untilMs: number,
    signal: AbortSignal,
    through: Through | null,
  ): Promise<MountEntry | Failed> => {
    const files = filesOf(share);
    const args = mountArguments(share, share.routes[route], path, files, through, check.version);
    for (;;) {
      const password = newControlPassword();
      const env = { ...MOUNT_ENVIRONMENT, ...(through === null ? {} : controlEnvironment(password)) };
      const child = await startDetached("rclone", args, { env, logPath: files.log });
      const server = await serving.started(share.name, files, path, child, through?.port ?? null);
      const starting = { path, files, servedName: share.shareName, child, untilMs, signal };
      const outcome = await untilMounted(starting);
      if (!("stuck" in outcome)) {
        if (through !== null && server !== null) await noteControl(files, server, password);
        return outcome;
      }
      if (!(await unmounts.undo(share.name, files, path, UNDO_MS))) {
        return failed("other", "rclone is stuck with a file and does not end");
      }
      await care.setStuckAside(share.name, files, outcome.stuck);
      await emptyLog(files.log);
    }
  };

  const attempt = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    { deadlineMs, signal }: StepLimits,
    through: Through | null,
  ): Promise<MountOutcome> => {
    const untilMs = clock.monotonicMs() + deadlineMs;
    const files = filesOf(share);
    let failure: Failed;
    try {
      await prepare(share, route, files, through);
      // As late as can be: until rclone has mounted, programs write into it.
      const folder = await folders.ensure(share.name, files, path);
      if (!folder.ok) return folder;
      await using bare = folder.bare;
      const entry = await startUntilMounted(share, route, path, untilMs, signal, through);
      if (!("ok" in entry)) await folders.uncover(share.name, files, path, bare);
      const outcome = "ok" in entry ? entry : await prove(entry, untilMs, signal);
      const mount = outcome === null ? indexMounts(await mountTable.read(0)).at(path) : null;
      if (mount !== null) {
        care.mounted(share.name, files);
        return { ok: true, mount: await found(share, mount), adopted: false };
      }
      failure = await whyFailed(share, route, outcome ?? failed("other", "the mount vanished at once"));
    } catch (error) {
      failure = failedBy(error, share.password);
    }
    if (await unmounts.undo(share.name, files, path, UNDO_MS)) care.neverMounted(share.name);
    await folders.clear(share.name, files, path, true);
    return failure;
  };

  return { attempt };
}
