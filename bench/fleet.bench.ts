// Measures fleets on one nats-server: what the server and each machine pay while nobody looks, while they change and start
// again, while one looks, and while all of them hear all others; the last two up to the 1,000 that a machine keeps.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { userLine } from "../src/fleet/permissions.ts";
import { makeKey, PROGRAM } from "../test/fleet/nats-rig.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { selfSigned } from "../test/support/self-signed.ts";
import { median, round, say } from "./figures.ts";
import type { Looked, MachinesPlan, Order } from "./fleet-machines.ts";
import { cpuMs, rssMb } from "./processes.ts";

const SIZES = { short: [100], whole: [10, 100, 300, 1000, 3000] } as const;
const SECONDS = { short: 8, whole: 30 } as const;
const MOST_IN_A_PROCESS = 250;
/** As each machine does. */
const MOST_KEPT = 1000;
const SETTLES_MS = 15_000;
const STARTED_WITHIN_MS = 300_000;

export const title = "fleet: machines on one nats-server, with TLS and the permissions of `fleet key`";
export const missing = (): string | null => (PROGRAM === null ? "nats-server is not installed" : null);

interface Part {
  readonly child: ChildProcess;
  readonly count: number;
  readonly emptyMb: number;
}

interface Sum {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly serverMs: number;
  readonly machinesMs: number;
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  for (const size of short ? SIZES.short : SIZES.whole) await measure(size, short);
}

