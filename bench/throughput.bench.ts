// Measures how fast large files are read and written through each driver, carried and not, beside smbclient, in turns;
// and what the relay of a carried mount costs in processor time, beside socat.

import { randomFillSync } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { link, mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { builtFileSystem } from "../scripts/engine/build.ts";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../src/demo/stage/plain-rig.ts";
import { installedRclone } from "../src/rclone-release/installed.ts";
import { errorText } from "../src/runtime/errors.ts";
import { noopLogger } from "../src/runtime/log/log.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { createLocalDriver } from "../src/shares/drivers/local/local.ts";
import { createRcloneDriver } from "../src/shares/drivers/rclone/rclone.ts";
import { createMountTable } from "../src/shares/mounts/mount-table.ts";
import { startProber } from "../src/shares/prober/prober-process.ts";
import type { DriverName, ShareSpec } from "../src/shares/share-spec.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { cpuMsWithChildren } from "./processes.ts";
import { listenerOf, type Relay, startCarrier, startSocat } from "./relays.ts";
import {
  bareRcloneColumn,
  type Column,
  driverColumn,
  fileSystemColumn,
  pauseMsOf,
  smbclientColumn,
  untilListedAnew,
} from "./throughput-columns.ts";

const MIB = 1024 * 1024;
/** What socat copies at once: as it comes, and as one would set it for speed. */
const SOCAT_DEFAULT_BYTES = 8192;
const SOCAT_FAST_BYTES = 256 * 1024;
const SMALL_FILES = 100;
const SMALL_BYTES = 8192;
const RANDOM_READS = 40;
const SHARES = [
  "ASKED",
  "SIGNED",
  "SLOW",
  "RELAYED",
  "DIRECT",
  "CARRIED",
  "ENGINE",
  "ENGINE2",
  "BARE",
  "THROUGH",
  "FILES",
  "FILES2",
] as const;
type ShareName = (typeof SHARES)[number];

export const title = "throughput: large files through each driver, carried and not, beside smbclient";

/** What a mount signs by default, so that it is what ours are held against. */
const SIGNED = "smbclient, signed";

export function missing(): string | null {
  const lacking = ["smbclient", "socat"].filter((name) => !isOnPath(name));
  return lacking.length === 0 ? missingForPlainRig() : `${lacking.join(", ")} not found (apt install)`;
}

/** By column and figure; each has one value a round. */
type Figures = Map<string, Map<string, number[]>>;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const bytes = (short ? 128 : 954) * MIB;
  const rounds = short ? 3 : 5;
  await using stack = new AsyncDisposableStack();
  const rig = stack.use(await startPlainRig({ shares: SHARES }));
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-throughput-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const source = join(folder, "source.bin");
  await writeRandom(source, bytes);
  const { columns, relays } = await openColumns(rig, folder, stack);
  const figures: Figures = new Map();
  const smbd = await listenerOf(rig.serverPort, /\bsmbd$/);
  const serverCpuMs = async () => (smbd === null ? Number.NaN : cpuMsWithChildren(smbd));
  for (let index = 0; index < rounds; index++) {
    const files = await putFiles(folder, source, columns, index);
    await untilListedAnew();
    for (const column of inTurn(columns, index))
      await measure(column, source, bytes, files, figures, serverCpuMs);
    say(`  round ${index + 1}, read/written: ${columns.map(({ name }) => newest(name, figures)).join("; ")}`);
    for (const { behind } of columns) await rm(join(behind, files.large), { force: true });
  }
  say(`  ${Math.round(bytes / 1e6)} MB, ${rounds} rounds, all in turns; MB/s`);
  await report(columns, figures);
  reportRelays(relays, figures);
}

/** So that what was measured is not lost with a run that is ended. */
function newest(name: string, figures: Figures): string {
  const last = (what: string): string => round(figures.get(name)?.get(what)?.at(-1) ?? Number.NaN);
  return `${name} ${last("read")}/${last("stored")}`;
}

