// Whether the disk behind a path answers. A call on a hung mount blocks its thread, and the process cannot end before the
// thread does. So a child process makes the call first.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isOwnError, isSystemError, MountaineerError, recoverFrom } from "../errors.ts";
import { systemClock } from "../time/clock.ts";
import { runCommand } from "./child-process.ts";

const DEADLINE_MS = 5_000;
/** Prints where a link leads, and reads a regular file: a pipe would wait for its writer. */
const READ_LINK =
  'if [ -L "$1" ]; then readlink -- "$1"; fi; if [ -f "$1" ]; then head -c 1048576 -- "$1" > /dev/null; fi';

/** The reported names of paths that did not answer; these are not checked again. */
const silent = new Map<string, string>();

/** Rejects with `config_unreadable`, which names the mount, if reading the path takes longer than 5 s. */
export async function requireResponsiveDisk(path: string): Promise<void> {
  let message = silent.get(path);
  if (message === undefined) {
    const options = { clock: systemClock, deadlineMs: DEADLINE_MS, killGraceMs: 0 };
    const reading = runCommand("/bin/sh", ["-c", READ_LINK, "sh", path], options);
    // A check that cannot be started shows nothing about the disk.
    const { timedOut = false, stdout = "" } = (await reading.catch(recoverFrom(isOwnError, null))) ?? {};
    if (!timedOut) return;
    const mountPoint = await mountOf(resolve(dirname(path), stdout.trimEnd()));
    message = `${path} gives no answer within ${DEADLINE_MS / 1000} s${mountPoint}`;
    silent.set(path, message);
  }
  throw new MountaineerError("config_unreadable", message, {
    hint: "bring what is mounted there back, or unmount it (umount -l)",
    retry: "later",
  });
}

async function mountOf(path: string): Promise<string> {
  const table = await readFile("/proc/self/mounts", "utf8").catch(recoverFrom(isSystemError, ""));
  const mounts = table.split("\n").map((line) => line.replaceAll("\\040", "\0").split(" "));
  const [, at, type] = mounts
    .map((fields) => fields.map((field) => field.replaceAll("\0", " ")))
    .filter(([, folder = ""]) => folder === path || path.startsWith(folder === "/" ? "/" : `${folder}/`))
    .reduce((most, one) => ((one[1] ?? "").length >= (most[1] ?? "").length ? one : most), []);
  return at === undefined ? "" : `: it lies on the mount ${at} (${type})`;
}
