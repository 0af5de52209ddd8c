// A program that keeps a timeline in the home it is given and saves it again and again, until it is killed.
import { keepTimeline } from "../../src/daemon/events/kept-timeline.ts";
import { silentLogger as logger } from "../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../src/runtime/time/clock.ts";
import { sampleBackend } from "../api/sample-gateway.ts";
import { sampleShare } from "../api/sample-report.ts";

const [home = ""] = process.argv.slice(2);
const MINUTE_MS = 60_000;
/** What it would do in minutes it does at once. */
const clock: Clock = {
  ...systemClock,
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs < MINUTE_MS ? delayMs : 0, callback),
};
let looks = 0;
await keepTimeline({
  home,
  follows: false,
  clock,
  logger,
  bus: { subscribe: () => () => {} },
  isSeen: () => true,
  status() {
    looks += 1;
    const active_interface = looks % 2 === 0 ? "tb" : "fallback";
    return {
      shares: Array.from({ length: 8 }, (_, nth) => sampleShare({ name: `SHARE-${nth}`, active_interface })),
      backends: [sampleBackend({ name: "files" })],
    };
  },
  minutes: () => {
    const atMs = Math.floor(clock.wallMs() / 60_000) * 60_000;
    return new Map([["files", [{ atMs, calls: looks, errors: 0, latencyMs: { p50: 1, p99: looks } }]]]);
  },
});
process.stdout.write("writing\n");