interface Files {
  readonly large: string;
  readonly small: readonly string[];
}

/** Links with new names: what a mount has kept of an earlier round is under another one. */
async function putFiles(
  folder: string,
  source: string,
  columns: readonly Column[],
  index: number,
): Promise<Files> {
  const small = Array.from({ length: SMALL_FILES }, (_, number) => `small-${index}-${number}.bin`);
  for (const name of small) await writeFile(join(folder, name), Buffer.alloc(SMALL_BYTES, index));
  const large = `large-${index}.bin`;
  for (const { behind } of columns) {
    await link(source, join(behind, large));
    for (const name of small) await link(join(folder, name), join(behind, name));
  }
  return { large, small };
}

async function measure(
  column: Column,
  source: string,
  bytes: number,
  { large, small }: Files,
  figures: Figures,
  serverCpuMs: () => Promise<number>,
): Promise<void> {
  const note = (name: string, value: number): void => {
    const own = figures.get(column.name) ?? new Map<string, number[]>();
    figures.set(column.name, own);
    own.set(name, [...(own.get(name) ?? []), value]);
  };
  const speed = (ms: number): number => bytes / 1000 / ms;
  const relayed = async (): Promise<number> => (await column.relay?.cpuMs()) ?? 0;
  const [relayBefore, before, serverBefore] = [await relayed(), await column.cpuMs(), await serverCpuMs()];
  note("read", speed(await column.read(large)));
  const [relayBetween, between] = [await relayed(), await column.cpuMs()];
  const serverBetween = await serverCpuMs();
  const written = await column.write(source, bytes);
  note("accepted", speed(written.acceptedMs));
  note("stored", speed(written.storedMs));
  note("sent", speed(written.sentMs));
  const gigabytes = bytes / 1e9;
  note("cpu read", (between - before) / 1000 / gigabytes);
  note("cpu write", ((await column.cpuMs()) - between) / 1000 / gigabytes);
  note("server read", (serverBetween - serverBefore) / 1000 / gigabytes);
  note("server write", ((await serverCpuMs()) - serverBetween) / 1000 / gigabytes);
  note("relay read", (relayBetween - relayBefore) / 1000 / gigabytes);
  note("relay write", ((await relayed()) - relayBetween) / 1000 / gigabytes);
  if (column.readEach !== null) note("small ms", (await column.readEach(small)) / small.length);
  if (column.readAtRandom !== null) {
    note("random ms", (await column.readAtRandom(large, RANDOM_READS)) / RANDOM_READS);
  }
}

interface Opened {
  readonly columns: readonly Column[];
  readonly relays: readonly Relay[];
}

