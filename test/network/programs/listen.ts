// A program that listens for network changes and says so in JSON lines; commands come by stdin, one per line.
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { describeDelta } from "../../../src/network/network-delta.ts";
import { startNetworkListener } from "../../../src/network/network-listener.ts";
import { rtnetlinkSource } from "../../../src/network/rtnetlink-listener.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import type { LogFields } from "../../../src/runtime/log.ts";

function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify({ ...line, at: performance.timeOrigin + performance.now() })}\n`);
}

const log = (message: string, fields: LogFields = {}): void => say({ log: message, ...fields });
const threadUrl = process.argv[2];
const listener = startNetworkListener({
  clock: systemClock,
  logger: { debug: log, info: log, warn: log, error: log },
  pollIntervalMs: 100,
  onChange: (deltas) => say({ deltas: deltas.map(describeDelta), source: listener.source }),
  ...(threadUrl === undefined ? {} : { eventSource: rtnetlinkSource(new URL(threadUrl)) }),
});
say({ started: true });

createInterface({ input: process.stdin }).on("line", async (command) => {
  if (command === "source") say({ source: listener.source });
  if (command === "interfaces") say({ interfaces: Object.keys(networkInterfaces()) });
  if (command === "cpu") say({ cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1_000 });
  if (command === "block") {
    const until = performance.now() + 500;
    while (performance.now() < until);
  }
  if (command === "exit") process.exit(7);
  if (command === "throw") {
    setImmediate(() => {
      throw new Error("uncaught on purpose");
    });
  }
  if (command === "stop") {
    const startedAt = performance.now();
    await listener[Symbol.asyncDispose]();
    say({ stoppedInMs: performance.now() - startedAt });
    process.stdin.unref();
    process.stdin.destroy();
  }
});
