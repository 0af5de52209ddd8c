// A FUSE mount of a local folder, for tests that need a mount to hang or die and no server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { stopProcess } from "../support/stop-process.ts";

export interface LocalFuseMount extends AsyncDisposable {
  readonly path: string;
  readonly pid: number;
  /** Every request to the mount waits from its resolving on. */
  hang(): Promise<void>;
  goOn(): void;
}

/** What the machine lacks for it, null when nothing. */
export function missingForFuse(): string | null {
  for (const program of ["bindfs", "fusermount3"]) {
    const found = (process.env["PATH"] ?? "")
      .split(delimiter)
      .some((folder) => existsSync(join(folder, program)));
    if (!found) return `${program} is not installed`;
  }
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return "/dev/fuse cannot be opened";
  }
}

/** Mounts `<folder>/behind` at `<folder>/<name>`. */
export async function mountLocalFuse(folder: string, name = "mount"): Promise<LocalFuseMount> {
  const behind = join(folder, "behind");
  const path = join(folder, name);
  await mkdir(behind, { recursive: true });
  await mkdir(path, { recursive: true });
  const args = ["-f", "--no-allow-other", "-o", "subtype=bindfs", "-o", "attr_timeout=0,entry_timeout=0"];
  const child = spawn("bindfs", [...args, behind, path], { stdio: "ignore", detached: true });
  const exited = once(child, "exit");
  const pid = child.pid ?? 0;
  await eventually(async () =>
    (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path.replaceAll(" ", "\\040")} `),
  );
  return {
    path,
    pid,
    hang: () => stopProcess(pid),
    goOn: () => child.kill("SIGCONT"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await runCommand("fusermount3", ["-uz", path], { clock: systemClock, deadlineMs: 5_000 });
    },
  };
}