async function openColumns(rig: PlainRig, folder: string, stack: AsyncDisposableStack): Promise<Opened> {
  const prober = stack.use(startProber({ clock: systemClock, logger: noopLogger }));
  const kept = { clock: systemClock, prober, stateFolder: join(folder, "home") };
  const smb = { ...kept, logger: noopLogger, mountTable: createMountTable({ clock: systemClock }) };
  const rcloneDriver = () => createRcloneDriver({ ...smb, addressesOf: () => [] });
  const local = createLocalDriver({ ...kept, mountTable: smb.mountTable });
  const slow = stack.use(await startSocat(rig.serverPort, SOCAT_DEFAULT_BYTES));
  const fast = stack.use(await startSocat(rig.serverPort, SOCAT_FAST_BYTES));
  const carrier = await startCarrier(join(folder, "carrier"), "CARRIED", rig.serverPort);
  if (carrier === null) say("  carried: there is no carrier in this checkout; socat stands in for it");
  else stack.use(carrier);
  const carried = carrier ?? fast;
  const auth = join(folder, "smbclient.auth");
  await writeFile(auth, `username = ${rig.username}\npassword = ${rig.password}\n`, { mode: 0o600 });
  const columns: Column[] = [
    smbclientColumn("smbclient", rig, "ASKED", null, auth),
    smbclientColumn(SIGNED, rig, "SIGNED", null, auth, "sign"),
    smbclientColumn(`smbclient, ${slow.name}`, rig, "SLOW", slow, auth),
    smbclientColumn(`smbclient, ${fast.name}`, rig, "RELAYED", fast, auth),
  ];
  if (carrier !== null) columns.push(smbclientColumn("smbclient, carrier", rig, "THROUGH", carrier, auth));
  const share = (name: ShareName, driver: DriverName, port: number) =>
    shareSpec(rig, folder, name, driver, port);
  const add = async (name: string, make: () => Promise<Column>): Promise<void> => {
    try {
      columns.push(stack.use(await make()));
    } catch (error) {
      say(`  ${name}: not measured: ${errorText(error)}`);
    }
  };
  await add("rclone alone", () => bareRcloneColumn(rig, "BARE", folder));
  const engine = await installedRclone(kept.stateFolder);
  if (engine === null) say("  engine: not measured: none is built (npm run engine)");
  for (const { name, kind, driver, program, direct, relayed } of [
    {
      name: "rclone",
      kind: "rclone",
      driver: rcloneDriver(),
      program: "rclone",
      direct: "DIRECT",
      relayed: "CARRIED",
    },
    ...(engine === null
      ? []
      : [
          {
            name: "engine",
            kind: "rclone",
            driver: rcloneDriver(),
            program: engine,
            direct: "ENGINE",
            relayed: "ENGINE2",
          } as const,
        ]),
  ] as const) {
    // A mount keeps the program that it began with.
    process.env["MOUNTAINEER_RCLONE"] = program;
    const pauseMs = await pauseMsOf(program);
    await add(name, () =>
      driverColumn(name, driver, share(direct, kind, rig.serverPort), rig.exportPath(direct), null, pauseMs),
    );
    const behind = rig.exportPath(relayed);
    await add(`${name}, carried`, () =>
      driverColumn(`${name}, carried`, driver, share(relayed, kind, carried.port), behind, carried, pauseMs),
    );
  }
  await add("mountaineer-fs", async () => {
    const program = await builtFileSystem(join(import.meta.dirname, ".."));
    columns.push(
      stack.use(await fileSystemColumn("mountaineer-fs, carried", program, rig, "FILES2", folder, carried)),
    );
    return fileSystemColumn("mountaineer-fs", program, rig, "FILES", folder, null);
  });
  const behind = join(folder, "local");
  await mkdir(behind);
  const localShare = shareSpec(rig, folder, "LOCAL", "local", 0, behind);
  await add("local", () => driverColumn("local", local, localShare, behind, null));
  return { columns, relays: [slow, fast, ...(carrier === null ? [] : [carrier])] };
}

function shareSpec(
  rig: PlainRig,
  folder: string,
  name: string,
  driver: DriverName,
  port: number,
  local: string | null = null,
): ShareSpec {
  const route = { host: local === null ? "127.0.0.1" : null, port, interfaceName: null, folder: local };
  return {
    name,
    shareName: name,
    username: rig.username,
    password: rig.password,
    missingVariable: null,
    driver,
    routes: { tb: route, fallback: route },
    mountPath: join(folder, "volumes", name),
    stablePath: join(folder, "Shares", name),
  };
}

