// A thread that pings a gateway and looks at the CPU of its main thread between two answers: that is how long the gateway was
// away. A machine that is busy with others does not count.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { connectLight } from "../light-client.ts";

const BETWEEN_PINGS_MS = 2;

export interface Watched {
  /** The longest time without an answer, in CPU ms of the thread. */
  readonly awayMs: number;
  /** CPU ms of the thread since the last look. */
  readonly usedMs: number;
}

export interface ThreadWatch extends AsyncDisposable {
  /** Since the last look. */
  look(): Promise<Watched>;
}

export async function watchThread(url: string, pid: number): Promise<ThreadWatch> {
  const worker = new Worker(import.meta.filename, { workerData: { url, pid } });
  const next = (): Promise<Watched> =>
    new Promise((resolve) => {
      worker.once("message", resolve);
    });
  await next();
  return {
    look() {
      const seen = next();
      worker.postMessage(null);
      return seen;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

/** CPU ms that `work` takes on a quiet machine. */
const QUIET_WORK_MS = 12;

/** How much more CPU a piece of work takes now than on a quiet machine: cores are shared. */
export function slowness(): number {
  const before = process.threadCpuUsage();
  for (let round = 0; round < 20; round++)
    JSON.parse(JSON.stringify(Array.from({ length: 2_000 }, (_, at) => ({ at, name: `t${at}` }))));
  const { user, system } = process.threadCpuUsage(before);
  return Math.max(1, (user + system) / 1_000 / QUIET_WORK_MS);
}

async function watch(): Promise<void> {
  const { url, pid } = workerData as { readonly url: string; readonly pid: number };
  const usedMs = (): number =>
    Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
  const client = await connectLight(url);
  let asked = false;
  let sinceMs = usedMs();
  let awayMs = 0;
  parentPort?.on("message", () => {
    asked = true;
  });
  parentPort?.postMessage(null);
  for (let before = sinceMs; ; ) {
    // What an idle thread does in it is nothing.
    await pause(BETWEEN_PINGS_MS);
    // On a busy machine its connection is sometimes reset; a daemon that has ended refuses the next one.
    await client.ask("ping").catch((error) => {
      process.stderr.write(`a ping was lost: ${error} ${error.code}\n`);
      return client.ask("ping");
    });
    const after = usedMs();
    awayMs = Math.max(awayMs, after - before);
    before = after;
    if (asked) {
      parentPort?.postMessage({ awayMs, usedMs: after - sinceMs });
      [asked, awayMs, sinceMs] = [false, 0, after];
    }
  }
}

if (!isMainThread) await watch();
