// A program that listens for network changes and says so in JSON lines; commands come by stdin, one per line.
import { existsSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { describeDelta } from "../../../src/network/listen/events/network-delta.ts";
import { startNetworkListener } from "../../../src/network/listen/network-listener.ts";
import type { LogFields } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";

function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const log = (message: string, fields: LogFields = {}): void => say({ log: message, ...fields });
process.on("worker", (worker) => worker.once("exit", (threadEndedWith: number) => say({ threadEndedWith })));
const listener = startNetworkListener({
  clock: systemClock,
  logger: { debug: log, info: log, warn: log, error: log },
  pollIntervalMs: 100,
  onChange: (deltas) => say({ deltas: deltas.map(describeDelta), source: listener.source }),
});
say({ started: true });

createInterface({ input: process.stdin }).on("line", async (command) => {
  if (command === "source") say({ source: listener.source });
  if (command === "interfaces") say({ interfaces: Object.keys(networkInterfaces()) });
  if (command.startsWith("block until ")) {
    say({ blocked: true });
    while (!existsSync(command.slice("block until ".length)));
  }
  if (command === "exit") process.exit(7);
  if (command === "throw") {
    setImmediate(() => {
      throw new Error("uncaught on purpose");
    });
  }
  if (command === "stop") {
    await listener[Symbol.asyncDispose]();
    process.stdin.unref();
    process.stdin.destroy();
  }
});
