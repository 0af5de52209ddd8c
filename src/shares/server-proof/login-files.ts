// Files with a share's login, for the programs that prove its server. Each file is named after the process that
// writes it, so that files of killed processes can be removed.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorText, recoverFrom } from "../../runtime/errors.ts";
import { ensureFolder } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { processIdentity } from "../../runtime/process/process-identity.ts";
import { isDiskFull, shareFiles, shareMountsFolder, writeIfChanged } from "../drivers/share-files.ts";
import { ownRuntimeFolder } from "../mounts/mount-claims.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";

/**
 * The name of a file with a login: the route, the writing process (absent in files of 0.1), the share's id (only in
 * the runtime folder), and `.new` while the file is being written.
 */
const NAME = /^proof-(?:tb|fallback)(?:\.(\d+-\w+))?(?:\.\w{12})?\.(?:conf|auth)(?:\.new)?$/;

export function createLoginFiles(stateFolder: string) {
  let own: Promise<string> | null = null;

  const removeIn = async (folder: string): Promise<void> => {
    for (const name of await readdir(folder).catch(recoverFrom(["ENOENT", "ENOTDIR"], []))) {
      const [file, writer] = NAME.exec(name) ?? [];
      if (file === undefined || (writer !== undefined && (await isWriting(writer)))) continue;
      await rm(join(folder, file), { force: true });
    }
  };

  const nameOf = async (route: RouteName): Promise<string> => {
    own ??= writerWith(process.pid).then((writer) => writer ?? `${process.pid}-unknown`);
    return `proof-${route}.${await own}`;
  };

  return {
    /**
     * Writes a file for rclone (`conf`) or smbclient (`auth`), and resolves with its path. If the disk is
     * full, the file is written to the user's runtime folder, so that a failover stays possible. Rejects with
     * the system's error.
     */
    async write(share: ShareSpec, route: RouteName, kind: "conf" | "auth", content: string): Promise<string> {
      const { folder } = shareFiles(stateFolder, share.name);
      const path = join(folder, `${await nameOf(route)}.${kind}`);
      await ensureFolder(folder, 0o700);
      try {
        await writeIfChanged(path, content);
        return path;
      } catch (error) {
        await rm(path, { force: true });
        if (!isDiskFull(error)) throw error;
      }
      const id = sha256Of(`${stateFolder}\0${share.name}`).slice(0, 12);
      const other = join(await ownRuntimeFolder(), `${await nameOf(route)}.${id}.${kind}`);
      await writeIfChanged(other, content);
      return other;
    },
    /** Removes files of processes that have ended. Rejects with the system's error. */
    async removeLeftoversOf(share: ShareSpec): Promise<void> {
      await removeIn(shareFiles(stateFolder, share.name).folder);
      await removeIn(await ownRuntimeFolder());
    },
    /** Removes the leftovers of all shares, even of removed ones. Never rejects. */
    async removeLeftovers(logger: Logger): Promise<void> {
      const folder = shareMountsFolder(stateFolder);
      const warn = (error: unknown): void =>
        logger.warn("login files of a killed daemon could not be removed", {
          folder,
          reason: errorText(error),
        });
      const names = await readdir(folder)
        .catch(recoverFrom(["ENOENT", "ENOTDIR"], []))
        .catch((error: unknown) => {
          warn(error);
          return [];
        });
      const folders = [
        ...names.map((name) => join(folder, name)),
        await ownRuntimeFolder().catch(() => folder),
      ];
      await Promise.all(folders.map((each) => removeIn(each).catch(warn)));
    },
  };
}

/** Pid and start time of a process, as pids are reused; null: the process has ended. */
async function writerWith(pid: number): Promise<string | null> {
  const identity = await processIdentity(pid);
  return identity === null ? null : `${pid}-${sha256Of(identity.startTime).slice(0, 12)}`;
}

async function isWriting(writer: string): Promise<boolean> {
  return (await writerWith(Number.parseInt(writer, 10))) === writer;
}
