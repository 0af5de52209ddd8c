// The paths in the demo's folder.
import { join } from "node:path";

export const SHARE = "CORE";
/**
 * The demo rewrites this file on the server before each read: its newest text proves that the read came from
 * the server and not from a cache.
 */
export const SIGN_FILE = "hello.txt";
/** The file that a process holds open, as an editor would. */
export const OPEN_FILE = "report.txt";
export const PASSWORD_VARIABLE = "MOUNTAINEER_DEMO_PASSWORD";

export type StageLayout = ReturnType<typeof stageLayout>;

export function stageLayout(folder: string) {
  const home = join(folder, "home");
  const sharesRoot = join(folder, "Shares");
  return {
    folder,
    home,
    configFile: join(home, "config.toml"),
    daemonOutput: join(folder, "monitor.stderr"),
    sharesRoot,
    stablePath: join(sharesRoot, SHARE),
    mountPath: join(home, "volumes", SHARE),
  };
}

/**
 * The TMPDIR of every process that the demo starts, and of their descendants; identifies these processes as
 * the demo's.
 */
export function temporaryFolder(folder: string): string {
  return join(folder, "tmp");
}

/** The TMPDIR of the SMB server's processes, which distinguishes them from the demo's other processes. */
export function serverTemporaryFolder(folder: string): string {
  return join(folder, "tmp-server");
}
