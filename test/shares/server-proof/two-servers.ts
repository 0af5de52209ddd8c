// Two real SMB servers of one NetBIOS name, each with two addresses on loopback, and what tests do to their roots.
import assert from "node:assert/strict";
import { mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { startHostProbe } from "../../../src/network/probe/host-probe.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import {
  createServerProof,
  type ProofEndpoint,
  type ProofVerdict,
  type ServerProof,
  type ServerProofOptions,
} from "../../../src/shares/server-proof/server-proof.ts";
import { createKnownServers, type KnownServer } from "../../../src/shares/server-proof/server-witness.ts";
import type { RouteName, ShareSpec } from "../../../src/shares/share-spec.ts";

export const PATH_FOLDERS = (process.env["PATH"] ?? "").split(delimiter);
const PROBED_WITHIN_MS = 60_000;
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

export interface TwoServers extends AsyncDisposable {
  readonly one: PlainRig;
  readonly other: PlainRig;
}

export async function startTwoServers(shares: readonly string[]): Promise<TwoServers> {
  const [one, other] = await Promise.all([startPlainRig({ shares }), startPlainRig({ shares })]);
  return {
    one,
    other,
    async [Symbol.asyncDispose]() {
      await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
    },
  };
}

/** A share whose routes lead to these servers. */
export function shareOn(
  tb: PlainRig,
  fallback: PlainRig,
  name: string,
  more: Partial<ShareSpec> = {},
): ShareSpec {
  const route = (host: string, port: number) => ({ host, port, interfaceName: null, folder: null });
  return {
    name,
    shareName: name,
    username: tb.username,
    password: tb.password,
    missingVariable: null,
    driver: "rclone",
    routes: {
      tb: route(tb.tbHost, tb.tbPort),
      fallback: route(fallback.fallbackHost, fallback.fallbackPort),
    },
    mountPath: "/nowhere",
    stablePath: "/nowhere",
    ...more,
  };
}

/** What a probe of the route finds. */
export async function probed({ host, port }: { host: string | null; port: number }): Promise<ProofEndpoint> {
  const address = host ?? "";
  const probe = startHostProbe(systemClock, { address, port, localAddress: null }, PROBED_WITHIN_MS);
  const { verdict, serverGuid } = await probe.finding;
  assert.equal(verdict, "answers");
  return { address, port, localAddress: null, serverGuid };
}

export async function endpointsOf(share: ShareSpec): Promise<Readonly<Record<RouteName, ProofEndpoint>>> {
  return { tb: await probed(share.routes.tb), fallback: await probed(share.routes.fallback) };
}

const stateFolders = new WeakMap<ServerProof, string>();

export function proofIn(stateFolder: string, more: Partial<ServerProofOptions> = {}): ServerProof {
  const proof = createServerProof({ clock: systemClock, logger: silentLogger, stateFolder, ...more });
  stateFolders.set(proof, stateFolder);
  return proof;
}

/** All that the proof knows of the servers of a share. */
export function knownTo(proof: ServerProof, share: ShareSpec): Promise<readonly KnownServer[]> {
  return createKnownServers(stateFolders.get(proof) ?? "").list(share);
}

export type ToldVerdict =
  | { readonly kind: "same" }
  | { readonly kind: "different" | "unproved"; readonly text: string };

/** Without the server's id, which is another one each time. */
export function told(verdict: ProofVerdict): ToldVerdict {
  return verdict.kind === "same" ? { kind: verdict.kind } : { kind: verdict.kind, text: verdict.text };
}

export const isSteady = (): boolean => true;

/** Compares as the daemon does: both routes probed right before. */
export async function compared(proof: ServerProof, share: ShareSpec) {
  const { signal } = new AbortController();
  const verdict = await proof.compare(share, await endpointsOf(share), null, isSteady, signal);
  const key = metKey(proof, share);
  if (verdict.kind === "same" && !metFirst.has(key)) metFirst.set(key, verdict.server);
  return told(verdict);
}

const metFirst = new Map<string, string>();

function metKey(proof: ServerProof, { name }: ShareSpec): string {
  return `${stateFolders.get(proof)} ${name}`;
}

/** Whether it is the server that was met first. */
export async function recognised(proof: ServerProof, share: ShareSpec, route: RouteName) {
  const { signal } = new AbortController();
  const expected = { server: metFirst.get(metKey(proof, share)) ?? "nobody" };
  return told(await proof.recognise(share, route, await probed(share.routes[route]), expected, signal));
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

/** A folder that holds these programs alone. */
export async function onlyPrograms(
  folder: string,
  names: readonly string[],
): Promise<() => readonly string[]> {
  const programs = join(folder, `programs-${names.join("-")}`);
  await mkdir(programs);
  for (const name of names)
    await symlink((await findProgram(name, PATH_FOLDERS)) ?? "", join(programs, name));
  return () => [programs];
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

/** All files below the state folder. */
export async function keptFiles(stateFolder: string): Promise<string[]> {
  const entries = await readdir(stateFolder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}
