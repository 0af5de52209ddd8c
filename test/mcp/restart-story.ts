// Owns the story of a backend that is restarted again and again: what is left of it, and what it costs the daemon.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

/** On a large machine V8 lets garbage lie for long, and a leak would not show beside it. */
const TIDY_HEAP = "--max-semi-space-size=1 --max-old-space-size=64";

export interface RestartStory {
  readonly restarts: number;
  /** Growth of the daemon that is no leak, MB: in a short story its code is still being compiled. */
  readonly flatMb: number;
}

/**
 * Restarts by hand and by crash, in turns of ten, under calls of a client that loses none of those it makes between.
 * A crash is the fifth of each turn.
 */
export async function restartAgainAndAgain(
  t: TestContext,
  { restarts, flatMb }: RestartStory,
): Promise<void> {
  const rig = await startGatewayRig(
    t,
    { backends: { light: nodeBackend(LIGHT_SERVER) } },
    { env: { NODE_OPTIONS: TIDY_HEAP } },
  );
  await rig.untilReady("light");
  await using client = await connectLight(rig.url);
  const daemon = await rig.daemon();
  const first = new Set(await rig.processes());
  const samplesMb: number[] = [];
  let pid = await client.call("pid");
  for (let index = 0; index < restarts; index++) {
    if (index % Math.ceil(restarts / 10) === 0) samplesMb.push(await rssMb(rig));
    if (index % 10 === 5) await assert.rejects(client.call("exit"), /-32000/u);
    else await daemon.gateway.restart(["light"], AbortSignal.timeout(5_000));
    await eventually(async () => {
      const now = await client.call("pid");
      if (now === pid) return false;
      pid = now;
      return true;
    }, 10_000);
  }
  await rig.untilBackend("light", ({ instances, draining }) => instances === 1 && draining === 0);
  // The warden's, the launcher's and the one backend's: as many as at first.
  await eventually(async () => (await rig.processes()).length <= first.size, 10_000);
  samplesMb.push(await rssMb(rig));
  t.diagnostic(`${restarts} restarts, MB: ${samplesMb.map((mb) => mb.toFixed(0)).join(" ")}`);
  // Its code is compiled in the first third; of the others the least counts, for garbage is in the rest.
  const third = Math.floor(samplesMb.length / 3);
  const grownMb = Math.min(...samplesMb.slice(-third)) - Math.min(...samplesMb.slice(third, -third));
  assert.ok(grownMb < flatMb, `${grownMb} MB more`);
  const { sessions } = (await rig.status()).gateway ?? {};
  assert.equal(sessions, 1);
}

async function rssMb({ pid }: GatewayRig): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return (Number(/^VmRSS:\s+(\d+)/mu.exec(status)?.[1] ?? 0) * 1024) / 1e6;
}
