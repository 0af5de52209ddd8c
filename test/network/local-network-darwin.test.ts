// Local Network privacy told from an outage, with a program in place of nc that ends as nc does.
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { AddressedHostProber } from "../../src/network/host-prober.ts";
import { tellLocalNetwork } from "../../src/network/local-network.ts";
import { mayBeDenied, verdictOfNc, withLocalNetworkCheck } from "../../src/network/local-network-darwin.ts";
import type { ProbeResult } from "../../src/network/probe-result.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NO_ROUTE: ProbeResult = {
  verdict: "gone",
  reason: "no_route",
  tcpAnswered: false,
  address: "10.0.0.2",
  interfaceName: "en0",
  text: "10.0.0.2:445: no route to it",
  tookMs: 1,
};
const TARGET = { host: "nas.local", port: 4450, interfaceName: null };
const REQUEST = { notBeforeMs: 0, timeoutMs: 800 };

async function setUp(t: TestContext, script: string) {
  const folder = await temporaryFolder(t);
  const nc = join(folder, "nc");
  await writeFile(nc, `#!/bin/sh\necho "$*" >> ${folder}/asked\n${script}\n`);
  await chmod(nc, 0o755);
  let result: ProbeResult = NO_ROUTE;
  let disposed = 0;
  let changes = 0;
  const inner: AddressedHostProber = {
    probe: async () => result,
    networkChanged: () => void changes++,
    addressesOf: () => ["10.0.0.2"],
    [Symbol.dispose]: () => void disposed++,
  };
  // A clock that stands still: no deadline of nc's comes, and what waits for it would wait for ever.
  const prober = withLocalNetworkCheck(inner, { clock: createManualClock(), nc });
  const asked = async (): Promise<readonly string[]> =>
    (await readFile(join(folder, "asked"), "utf8").catch(() => "")).split("\n").filter(Boolean);
  return {
    prober,
    probe: () => prober.probe(TARGET, REQUEST),
    asked,
    answers: (changed: Partial<ProbeResult>) => {
      result = { ...NO_ROUTE, ...changed };
    },
    counts: () => [disposed, changes],
  };
}

test("A2 a host that other programs reach is not gone: the permission is missing, and it is said which", async (t) => {
  const { prober, probe, asked } = await setUp(t, "exit 0");
  assert.deepEqual(await probe(), NO_ROUTE, "the first answer does not wait");
  const told = await eventually(async () => {
    const result = await probe();
    return result.reason === "denied" ? result : null;
  }, 5_000);
  assert.equal(told.verdict, "silent");
  assert.match(told.text, /Local Network/);
  assert.deepEqual(await asked(), ["-z -G 2 10.0.0.2 4450"], "asked once, however often it is probed");
  prober[Symbol.dispose]();
});

test("A2 a host that nobody reaches is gone", async (t) => {
  const { prober, probe, asked } = await setUp(t, "exit 1");
  await probe();
  await eventually(async () => (await asked()).length === 1, 5_000);
  for (let count = 0; count < 20; count++) assert.deepEqual(await probe(), NO_ROUTE);
  prober[Symbol.dispose]();
});

test("what failed for another reason, or behind a router, is not asked again", async (t) => {
  const { prober, probe, asked, answers } = await setUp(t, "exit 0");
  for (const changed of [
    { verdict: "answers", reason: "negotiated" },
    { reason: "refused" },
    { reason: "link_down" },
    { verdict: "silent", reason: "connect_timeout" },
    { interfaceName: null },
    { address: null },
  ] as const) {
    answers(changed);
    await probe();
  }
  assert.deepEqual(await asked(), []);
  prober[Symbol.dispose]();
});

test("an answer, and a change of the network, forget what was found", async (t) => {
  const { prober, probe, answers, counts } = await setUp(t, "exit 0");
  const denied = () => eventually(async () => (await probe()).reason === "denied", 5_000);
  await probe();
  await denied();
  answers({ verdict: "answers", reason: "negotiated" });
  assert.equal((await probe()).verdict, "answers");
  answers({});
  assert.deepEqual(await probe(), NO_ROUTE);
  await denied();
  prober.networkChanged();
  assert.deepEqual(await probe(), NO_ROUTE);
  assert.deepEqual(prober.addressesOf("nas.local"), ["10.0.0.2"]);
  prober[Symbol.dispose]();
  assert.deepEqual(counts(), [1, 1]);
});

test("an nc that hangs, or is not there, changes nothing and holds up nothing", async (t) => {
  const { prober, probe, asked } = await setUp(t, "exec sleep 600");
  await probe();
  await eventually(async () => (await asked()).length === 1, 5_000);
  assert.deepEqual(await probe(), NO_ROUTE);
  prober[Symbol.dispose]();
});

test("nc's ends", () => {
  assert.equal(verdictOfNc({ exitCode: 0, timedOut: false }), "denied");
  assert.equal(verdictOfNc({ exitCode: 1, timedOut: false }), "unreachable");
  assert.equal(verdictOfNc({ exitCode: null, timedOut: false }), "unknown");
  assert.equal(verdictOfNc({ exitCode: 0, timedOut: true }), "unknown");
  assert.ok(mayBeDenied(NO_ROUTE));
});

test("where the system keeps nobody from it, the prober is the prober", {
  skip: process.platform === "darwin" ? "macOS does" : false,
}, async (t) => {
  const { prober } = await setUp(t, "");
  assert.equal(tellLocalNetwork(prober, { clock: systemClock }), prober);
  prober[Symbol.dispose]();
});
