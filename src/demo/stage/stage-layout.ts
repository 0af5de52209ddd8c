// The paths in the demo's folder.
import { join } from "node:path";

/** The one share's name. */
export const SHARE = "CORE";
/** Rewritten on the server all the time, so that reading it proves a way to the server, and no cache. */
export const SIGN_FILE = "hello.txt";
/** The file that is opened and held. */
export const HELD_FILE = "report.txt";
export const PASSWORD_VARIABLE = "MOUNTAINEER_DEMO_PASSWORD";

export type StageLayout = ReturnType<typeof stageLayout>;

export function stageLayout(folder: string) {
  const home = join(folder, "home");
  const sharesRoot = join(folder, "Shares");
  return {
    folder,
    home,
    configFile: join(home, "config.toml"),
    logFile: join(home, "mountaineer.log"),
    /** What the daemon says to its stderr. */
    daemonOutput: join(folder, "monitor.stderr"),
    sharesRoot,
    /** The path that never changes. */
    stablePath: join(sharesRoot, SHARE),
    mountPath: join(home, "volumes", SHARE),
  };
}

/** The TMPDIR of every process that the demo starts, and by inheritance of all that those start: their mark. */
export function temporaryFolder(folder: string): string {
  return join(folder, "tmp");
}

/** The TMPDIR of the server's processes, to tell them from the others. */
export function serverTemporaryFolder(folder: string): string {
  return join(folder, "tmp-server");
}
