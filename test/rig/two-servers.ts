// What tests do to the roots of SMB servers of which one is another's clone.
import assert from "node:assert/strict";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { PlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";

const PATH_FOLDERS = (process.env["PATH"] ?? "").split(delimiter);
const DONE_WITHIN_MS = 60_000;
/** A time long before any test runs. */
const LONG_AGO = new Date("2021-03-04T05:06:07.890Z");

/** What the machine lacks for these tests; null when nothing. */
export async function missingForTwoServers(): Promise<string | null> {
  for (const program of ["smbclient", "rsync"]) {
    if ((await findProgram(program, PATH_FOLDERS)) === null) return `${program} is not installed`;
  }
  return missingForSmb("/nowhere");
}

/** Fills a root with files and a folder, all written long ago. */
export async function fill(folder: string, names: readonly string[]): Promise<void> {
  await mkdir(join(folder, "letters"));
  for (const name of names) await writeFile(join(folder, name), `this is ${name}`);
  for (const name of [...names, "letters"]) await utimes(join(folder, name), LONG_AGO, LONG_AGO);
}

/** As people clone a NAS: names, sizes, times and owners stay. */
export async function clone(from: string, to: string): Promise<void> {
  const { exitCode, stderr } = await runCommand("rsync", ["-a", "--delete", `${from}/`, `${to}/`], {
    clock: systemClock,
    deadlineMs: DONE_WITHIN_MS,
  });
  assert.equal(exitCode, 0, stderr);
}

/** Gives the root and an entry creation times that the server keeps, as it has for what was made over SMB. */
export async function setCreated(
  { tbHost, tbPort, username, password }: PlainRig,
  share: string,
  name: string,
  at = "2019:01:02-03:04:05",
): Promise<void> {
  const script = ["\\", name].map((path) => `utimes "${path}" ${at} -1 -1 -1\n`).join("");
  const { exitCode, stdout } = await runCommand(
    "smbclient",
    [`//${tbHost}/${share}`, "-p", String(tbPort), "-U", username, "-s", "/dev/null"],
    { clock: systemClock, deadlineMs: DONE_WITHIN_MS, stdin: script, env: { PASSWD: password, TZ: "UTC0" } },
  );
  assert.equal(exitCode, 0, stdout);
}