async function report(columns: readonly Column[], figures: Figures): Promise<void> {
  const of = (name: string, what: string): readonly number[] => figures.get(name)?.get(what) ?? [];
  const beside = (name: string, other: string, what: string): string =>
    ratio(of(name, what), of(other, what));
  for (const { name, peakMb } of columns) {
    say(`  ${name}`);
    say(`    read      ${spread(of(name, "read"), "MB/s")}, ${beside(name, SIGNED, "read")} × ${SIGNED}`);
    say(`    written   ${spread(of(name, "stored"), "MB/s")}, ${beside(name, SIGNED, "stored")} × ${SIGNED}`);
    const [serverRead, serverWrite] = [median(of(name, "server read")), median(of(name, "server write"))];
    say(`    the server: ${round(serverRead)} s of CPU a GB read, ${round(serverWrite)} written`);
    const peak = await peakMb();
    if (of(name, "small ms").length === 0) continue;
    const [small, random] = [median(of(name, "small ms")), median(of(name, "random ms"))];
    say(
      `    sent      ${spread(of(name, "sent"), "MB/s")}, ${beside(name, SIGNED, "sent")} × ${SIGNED}, after the pause`,
    );
    say(`    accepted  ${spread(of(name, "accepted"), "MB/s")}`);
    say(`    a file of 8 KiB ${round(small)} ms; 64 KiB at random in a large one ${round(random)} ms`);
    if (peak === null) continue;
    const [read, write] = [median(of(name, "cpu read")), median(of(name, "cpu write"))];
    say(
      `    its process: ${round(read)} s of CPU a GB read, ${round(write)} written; at most ${round(peak)} MB`,
    );
  }
  reportEngine(figures);
  for (const what of ["read", "stored"]) {
    const text = beside("rclone, carried", "rclone", what);
    say(`  rclone, ${what}: carried / not carried ${text}`);
    goal(`rclone, ${what}: carried ≥ 0.9 × not carried`, Number(text) >= 0.9);
  }
  for (const what of ["read", "stored"]) {
    const text = beside("rclone", "rclone alone", what);
    goal(`rclone, ${what}: ≥ 0.9 × rclone with its defaults (${text})`, Number(text) >= 0.9);
  }
}

function reportEngine(figures: Figures): void {
  const of = (name: string, what: string): readonly number[] => figures.get(name)?.get(what) ?? [];
  if (!figures.has("engine")) return;
  for (const [name, what, least] of [
    ["engine", "read", 0.75],
    ["engine, carried", "read", 0.5],
    ["engine", "sent", 0.75],
    ["mountaineer-fs", "read", 0.5],
  ] as const) {
    const text = ratio(of(name, what), of(SIGNED, what));
    const each = of(name, what).map((value, index) => round(value / (of(SIGNED, what)[index] ?? Number.NaN)));
    goal(
      `${name}, ${what}: ≥ ${least} × ${SIGNED} (${text}; each round ${each.join(", ")})`,
      Number(text) >= least,
    );
  }
  for (const what of ["cpu read", "cpu write"]) {
    const cost = median(of("engine", what));
    goal(`engine, ${what}: ≤ 1.0 s a GB (${round(cost)})`, cost <= 1);
  }
}

/** The same transfers by smbclient through each: processor time of the relay, user and system, a GB. */
function reportRelays(relays: readonly Relay[], figures: Figures): void {
  const costs = relays.map(({ name }) => {
    const own = figures.get(`smbclient, ${name}`);
    const each = ["relay read", "relay write"].map((what) => median(own?.get(what) ?? []));
    say(`  ${name}: ${each.map(round).join(" s of CPU a GB read, ")} written`);
    return { name, sum: each.reduce((a, b) => a + b, 0) };
  });
  const carrier = costs.find(({ name }) => name === "carrier");
  if (carrier === undefined) return;
  for (const socat of costs.filter((one) => one !== carrier)) {
    const text = (carrier.sum / socat.sum).toFixed(2);
    goal(`the carrier's CPU a GB ≤ 1.5 × ${socat.name} (${text})`, Number(text) <= 1.5);
  }
}

/** The median of the rounds' ratios: what other work took of the machine, it took of both. */
function ratio(ours: readonly number[], theirs: readonly number[]): string {
  return median(ours.map((value, index) => value / (theirs[index] ?? Number.NaN))).toFixed(2);
}

/** Nobody is always the first. */
function inTurn<T>(all: readonly T[], index: number): readonly T[] {
  const start = index % all.length;
  return [...all.slice(start), ...all.slice(0, start)];
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  const block = randomFillSync(Buffer.alloc(MIB));
  await using file = await open(path, "w");
  for (let at = 0; at < bytes; at += block.length) {
    block.writeBigUInt64LE(BigInt(at));
    await file.write(block);
  }
}

function isOnPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
