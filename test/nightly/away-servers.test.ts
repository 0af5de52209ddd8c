// Servers at addresses that are down for a while: a call is answered soon after they are back, however long that was, and
// many that are down cost next to nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { cpuMs } from "../../bench/processes.ts";
import { LIGHT_SERVER, openHttpFixture } from "../mcp/fixture-programs.ts";
import { startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { freePort } from "../support/free-port.ts";

const DOWN_SECS = [1, 5, 20, 120];
const BACK_WITHIN_MS = 2_500;
/** They are asked every two seconds, all of them many times. */
const WATCHED_MS = 40_000;

test("D5 the first call is answered within 2.5 s of a server's return, which was down for 1, 5, 20 or 120 s", async (t) => {
  const ports = await Promise.all(DOWN_SECS.map(() => freePort()));
  const open = (index: number) =>
    openHttpFixture(LIGHT_SERVER, { LIGHT_PREFIX: `s${index}_` }, { port: ports[index] ?? 0 });
  const first = await Promise.all(ports.map((_, index) => open(index)));
  const backends = Object.fromEntries(
    first.map(({ url }, index) => [`s${index}`, { type: "streamable-http", url }]),
  );
  const rig = await startGatewayRig(t, { backends });
  await rig.untilReady(...Object.keys(backends));
  await using client = await connectLight(rig.url);
  const isAnswered = (index: number): Promise<boolean> =>
    client.call(`s${index}_echo`, { text: "x" }).then(
      (text) => text === "x",
      () => false,
    );
  await Promise.all(
    DOWN_SECS.map(async (secs, index) => {
      assert.ok(await isAnswered(index), "before");
      await first[index]?.[Symbol.asyncDispose]();
      const until = performance.now() + secs * 1_000;
      while (performance.now() < until) {
        assert.ok(!(await isAnswered(index)), "answered while it is down");
        await pause(Math.min(500, Math.max(0, until - performance.now())));
      }
      await using _back = await open(index);
      const from = performance.now();
      while (!(await isAnswered(index))) await pause(20);
      const ms = Math.round(performance.now() - from);
      t.diagnostic(`down for ${secs} s: answered ${ms} ms after it was back`);
      assert.ok(ms <= BACK_WITHIN_MS, `${secs} s: ${ms} ms`);
    }),
  );
});

test("D5 fifty servers that are down at once cost less than a hundredth of a core", async (t) => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  const backends = Object.fromEntries(
    ports.map((port, index) => [
      `s${index}`,
      { type: "streamable-http", url: `http://127.0.0.1:${port}/mcp` },
    ]),
  );
  const rig = await startGatewayRig(t, { backends });
  for (const name of Object.keys(backends)) await rig.untilBackend(name, ({ reason }) => reason !== null);
  await pause(5_000);
  const before = await cpuMs(rig.pid);
  await pause(WATCHED_MS);
  const share = ((await cpuMs(rig.pid)) - before) / WATCHED_MS;
  t.diagnostic(`${(share * 100).toFixed(2)} % of a core`);
  assert.ok(share < 0.01);
});
