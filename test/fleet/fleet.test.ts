import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Kvm } from "@nats-io/kv";
import { ANSWERS_WITHIN_MS } from "../../src/fleet/machines.ts";
import { readSignIn } from "../../src/fleet/nats/sign-in.ts";
import { beatSubject, rollCallSubject } from "../../src/fleet/nats/subjects.ts";
import { summaryText } from "../../src/fleet/summary.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { sampleShare } from "../api/sample-report.ts";
import { runCommand } from "../cli/command-line.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { pluck } from "../support/pluck.ts";
import { stopProcess } from "../support/stop-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { makeKey, natsTest, startMember } from "./nats-rig.ts";

const isConnected = (member: ReturnType<typeof startMember>): Promise<true> =>
  eventually(() => member.report().link.state === "connected");

natsTest("G1 machines on one server see each other's state, and each change of it", async (t, rig) => {
  const laptop = startMember(t, rig, "laptop");
  const desktop = startMember(t, rig, "desktop");
  const nas = startMember(t, rig, "nas");
  for (const [member, others] of [
    [laptop, ["desktop", "nas"]],
    [desktop, ["laptop", "nas"]],
    [nas, ["desktop", "laptop"]],
  ] as const) {
    await eventually(() => others.every((other) => member.sees(other).presence === "here"));
    const { machines, conditions, link } = member.report();
    assert.deepEqual(pluck(machines, "name", "own"), [
      [member.report().name, true],
      ...others.map((other) => [other, false]),
    ]);
    assert.deepEqual(conditions, []);
    assert.equal(link.server, rig.url);
  }
  laptop.become({
    shares: [sampleShare({ name: "CORE", active_interface: "fallback", last_error: "the cable is out" })],
  });
  for (const member of [desktop, nas]) {
    const seen = await eventually(() => member.sees("laptop").state?.shares[0]);
    const words = { text: "mounted over Fallback", tone: "warning" };
    const told = { name: "CORE", phase: "mounted", route: "fallback", reason: "the cable is out" };
    assert.deepEqual(seen, { ...told, words });
  }
  assert.equal(laptop.report().machines[0]?.state?.shares[0]?.route, "fallback");
});

natsTest("G1 a machine that stops announces it, one that leaves is gone from all lists", async (t, rig) => {
  const laptop = startMember(t, rig, "laptop");
  const desktop = startMember(t, rig, "desktop");
  const nas = startMember(t, rig, "nas");
  await eventually(
    () => laptop.sees("desktop").presence === "here" && laptop.sees("nas").presence === "here",
  );
  await desktop.fleet.end("stopped");
  await nas.fleet.end("left");
  await eventually(() => laptop.sees("desktop").presence === "gone");
  await eventually(() => laptop.report().machines.length === 2);
  // It starts again, and is there.
  startMember(t, rig, "desktop");
  await eventually(() => laptop.sees("desktop").presence === "here");
  assert.equal(laptop.sees("desktop").problem, null);
});

natsTest(
  "G1 a server that is killed is a condition, and everything recovers when it returns",
  async (t, rig) => {
    const laptop = startMember(t, rig, "laptop");
    const desktop = startMember(t, rig, "desktop");
    await eventually(() => laptop.sees("desktop").presence === "here");
    await rig.kill();
    const [condition] = await eventually(() => {
      const { conditions } = laptop.report();
      return conditions.length > 0 && conditions;
    });
    assert.equal(condition?.code, "fleet_unreachable");
    assert.equal(condition?.severity, "warning");
    assert.equal(laptop.report().link.state, "away");
    // What happens meanwhile is told later.
    desktop.become({ shares: [sampleShare({ name: "MEDIA" })] });
    await rig.start();
    await eventually(() => laptop.sees("desktop").state?.shares[0]?.name === "MEDIA");
    await isConnected(desktop);
    assert.deepEqual([laptop.report().conditions, desktop.report().conditions], [[], []]);
  },
);

natsTest(
  "G1 a server that falls silent is detected, and everything recovers when it responds",
  async (t, rig) => {
    const laptop = startMember(t, rig, "laptop");
    const desktop = startMember(t, rig, "desktop");
    await eventually(() => laptop.sees("desktop").presence === "here");
    await stopProcess(rig.pid);
    // Nobody is held up by it.
    laptop.become({ shares: [sampleShare({ name: "CORE" })] });
    desktop.become({ shares: [sampleShare({ name: "MEDIA" })] });
    await eventually(() => laptop.report().link.state === "away", 60_000);
    process.kill(rig.pid, "SIGCONT");
    await eventually(() => laptop.sees("desktop").state?.shares[0]?.name === "MEDIA", 60_000);
    await eventually(() => desktop.sees("laptop").state?.shares[0]?.name === "CORE", 60_000);
  },
);

