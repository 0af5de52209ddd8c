// A program that probes what its stdin names, one `host port interface|- timeout_ms` per line, and answers in JSON lines.
import { createInterface } from "node:readline";
import { createHostProber } from "../../../src/network/probe/host-prober.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";

const prober = createHostProber({ clock: systemClock, logger: noopLogger, resolve: async () => [] });
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [host = "", port = "", interfaceName = "-", timeoutMs = ""] = line.split(" ");
  prober.networkChanged();
  const result = await prober.probe(
    { host, port: Number(port), interfaceName: interfaceName === "-" ? null : interfaceName },
    { notBeforeMs: systemClock.monotonicMs(), timeoutMs: Number(timeoutMs) },
  );
  process.stdout.write(`${JSON.stringify(result)}\n`);
});
