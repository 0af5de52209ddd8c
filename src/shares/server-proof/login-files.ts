// The files with a share's login that the proof's programs read. Each is named after the process that writes it, so that
// what a killed process left is known.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { processIdentity } from "../../runtime/process/process-identity.ts";
import { shareFiles, shareMountsFolder } from "../drivers/share-files.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";

/** Its process, or nothing in files of 0.1; `.new` while it is being written. */
const NAME = /^proof-(?:tb|fallback)(?:\.(\d+-\w+))?\.(?:conf|auth)(?:\.new)?$/;

export function createLoginFiles(stateFolder: string) {
  let own: Promise<string> | null = null;

  const removeIn = async (folder: string): Promise<void> => {
    for (const name of await namesIn(folder)) {
      const [file, writer] = NAME.exec(name) ?? [];
      if (file === undefined || (writer !== undefined && (await isWriting(writer)))) continue;
      await rm(join(folder, file), { force: true });
    }
  };

  return {
    /** `kind`: for rclone, or for smbclient. */
    async path(share: ShareSpec, route: RouteName, kind: "conf" | "auth"): Promise<string> {
      own ??= writerWith(process.pid).then((writer) => writer ?? `${process.pid}-unknown`);
      return join(shareFiles(stateFolder, share.name).folder, `proof-${route}.${await own}.${kind}`);
    },
    /** Removes what processes left that do not run any more. Rejects with the system's error. */
    removeLeftoversOf: (share: ShareSpec): Promise<void> =>
      removeIn(shareFiles(stateFolder, share.name).folder),
    /** The same of all shares, also of those that are not configured any more. Never rejects. */
    async removeLeftovers(logger: Logger): Promise<void> {
      const folder = shareMountsFolder(stateFolder);
      const warn = (error: unknown): void =>
        logger.warn("what a killed daemon left could not be removed", { folder, reason: errorText(error) });
      const names = await namesIn(folder).catch((error: unknown) => {
        warn(error);
        return [];
      });
      await Promise.all(names.map((name) => removeIn(join(folder, name)).catch(warn)));
    },
  };
}

/** A pid alone is soon another process's. */
async function writerWith(pid: number): Promise<string | null> {
  const identity = await processIdentity(pid);
  return identity === null ? null : `${pid}-${sha256Of(identity.startTime).slice(0, 12)}`;
}

async function isWriting(writer: string): Promise<boolean> {
  return (await writerWith(Number.parseInt(writer, 10))) === writer;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}
