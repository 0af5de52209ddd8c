// A mount of an SMB share for the configuration file to lie on; only the test uses it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PlainRig } from "../../src/demo/stage/plain-rig.ts";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { stopProcess } from "../support/stop-process.ts";
import { mountIdAt } from "./live-home.ts";

export interface SmbMount extends AsyncDisposable {
  readonly path: string;
  /** Every request to the mount waits from its resolving on. */
  hang(): Promise<void>;
  goOn(): void;
}

/** Mounts a share of the rig at `<folder>/nas`, nothing cached for longer than a moment. */
export async function mountSmb(folder: string, rig: PlainRig, share: string): Promise<SmbMount> {
  const path = join(folder, "nas");
  await mkdir(path);
  const obscured = await runCommand("rclone", ["obscure", "-"], {
    clock,
    deadlineMs: ANSWERS_MS,
    stdin: rig.password,
  });
  const config = join(folder, "rclone.conf");
  const remote = [
    "[nas]",
    "type = smb",
    `host = ${rig.tbHost}`,
    `port = ${rig.tbPort}`,
    `user = ${rig.username}`,
    `pass = ${obscured.stdout.trim()}`,
    "",
  ];
  await writeFile(config, remote.join("\n"), { mode: 0o600 });
  const cache = [
    "--cache-dir",
    join(folder, "cache"),
    "--dir-cache-time",
    "100ms",
    "--attr-timeout",
    "100ms",
  ];
  const child = spawn("rclone", ["mount", `nas:${share}`, path, "--config", config, ...cache], {
    stdio: "ignore",
    detached: true,
  });
  const exited = once(child, "exit");
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
    await runCommand("fusermount3", ["-uz", path], { clock, deadlineMs: ANSWERS_MS });
  };
  try {
    await eventually(async () => (await mountIdAt(path)) !== null);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    path,
    hang: () => stopProcess(child.pid ?? 0),
    goOn: () => void child.kill("SIGCONT"),
    [Symbol.asyncDispose]: end,
  };
}
