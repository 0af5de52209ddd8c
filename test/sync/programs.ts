// Runs editors that people use, without a person.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { eventually } from "../support/eventually.ts";

const execute = promisify(execFile);

/** null when the program is on the PATH, else the reason to skip what needs it. */
export async function programMissing(...names: string[]): Promise<string | null> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  for (const name of names)
    if ((await findProgram(name, folders)) === null) return `${name} is not installed`;
  return null;
}

export async function runProgram(command: string, ...args: string[]): Promise<void> {
  await execute(command, args, { timeout: 60_000, killSignal: "SIGKILL" });
}

/** As vim saves with a backup beside, written in place or renamed, and as nano saves without one. */
async function saveWithout(path: string, line: string, backupCopy: "yes" | "no" | null): Promise<void> {
  const text = `${line}\n${await readFile(path, "utf8")}`;
  if (backupCopy === "yes") await copyFile(path, `${path}~`);
  if (backupCopy === "no") await rename(path, `${path}~`);
  await writeFile(path, text);
  await rm(`${path}~`, { force: true });
}

/** vim with its defaults: a backup beside the file, and the file renamed or written in place as vim decides. */
export async function saveWithVim(path: string, line: string, backupCopy: "yes" | "no"): Promise<void> {
  if ((await programMissing("vim")) !== null) return saveWithout(path, line, backupCopy);
  // Without an empty `backupskip` vim writes files under /tmp in place.
  const settings = `set nocompatible backupskip= writebackup backupcopy=${backupCopy}`;
  await runProgram(
    "vim",
    "-e",
    "-s",
    "-u",
    "NONE",
    "-i",
    "NONE",
    "-c",
    settings,
    "-c",
    `normal ggO${line}`,
    "-c",
    "wq",
    path,
  );
}

/** nano in a terminal of its own, key by key; wide, for its title bar leaves out what does not fit beside the path. */
export async function saveWithNano(path: string, line: string): Promise<void> {
  if ((await programMissing("nano", "script")) !== null) return saveWithout(path, line, null);
  const child = spawn(
    "script",
    ["-qec", `stty cols 300 rows 40; exec nano --ignorercfiles '${path}'`, "/dev/null"],
    {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...process.env, TERM: "xterm" },
      detached: true,
    },
  );
  const exited = once(child, "exit");
  let screen = "";
  child.stdout.on("data", (data) => (screen += String(data)));
  const shows = (text: string): Promise<unknown> => eventually(() => screen.includes(text));
  try {
    await shows("GNU nano");
    child.stdin.write(`${line}\r`);
    await shows("Modified");
    child.stdin.write("\x0f");
    await shows("Write");
    child.stdin.write("\r");
    await shows("Wrote");
    child.stdin.write("\x18");
    await exited;
  } finally {
    // Kills the whole session; killing `script` alone would leave nano running.
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }
}
