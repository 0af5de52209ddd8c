// Care for files that a killed rclone left in its cache: before a mount, while the mount is not up yet, and after.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { SetAsideFolder } from "../mount-driver.ts";
import { createCompletion } from "./completion.ts";
import { type RcloneFiles, type RcloneShare, REMOTE_NAME } from "./files.ts";
import { hasRouteTrouble, readStuckFiles } from "./log.ts";
import { cachePathsOpenIn } from "./metadata-flusher.ts";
import { listSetAside, reviewCache, setFilesAside } from "./set-aside.ts";
import type { UnsentWrites } from "./unsent.ts";

interface CacheCareOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly home: string;
  readonly unsent: UnsentWrites;
  /** Called after files were set aside or completed. */
  readonly onChange: (shareName: string) => void;
}

const NAMED_AT_MOST = 100;

export type CacheCare = ReturnType<typeof createCacheCare>;

export function createCacheCare({ clock, logger, unsent, onChange, home }: CacheCareOptions) {
  const completion = createCompletion({ clock, logger, home });
  /**
   * The state of each cache from its review to its next mount. `reviewed`: rclone has not run since.
   * `untouched`: rclone has run since, but ended without mounting.
   */
  const states = new Map<string, "reviewed" | "untouched">();

  const report = (shareName: string, aside: readonly string[]): void => {
    if (aside.length === 0) return;
    logger.warn("unsent files set aside", { share: shareName, files: aside });
    onChange(shareName);
  };

  return {
    /** Call before rclone starts, while no rclone of the share runs. Rejects with the system's error. */
    async review({ shareName, files }: RcloneShare): Promise<void> {
      await completion.stop(shareName);
      const trusted = states.get(files.cache) === "untouched";
      states.delete(files.cache);
      const paths = await unsent.all(files.cache);
      const { aside, corrected } = await reviewCache(files, paths, clock.wallMs(), trusted);
      states.set(files.cache, "reviewed");
      if (corrected.length > 0)
        logger.info("notes of unsent files corrected", { share: shareName, files: corrected });
      report(shareName, aside);
    },
    /**
     * Returns the cache paths of files that keep a new rclone from mounting, according to rclone's log. `late`:
     * rclone should have mounted by now; if the log names no file, returns the files that rclone has open.
     */
    async stuck(
      files: RcloneFiles,
      servedName: string,
      pid: number,
      late: boolean,
    ): Promise<readonly string[]> {
      const log = await readFile(files.log, "utf8").catch(() => "");
      const named = readStuckFiles(log).map((path) => join(REMOTE_NAME, servedName, path));
      if (named.length > 0 || !late || hasRouteTrouble(log)) return named;
      return [...(await cachePathsOpenIn(files, pid))];
    },
    /** Call it after rclone has ended. Rejects with the system's error. */
    async setStuckAside({ shareName, files }: RcloneShare, paths: readonly string[]): Promise<void> {
      report(shareName, await setFilesAside(files, paths, "stuck", clock.wallMs()));
    },
    /** Call it when the share is mounted: from now on programs may write, so the review is outdated. */
    mounted({ shareName, files }: RcloneShare): void {
      states.delete(files.cache);
      completion.start(shareName, files, () => onChange(shareName));
    },
    /** Call it when rclone ended without having mounted: no program can have written. */
    neverMounted({ files }: RcloneShare): void {
      if (states.has(files.cache)) states.set(files.cache, "untouched");
    },
    /** Call it when the cache has been replaced by another cache: the new content needs a review. */
    replaced: ({ cache }: RcloneFiles): void => void states.delete(cache),
    /** Ends the completion of set-aside files. Call it before an unmount. */
    unmounting: (shareName: string): Promise<void> => completion.stop(shareName),
    /** The set-aside folder with the names of its files. Never rejects. */
    async named(folder: string, files: RcloneFiles): Promise<SetAsideFolder> {
      if (folder !== files.setAside) return { folder, files: [] };
      try {
        const listed = await listSetAside(files);
        const names = listed.slice(0, NAMED_AT_MOST).map(({ path, record }) => {
          const [, , ...inShare] = path.split("/");
          const name = inShare.join("/");
          if (record === null || record.state === "complete") return name;
          return `${name} (${HOLES[record.state]})`;
        });
        return { folder, files: names };
      } catch (error) {
        logger.debug("set aside files not listed", { folder, error: errorText(error) });
        return { folder, files: [] };
      }
    },
  };
}

const HOLES = {
  incomplete: "the unchanged parts are still missing",
  changed: "the unchanged parts are missing: the server now has a different file",
  gone: "the unchanged parts are missing: the server no longer has this file",
} as const;
