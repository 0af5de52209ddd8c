// Measures how fast large files are read and written through each driver, beside smbclient, in turns.

import { randomFillSync } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { copyFile, link, mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { formerShare } from "../src/config/read/normalize.ts";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../src/demo/stage/plain-rig.ts";
import { createMountProgram } from "../src/mount-program/mount-program.ts";
import { errorText } from "../src/runtime/errors.ts";
import { noopLogger } from "../src/runtime/log/log.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { createFsDriver } from "../src/shares/drivers/fs/fs.ts";
import { createLocalDriver } from "../src/shares/drivers/local/local.ts";
import { createMountTable } from "../src/shares/mounts/mount-table.ts";
import { startProber } from "../src/shares/prober/prober-process.ts";
import type { DriverName, ShareSpec } from "../src/shares/share-spec.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { cpuMsWithChildren, listenerOf } from "./processes.ts";
import { type Column, driverColumn, smbclientColumn, untilListedAnew } from "./throughput-columns.ts";

const MIB = 1024 * 1024;
const SMALL_FILES = 100;
const SMALL_BYTES = 8192;
const RANDOM_READS = 40;
/** Of the file that is written in blocks of so many KiB. */
const BLOCKS = [
  { kib: 4, mib: 8 },
  { kib: 64, mib: 64 },
  { kib: 256, mib: 256 },
];
export const SHARES = ["ASKED", "SIGNED", "FILES"];
export const PROGRAM = "mountaineer-fs";

export const title = "throughput: large files through each driver, beside smbclient";

const GOALS = [
  ["cpu read", 0.7, "s a GB"],
  ["cpu write", 1, "s a GB"],
  ["switches read", 12, "a MiB"],
  ["switches write", 20, "a MiB"],
] as const;

/** What a mount signs by default, so that it is what ours are held against. */
const SIGNED = "smbclient, signed";

export function missing(): string | null {
  return isOnPath("smbclient") ? missingForPlainRig() : "smbclient not found (apt install)";
}

/** By column and figure; each has one value a round. */
type Figures = Map<string, Map<string, number[]>>;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const bytes = (short ? 128 : 954) * MIB;
  const rounds = short ? 3 : 7;
  await using stack = new AsyncDisposableStack();
  const rig = stack.use(await startPlainRig({ shares: SHARES }));
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-throughput-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const source = join(folder, "source.bin");
  await writeRandom(source, bytes);
  const columns = await openColumns(rig, folder, stack);
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

/** New files: what a mount has kept of an earlier round is of another one. */
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
    await copyFile(source, join(behind, large));
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
  const mebibytes = bytes / MIB;
  const switched = [await column.switches()];
  const [before, serverBefore] = [await column.cpuMs(), await serverCpuMs()];
  note("read", speed(await column.read(large)));
  switched.push(await column.switches());
  const [between, serverBetween] = [await column.cpuMs(), await serverCpuMs()];
  note("stored", speed(await column.write(source, bytes)));
  const gigabytes = bytes / 1e9;
  note("cpu read", (between - before) / 1000 / gigabytes);
  note("cpu write", ((await column.cpuMs()) - between) / 1000 / gigabytes);
  switched.push(await column.switches());
  const [first = 0, second = 0, third = 0] = switched;
  note("switches read", (second - first) / mebibytes);
  note("switches write", (third - second) / mebibytes);
  note("server read", (serverBetween - serverBefore) / 1000 / gigabytes);
  note("server write", ((await serverCpuMs()) - serverBetween) / 1000 / gigabytes);
  for (const { kib, mib } of column.writeBlocks === null ? [] : BLOCKS) {
    const tookMs = await column.writeBlocks?.(source, mib * MIB, kib * 1024);
    note(`${kib} KiB`, (mib * MIB) / 1000 / (tookMs ?? Number.NaN));
  }
  if (column.readEach !== null) note("small ms", (await column.readEach(small)) / small.length);
  if (column.readAtRandom !== null) {
    note("random ms", (await column.readAtRandom(large, RANDOM_READS)) / RANDOM_READS);
  }
}

export async function openColumns(
  rig: PlainRig,
  folder: string,
  stack: AsyncDisposableStack,
): Promise<Column[]> {
  const prober = stack.use(startProber({ clock: systemClock, logger: noopLogger }));
  const stateFolder = join(folder, "home");
  const mountTable = createMountTable({ clock: systemClock });
  const kept = { clock: systemClock, prober, stateFolder, mountTable };
  const program = createMountProgram(stateFolder);
  const fs = createFsDriver({ ...kept, logger: noopLogger, addressesOf: () => [], program });
  const auth = join(folder, "smbclient.auth");
  await writeFile(auth, `username = ${rig.username}\npassword = ${rig.password}\n`, { mode: 0o600 });
  const columns: Column[] = [
    smbclientColumn("smbclient", rig, "ASKED", auth, "off"),
    smbclientColumn(SIGNED, rig, "SIGNED", auth, "sign"),
  ];
  const add = async (name: string, make: () => Promise<Column>): Promise<void> => {
    try {
      columns.push(stack.use(await make()));
    } catch (error) {
      say(`  ${name}: not measured: ${errorText(error)}`);
    }
  };
  const share = shareSpec(rig, folder, "FILES", "fs");
  await add(PROGRAM, () => driverColumn(PROGRAM, fs, share, rig.exportPath("FILES")));
  const behind = join(folder, "local");
  await mkdir(behind);
  const localShare = shareSpec(rig, folder, "LOCAL", "local", behind);
  await add("local", () => driverColumn("local", createLocalDriver(kept), localShare, behind));
  return columns;
}

function shareSpec(
  rig: PlainRig,
  folder: string,
  name: string,
  driver: DriverName,
  local: string | null = null,
): ShareSpec {
  const host = local === null ? "127.0.0.1" : null;
  const route = { host, port: rig.serverPort, interfaceName: null, folder: local };
  return {
    ...formerShare(name),
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
    say(`    a file of 8 KiB ${round(small)} ms; 64 KiB at random in a large one ${round(random)} ms`);
    say(
      `    written in blocks: ${BLOCKS.map(({ kib }) => `${kib} KiB ${round(median(of(name, `${kib} KiB`)))} MB/s`).join(", ")}`,
    );
    if (peak === null) continue;
    const [read, write] = [median(of(name, "cpu read")), median(of(name, "cpu write"))];
    say(
      `    its process: ${round(read)} s of CPU a GB read, ${round(write)} written; at most ${round(peak)} MB`,
    );
  }
  for (const what of ["read", "stored"]) {
    const text = beside(PROGRAM, SIGNED, what);
    const each = of(PROGRAM, what).map((value, index) =>
      round(value / (of(SIGNED, what)[index] ?? Number.NaN)),
    );
    goal(
      `${PROGRAM}, ${what}: ≥ 1.1 × ${SIGNED} (${text}; each round ${each.join(", ")})`,
      Number(text) >= 1.1,
    );
  }
  for (const [what, most, unit] of GOALS) {
    const cost = median(of(PROGRAM, what));
    goal(`${PROGRAM}, ${what}: ≤ ${most} ${unit} (${round(cost)})`, cost <= most);
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
