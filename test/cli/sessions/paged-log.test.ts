import assert from "node:assert/strict";
import { test } from "node:test";
import { openPagedLog } from "../../../src/cli/sessions/paged-log.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";

test("a followed log continues after its daemon was gone, and prints each record once", async () => {
  const clock = createManualClock();
  // Each is asked for once; a page that ends with "…" has an older one.
  const pages: (readonly string[] | null)[] = [["a"], ["b", "a"], null, null, ["d", "…"], ["c", "b"]];
  const log = await openPagedLog<string, string>({
    count: 10,
    matches: () => true,
    clock,
    async read() {
      const records = pages.shift();
      if (records == null) throw new MountaineerError("daemon_unreachable", "it restarts");
      const isWhole = !records.includes("…");
      return { records: records.filter((one) => one !== "…"), next: isWhole ? null : "older" };
    },
  });
  const abort = new AbortController();
  const seen: string[] = [...log.last];
  const following = (async () => {
    for await (const record of log.follow(abort.signal)) {
      seen.push(record);
      if (seen.length === 4) abort.abort();
    }
  })();
  await passTimeUntil(clock, () => seen.length === 4, 1_000);
  await following;
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
});
