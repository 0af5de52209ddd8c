// Two real SMB servers of one NetBIOS name, each with two addresses on loopback, and what tests do to their roots.
import assert from "node:assert/strict";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { missingForPlainRig, type PlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { routeTo, shareSpec } from "../share-spec.ts";

export const PATH_FOLDERS = (process.env["PATH"] ?? "").split(delimiter);
const DONE_WITHIN_MS = 60_000;
/** A time long before any test runs. */
const LONG_AGO = new Date("2021-03-04T05:06:07.890Z");

/** What the machine lacks for these tests; null when nothing. */
export async function missingForTwoServers(): Promise<string | null> {
  for (const program of ["smbclient", "rsync"]) {
    if ((await findProgram(program, PATH_FOLDERS)) === null) return `${program} is not installed`;
  }
  return missingForPlainRig();
}

/** A share whose routes lead to these servers. */
export function shareOn(
  tb: PlainRig,
  fallback: PlainRig,
  name: string,
  more: Partial<ShareSpec> = {},
): ShareSpec {
  return shareSpec({
    name,
    username: tb.username,
    password: tb.password,
    routes: {
      tb: routeTo(tb.tbHost, { port: tb.tbPort }),
      fallback: routeTo(fallback.fallbackHost, { port: fallback.fallbackPort }),
    },
    ...more,
  });
}

/** Fills a root with files and a folder, all written long ago. */
export async function fill(
  folder: string,
  names: readonly string[] = ["first.txt", "second.dat"],
): Promise<void> {
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
export async function setCreated(share: ShareSpec, name: string, at = "2019:01:02-03:04:05"): Promise<void> {
  const { host, port } = share.routes.tb;
  const script = ["\\", name].map((path) => `utimes "${path}" ${at} -1 -1 -1\n`).join("");
  const { exitCode, stdout } = await runCommand(
    "smbclient",
    [`//${host}/${share.shareName}`, "-p", String(port), "-U", share.username, "-s", "/dev/null"],
    {
      clock: systemClock,
      deadlineMs: DONE_WITHIN_MS,
      stdin: script,
      env: { PASSWD: share.password ?? "", TZ: "UTC0" },
    },
  );
  assert.equal(exitCode, 0, stdout);
}

/** A folder with a shell script for each name, before those of PATH. */
export async function scripts(
  folder: string,
  bodies: Readonly<Record<string, string>>,
): Promise<() => readonly string[]> {
  const programs = join(folder, "scripts");
  await mkdir(programs);
  for (const [name, body] of Object.entries(bodies)) {
    await writeFile(join(programs, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }
  return () => [programs, ...PATH_FOLDERS];
}