natsTest(
  "G1 in a large fleet a machine receives the others' beats while a person watches, and knows the present ones at once",
  async (t, rig) => {
    const stranger = await rig.stranger("stranger");
    const first = startMember(t, rig, "nas");
    await isConnected(first);
    const bucket = await new Kvm(stranger).open("mountaineer_fleet");
    const state = { version: "1", shares: [], backends: [], conditions: [], cut: 0 };
    for (let n = 0; n < 40; n += 1) {
      const name = `away-${n}`;
      await bucket.put(name, summaryText({ name, instance: "x", word: "here", state }));
    }
    // The hours of a machine that rests are seconds here, and the time to answer ends when the test says so.
    let shiftMs = 0;
    const clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() / 100 + shiftMs,
      sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 50), signal),
    };
    const laptop = startMember(t, rig, "laptop", { clock });
    await isConnected(laptop);
    assert.deepEqual(pluck(laptop.report().machines, "name"), ["laptop"]);
    const presences = async (): Promise<Record<string, string>> => {
      const looking = laptop.fleet.query();
      await eventually(() => laptop.sees("nas").presence === "here");
      shiftMs += ANSWERS_WITHIN_MS;
      const { machines } = await looking;
      return Object.fromEntries(machines.map(({ name, presence }) => [name, presence]));
    };
    const { nas, "away-7": away } = await presences();
    assert.deepEqual([nas, away], ["here", "silent"]);
    first.become({ shares: [sampleShare({ name: "CORE" })] });
    await eventually(() => laptop.sees("nas").state?.shares[0]?.name === "CORE");
    shiftMs += 60_000;
    await eventually(() => laptop.report().machines.length === 1);
    assert.equal((await presences())["nas"], "here");
    // At rest, too, a machine of the same name is found out.
    const double = startMember(t, rig, "laptop", { clock });
    const isTaken = ({ code }: { code: string }): boolean => code === "fleet_name_taken";
    for (const one of [laptop, double]) await eventually(() => one.report().conditions.some(isTaken));
  },
);

natsTest("G1 however often presence is queried, a machine answers a few times a second", async (t, rig) => {
  const laptop = startMember(t, rig, "laptop");
  await isConnected(laptop);
  const asker = await rig.stranger("stranger");
  let answers = 0;
  const hear = (): void => {
    answers += 1;
  };
  asker.subscribe(beatSubject("laptop"), { callback: hear });
  const startedAt = performance.now();
  await eventually(async () => {
    for (let n = 0; n < 100; n += 1) asker.publish(rollCallSubject("stranger"));
    await asker.flush();
    return answers >= 3;
  });
  // At 300 ms from one to the next.
  assert.ok(performance.now() - startedAt > 500, `${answers} in ${performance.now() - startedAt} ms`);
});

natsTest("G1 a machine that starts while no server answers keeps trying", async (t, rig) => {
  await rig.kill();
  const laptop = startMember(t, rig, "laptop");
  await eventually(() => laptop.report().conditions[0]?.code === "fleet_unreachable");
  assert.match(laptop.report().link.last_error ?? "", /ECONNREFUSED/);
  await rig.start();
  await isConnected(laptop);
  assert.deepEqual(laptop.report().conditions, []);
});

test("G1 fleet status explains what is missing where there is no fleet to query", async (t) => {
  const home = await temporaryFolder(t);
  await ends(runCommand(["fleet", "status"], { home }), 8, null, /no daemon runs/);
});

test("G1 an authority that cannot be read within 3 s is not used, and this is reported", async (t) => {
  const tlsCa = join(await temporaryFolder(t), "ca.pem");
  // Nobody writes: whoever opens it waits.
  execFileSync("mkfifo", [tlsCa]);
  const clock = createManualClock();
  const config = { tlsCa, credentials: { kind: "environment", variable: "SEED" } } as const;
  const values = { SEED: makeKey().seed };
  const reading = readSignIn({ config, values, clock, redact: () => {} }, AbortSignal.any([]));
  const rejected = assert.rejects(reading, {
    message: "[fleet].tls_ca cannot be read: the disk does not answer",
  });
  try {
    await eventually(() => clock.pendingTimers > 0);
    await clock.advance(3_000);
    await rejected;
  } finally {
    await (await open(tlsCa, constants.O_RDWR)).close();
  }
});