async function measure(size: number, short: boolean): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  const [port, looksAt] = [await freePort(), await freePort()];
  const machines = Array.from({ length: size }, (_, index) => ({ name: `m${index}`, ...makeKey() }));
  const [config, authority, key] = [join(home, "nats.conf"), join(home, "ca.pem"), join(home, "server.key")];
  const pair = selfSigned(["127.0.0.1"]);
  await writeFile(authority, pair.cert);
  await writeFile(key, pair.key);
  const lines = machines.map(({ name, publicKey }) => userLine(name, publicKey));
  await writeFile(
    config,
    `listen: "127.0.0.1:${port}"\ntls { cert_file: "${authority}", key_file: "${key}" }\n` +
      `jetstream { store_dir: "${home}/store" }\nauthorization { users: [\n${lines.join("\n")}\n] }\n`,
  );
  const start = (): ChildProcess =>
    spawn(PROGRAM ?? "", ["-c", config, "-m", String(looksAt)], { stdio: "ignore" });
  let server = start();
  stack.defer(() => ended(server));
  const look = (): Promise<Sum> => sums(looksAt, server, parts);
  const parts: Part[] = [];
  await eventually(() => sums(looksAt, server, []));

  const together = Math.min(MOST_IN_A_PROCESS, size / 2);
  for (let from = 0; from < size; from += together) {
    const count = Math.min(together, size - from);
    const child = fork(new URL("./fleet-machines.ts", import.meta.url), {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    stack.defer(() => ended(child));
    await pause(1_000);
    parts.push({ child, count, emptyMb: await rssMb(child.pid ?? 0) });
  }
  const startedAt = performance.now();
  for (const [index, { child, count }] of parts.entries()) {
    const from = index * together;
    const plan: MachinesPlan = {
      server: `tls://127.0.0.1:${port}`,
      authority,
      machines: machines.slice(from, from + count),
    };
    await order(child, { start: plan });
  }
  const beganMs = performance.now() - startedAt;
  // Those that were there first hear all until their next sign of life.
  await pause(SETTLES_MS);
  say(`  ${size} machines, all in after ${round(beganMs / 1000)} s`);
  const seconds = short ? SECONDS.short : SECONDS.whole;
  const during = async (what: string, happens: Promise<unknown>): Promise<void> => {
    const before = await look();
    const fromMs = performance.now();
    await happens;
    const after = await look();
    tell(what, size, (performance.now() - fromMs) / 1000, before, after);
  };
  await during("at rest", pause(seconds * 1000));
  const memory = await Promise.all(
    parts.map(async ({ child, emptyMb }) => (await rssMb(child.pid ?? 0)) - emptyMb),
  );
  say(
    `    memory: server ${round(await rssMb(server.pid ?? 0))} MB, each machine ` +
      `${round(memory.reduce((sum, mb) => sum + mb, 0) / size)} MB`,
  );
  const changes: Order = { churn: "change", perSecond: 10 / parts.length, seconds };
  await during("10 changes a second", Promise.all(parts.map(({ child }) => order(child, changes))));
  const restarts: Order = { churn: "restart", perSecond: 10 / parts.length, seconds };
  await during("10 restarts a second", Promise.all(parts.map(({ child }) => order(child, restarts))));
  if (size > MOST_KEPT) return;
  await pause(5_000);
  const [one, other = one] = [parts[0]?.child, parts.at(-1)?.child];
  if (one === undefined || other === undefined) return;
  const looked = (await order(one, { look: true })) as Looked;
  const again = (await order(one, { look: true })) as Looked;
  say(
    `    fleet status: ${round(looked.ms)} ms for the first look, ${looked.here} of ${looked.all} here; ${round(again.ms)} ms for the next`,
  );
  const ofOther = `m${(parts.length - 1) * together}`;
  const delays: number[] = [];
  for (let count = 0; count < 10; count += 1) {
    const seen = order(one, { untilSeen: `seen ${count}`, of: ofOther });
    const changed = await order(other, { route: `seen ${count}` });
    delays.push(Number(BigInt(String(await seen)) - BigInt(String(changed))) / 1e6);
    await pause(400);
  }
  say(
    `    a change is seen by who looks after ${round(median(delays))} ms, at most ${round(Math.max(...delays))} ms`,
  );
  await ended(server);
  await pause(500);
  server = start();
  const restartedAt = performance.now();
  await Promise.all(parts.map(({ child }) => order(child, { connected: true })));
  say(
    `    after kill -9 of the server and its restart all are back in ${round(performance.now() - restartedAt)} ms`,
  );
  const looking: Order = { lookAllSeconds: seconds + 15 };
  // Nobody waits for its answer: they are ended meanwhile.
  for (const { child } of parts) child.send(looking);
  await pause(12_000);
  await during("all hear all", pause(seconds * 1000));
}

function tell(what: string, size: number, seconds: number, before: Sum, after: Sum): void {
  const rate = (of: (sum: Sum) => number): number => (of(after) - of(before)) / seconds;
  const [messagesIn, messagesOut] = [rate((sum) => sum.messagesIn), rate((sum) => sum.messagesOut)];
  const kilobytes = rate((sum) => sum.bytesIn + sum.bytesOut) / 1000;
  say(
    `    ${what}: ${round(messagesIn)} messages/s in, ${round(messagesOut)} out, ${round(kilobytes)} kB/s; ` +
      `server ${round(rate((sum) => sum.serverMs) / 10)} % of a core; each machine ` +
      `${(messagesOut / size).toFixed(2)} messages/s, ${(rate((sum) => sum.machinesMs) / 10 / size).toFixed(3)} % of a core`,
  );
}

async function sums(port: number, server: ChildProcess, parts: readonly Part[]): Promise<Sum> {
  const answer = await fetch(`http://127.0.0.1:${port}/varz`);
  const told = (await answer.json()) as Record<"in_msgs" | "out_msgs" | "in_bytes" | "out_bytes", number>;
  const ours = await Promise.all(parts.map(({ child }) => cpuMs(child.pid ?? 0)));
  return {
    messagesIn: told.in_msgs,
    messagesOut: told.out_msgs,
    bytesIn: told.in_bytes,
    bytesOut: told.out_bytes,
    serverMs: await cpuMs(server.pid ?? 0),
    machinesMs: ours.reduce((sum, ms) => sum + ms, 0),
  };
}

async function order(child: ChildProcess, wish: Order): Promise<unknown> {
  child.send(wish);
  const signal = AbortSignal.timeout(STARTED_WITHIN_MS);
  const [{ answer, error }] = (await once(child, "message", { signal })) as [
    { answer: unknown; error?: string },
  ];
  if (error !== undefined) throw new Error(error);
  return answer;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
