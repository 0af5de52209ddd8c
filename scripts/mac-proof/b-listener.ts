// (b) The network listener hears an address that comes and goes, from the system's events and not from polling.

import { describeDelta } from "../../src/network/listen/events/network-delta.ts";
import { startNetworkListener } from "../../src/network/listen/network-listener.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { run, until } from "./command.ts";
import { prove, type Report } from "./report.ts";

/** None of those that the workflow adds for the tests. */
const ADDRESS = "127.0.0.10";
const EVENTS_WITHIN_MS = 3_000;
const HEARD_WITHIN_MS = 2_000;
const NO_POLLING_MS = 600_000;

await prove("b-listener", async (report) => {
  const heard: string[] = [];
  await using listener = startNetworkListener({
    clock: systemClock,
    logger: { debug() {}, info: report.note, warn: report.note, error: report.note },
    onChange: (deltas) => heard.push(...deltas.map(describeDelta)),
    pollIntervalMs: NO_POLLING_MS,
  });
  const flows = await until(async () => (listener.source === "polling" ? null : true), EVENTS_WITHIN_MS);
  report.check(
    flows !== null,
    "the system's own network events flow",
    `${listener.source} after ${flows?.ms ?? EVENTS_WITHIN_MS} ms`,
    "the line above says why not; src/network/listen/darwin/scdynamicstore-binding.ts declares the calls",
  );
  await hears(report, heard, "an address that is added", ["lo0", "alias", ADDRESS]);
  await hears(report, heard, "an address that is removed", ["lo0", "-alias", ADDRESS]);
});

async function hears(report: Report, heard: string[], what: string, args: readonly string[]): Promise<void> {
  heard.length = 0;
  const changed = await run("sudo", ["ifconfig", ...args]);
  if (changed.code !== 0) throw new Error(`sudo ifconfig ${args.join(" ")}: ${changed.output}`);
  const bell = await until(async () => heard.find((text) => text.includes(ADDRESS)) ?? null, HEARD_WITHIN_MS);
  report.check(
    bell !== null,
    `${what} is heard within ${HEARD_WITHIN_MS} ms`,
    bell === null ? `heard so far: ${heard.join("; ") || "nothing"}` : `"${bell.found}" after ${bell.ms} ms`,
    "compare the keys that are watched (WATCHED_KEYS, WATCHED_PATTERNS) with what `scutil` prints on a Mac for `n.watch`",
  );
}
