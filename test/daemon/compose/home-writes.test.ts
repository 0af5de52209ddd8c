// What two daemons keep of tools in one home while one takes over from the other.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openHomeWrites } from "../../../src/daemon/compose/home-writes.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { Pins } from "../../../src/gateway/pins/pins.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { listing, tool } from "../../gateway/pins/tools.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const RULES: Parameters<Pins["load"]>[0] = {
  trust: { pin: "block" },
  backends: ["files", "web", "mail"].map((name) => ({ name, pin: null })),
};
const CHANGED = tool("a", { description: "Does a, and more." });

/** The pins of one daemon, as `sources` has its backends' lists. */
async function daemonOn(t: TestContext, home: string) {
  const logger = silentLogger;
  const writes = openHomeWrites({ home, clock: systemClock, environment: {}, logger });
  const told: GatewayTransition[] = [];
  let sources: readonly CatalogSource[] = [];
  const pins: Pins = new Pins({
    store: writes.pinStore,
    clock: systemClock,
    logger,
    announce: (transition) => told.push(transition),
    onChanged: () => admit(),
  });
  const admit = (): readonly CatalogSource[] => pins.admit(sources, RULES);
  t.after(() => pins.kept[Symbol.asyncDispose]());
  await pins.load(RULES);
  return {
    pins,
    writes,
    names: () => told.map(({ name }) => name),
    lists(...listed: readonly CatalogSource[]): readonly string[] {
      sources = listed;
      return admit().flatMap(({ backend, listings }) =>
        listings.tools.map(({ name }) => `${backend}.${name}`),
      );
    },
  };
}

test("B11 E3 what either daemon learns of tools while one takes over from the other is remembered", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const old = await daemonOn(t, home);
  old.writes.begin();
  old.lists(listing("files", [tool("a")]));
  await old.pins.kept.flush();

  const next = await daemonOn(t, home);
  const files = listing("files", [CHANGED]);
  const mail = listing("mail", [tool("m")]);
  assert.deepEqual(next.lists(files, mail), ["mail.m"]);
  // Meanwhile the old one sees the change, a person approves it, and another backend lists its tools.
  old.lists(files, listing("web", [tool("w")]));
  old.pins.approve(old.pins.pending, false);
  await old.pins.kept.flush();
  await old.writes.end();
  old.lists(files, listing("web", [tool("too-late")]));

  await next.pins.kept.reload(() => next.writes.begin());
  assert.deepEqual(next.lists(files, mail), ["files.a", "mail.m"]);
  assert.deepEqual(next.names(), ["catalog.tools_pinned"], "the change was told by the old one");
  await Promise.all([next.pins.kept.flush(), old.pins.kept.flush()]);

  const last = await daemonOn(t, home);
  last.writes.begin();
  const web = listing("web", [tool("w"), tool("too-late")]);
  assert.deepEqual(last.lists(files, mail, web), ["files.a", "mail.m", "web.w"]);
  assert.deepEqual(last.pins.state.lost, null);
  await last.pins.kept.flush();
});

test("B11 what a slow disk still had to write when the home was given away replaces nothing of the next daemon's", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const clock = createManualClock();
  let isSlow = false;
  // Each deadline is over before a slow disk can have answered.
  const setTimer: Clock["setTimer"] = (delayMs, callback) => {
    if (isSlow) queueMicrotask(callback);
    return clock.setTimer(delayMs, callback);
  };
  const options = { home, clock: { ...clock, setTimer }, environment: {}, logger: silentLogger };
  const writes = openHomeWrites(options);
  writes.begin();
  await writes.pinStore.write({ version: 1 });
  writes.heldRoutes.keep("files", "lan");
  await writes.heldRoutes.settled();
  isSlow = true;
  const late = assert.rejects(writes.pinStore.write({ version: 2 }), /another daemon writes the home/u);
  const queued = assert.rejects(writes.nameStore.write({ version: 2 }), /another daemon writes the home/u);
  writes.heldRoutes.keep("files", "remote");
  await writes.end();
  const paths = ["pins.sealed", "names.sealed", "held-routes.json"].map((name) => join(home, name));
  for (const path of paths) writeFileSync(path, "the next daemon's\n");
  isSlow = false;
  await Promise.all([late, queued, writes.heldRoutes.settled()]);
  for (const path of paths) assert.equal(await readFile(path, "utf8"), "the next daemon's\n", path);
});
