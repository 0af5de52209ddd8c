// The timeline of a real daemon while it ends, and another one comes.
import assert from "node:assert/strict";
import { mkdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import type { TimelineReport } from "../../src/api/timeline-contract.ts";
import { ANSWERS_MS } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

async function timelineOf(rig: GatewayRig): Promise<TimelineReport> {
  return (await rig.daemon()).ask("timeline", null, AbortSignal.timeout(ANSWERS_MS));
}

function callsIn({ backends }: TimelineReport): number {
  return backends[0]?.minutes.reduce((sum, { calls }) => sum + calls, 0) ?? 0;
}

test("F2 B11 the timeline outlives a stop, kill -9 and a handover; time without a daemon is a gap", async (t) => {
  const nas = await temporaryFolder(t);
  for (const route of ["tb", "fb"]) await mkdir(path.join(nas, route));
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } }, { kept: true });
  const share = `\n[[shares]]\nname = "CORE"\ndriver = "local"\nthunderbolt_path = "${nas}/tb"\nfallback_path = "${nas}/fb"\n`;
  await rig.home.writeConfig(`${rig.text({ backends: { light: nodeBackend(LIGHT_SERVER) } })}${share}`);
  await rig.home.untilShare("CORE", (seen) => seen.active_interface === "tb", ANSWERS_MS);
  await rig.untilReady("light");
  const client = await connectLight(rig.url);
  for (const text of ["one", "two"]) assert.equal(await client.call("echo", { text }), text);
  await client[Symbol.asyncDispose]();
  const first = await timelineOf(rig);
  assert.equal(callsIn(first), 2);
  assert.deepEqual(first.gaps, []);

  await rig.goDown("SIGTERM");
  const file = path.join(rig.home.home, "timeline.json");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const text = await readFile(file, "utf8");
  await rig.comeBack();
  await rig.untilReady("light");
  const second = await timelineOf(rig);
  assert.equal(second.known_since, first.known_since);
  assert.equal(callsIn(second), 2);
  const [gap, ...more] = second.gaps;
  assert.deepEqual(more, []);
  assert.ok(gap !== undefined && gap.from >= first.to && gap.to > gap.from);
  for (const { name, spans } of [...second.shares, ...second.backends]) {
    for (const { from, to } of spans) assert.ok(to <= gap.from || from >= gap.to, `${name}: ${from}`);
  }
  const core = second.shares.find(({ name }) => name === "CORE")?.spans ?? [];
  assert.ok(
    core.every(({ from, state }) => from < gap.from || state === "mounted"),
    `as if it had been away: ${JSON.stringify(core)}`,
  );

  // Seconds after its start nothing of it was saved: the next one has what was there before.
  await rig.killDaemon();
  const isSaved = (await readFile(file, "utf8")) !== text;
  if (await rig.isOver()) await rig.comeBack();
  await rig.untilReady("light");
  const third = await timelineOf(rig);
  assert.deepEqual([third.known_since, callsIn(third)], [first.known_since, 2]);
  assert.equal(third.gaps.length, isSaved ? 2 : 1, "on a busy machine a minute may have passed");
  assert.equal(third.gaps[0]?.from, gap.from);
  assert.ok((third.gaps.at(-1)?.to ?? "") > gap.to);

  await handOver(rig);
  const fourth = await timelineOf(rig);
  assert.deepEqual([fourth.gaps, callsIn(fourth)], [third.gaps, 2]);
  for (const [before, after] of [
    [third.shares, fourth.shares],
    [third.backends, fourth.backends],
  ] as const) {
    const opened = before[0]?.spans.at(-1);
    const goesOn = after[0]?.spans.at(-1);
    assert.deepEqual([goesOn?.from, after[0]?.spans.length], [opened?.from, before[0]?.spans.length]);
    assert.ok((goesOn?.to ?? "") > (opened?.to ?? ""));
  }
  const { until } = JSON.parse(await readFile(file, "utf8"));
  assert.ok(
    until > Date.parse(third.to) && until < Date.parse(fourth.to),
    "the old one wrote it when it handed over",
  );
  const log = await rig.home.log();
  assert.deepEqual(
    log.filter(({ message }) => String(message).includes("timeline")),
    [],
  );
});
