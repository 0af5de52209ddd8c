// Servers that misbehave, behind the real program: named in status, others served, nothing left after the end, also of a
// daemon that is killed.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BackendStatus } from "../../src/api/contract/contract.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, MISBEHAVING_SERVER } from "./fixture-programs.ts";
import {
  type GatewayRig,
  nodeBackend,
  openGatewayRig,
  type Section,
  startGatewayRig,
} from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

/** Longer than any start takes, so that only what is named beside it is hit. */
const PATIENT: Section = { init: 60, cap_fetch: 60, call: 60 };
/** An end that waited for what never ends by itself would take ten minutes at least, or for ever. */
const FAR_TOO_LONG_MS = 60_000;

interface Story {
  readonly mode: string;
  /** Of those, the ones that it is to hit, s. */
  readonly timeouts?: Section;
  readonly env?: Readonly<Record<string, string>>;
  /** What status comes to say of it. */
  readonly comesTo: (backend: BackendStatus) => boolean;
  /** What its log holds then: that it did misbehave. */
  readonly logs?: string;
  /** What a client sees of it; `work` is its tool. */
  readonly afterwards?: (client: LightClient, rig: GatewayRig, work: string) => Promise<void>;
}

const isFailed = ({ phase, reason, last_error }: BackendStatus): boolean =>
  phase === "Failed" && (reason ?? last_error) !== null;
const isReady = ({ phase }: BackendStatus): boolean => phase === "Ready";
/** It may serve what was known of it, or not at all; it is never said to be well. */
const isNamed = ({ phase, reason, last_error, conditions }: BackendStatus): boolean =>
  (phase === "Failed" || phase === "Degraded") &&
  (reason !== null || last_error !== null || conditions.length > 0);

const STORIES: readonly Story[] = [
  { mode: "hang-init", timeouts: { init: 1 }, comesTo: isFailed },
  { mode: "late-init", env: { LATE_MS: "600" }, comesTo: isReady },
  {
    // Again and again: it is tried ever more seldom, and says so.
    mode: "crash-start",
    comesTo: (backend) => isFailed(backend) && backend.retry_at !== null,
    logs: "cannot find my data",
    async afterwards(_, rig) {
      const { reason, last_error } = await rig.backend("crash-start");
      assert.match(`${reason} ${last_error}`, /5|ended|cannot find/u);
    },
  },
  {
    mode: "crash-call",
    comesTo: isReady,
    async afterwards(client, rig, work) {
      await assert.rejects(client.call(work), /-32000/u);
      await rig.untilBackend("crash-call", ({ restarts, phase }) => restarts >= 1 && phase === "Ready");
    },
  },
  { mode: "flood-notices", comesTo: ({ phase }) => phase === "Ready" || phase === "Degraded" },
  { mode: "flood-stderr", comesTo: isReady, logs: "flood flood" },
  {
    mode: "big-result",
    comesTo: isReady,
    async afterwards(client, _, work) {
      assert.match(await client.call(work), /^x{1000}/u);
    },
  },
  {
    mode: "never-reads",
    timeouts: { call: 5 },
    comesTo: isReady,
    async afterwards(client, rig, work) {
      const filler = "x".repeat(1_000_000);
      const calls = Array.from({ length: 8 }, () => client.ask("tools/call", { name: work, filler }));
      assert.equal(await client.call("well_echo", { text: "meanwhile" }), "meanwhile");
      for (const reply of await Promise.all(calls)) assert.ok("error" in reply);
      assert.equal(await client.call("well_echo", { text: "after" }), "after");
      await rig.untilBackend("never-reads", ({ in_flight }) => in_flight === 0);
    },
  },
  { mode: "ignores-term", comesTo: isReady },
  { mode: "endless-paging", comesTo: isNamed },
];

/** Behind one daemon: each of them misbehaves while all others do. */
function testTogether(stories: readonly Story[]): void {
  let rig: GatewayRig;
  before(async () => {
    const odd = stories.map(({ mode, timeouts = {}, env = {} }) => [
      mode,
      nodeBackend(MISBEHAVING_SERVER, [mode], { timeouts: { ...PATIENT, ...timeouts }, env }),
    ]);
    rig = await openGatewayRig({
      backends: { well: nodeBackend(LIGHT_SERVER), ...Object.fromEntries(odd) },
      more: { conflict_resolution: { strategy: "prefix" } },
    });
    await rig.untilReady("well");
    await using client = await connectLight(rig.url);
    // Before it is known how the others fare.
    assert.equal(await client.call("well_echo", { text: "at once" }), "at once");
  });
  after(() => rig[Symbol.asyncDispose]());

  for (const { mode, comesTo, logs, afterwards } of stories) {
    test(`a server in mode ${mode} is contained`, async () => {
      await using client = await connectLight(rig.url);
      await rig.untilBackend(mode, comesTo);
      if (logs !== undefined) {
        const daemon = await rig.daemon();
        await eventually(async () => {
          const kept = await daemon.call("logs", { backend: mode }, AbortSignal.timeout(ANSWERS_MS));
          return JSON.stringify(kept).includes(logs);
        });
      }
      await afterwards?.(client, rig, `${mode}_work`);
      assert.equal(await client.call("well_echo", { text: "still" }), "still");
    });
  }

  test("then all of them are ended, whatever they do", async () => {
    const { ms } = await rig.stop();
    assert.ok(ms < FAR_TOO_LONG_MS, `the end took ${ms} ms`);
  });
}

const floods = ({ mode }: Story): boolean => mode.startsWith("flood-");
describe("servers that misbehave, all at once", () =>
  testTogether(STORIES.filter((story) => !floods(story))));
describe("servers that never stop talking", () => testTogether(STORIES.filter(floods)));

test("an end waits for no call in flight and no process that ignores everything, and leaves none", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      well: nodeBackend(LIGHT_SERVER),
      odd: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"]),
      // The same, and busy to the last.
      busy: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"], { env: { HANG_CALLS: "1" } }),
    },
    more: { conflict_resolution: { strategy: "prefix" } },
  });
  await rig.untilReady("well", "odd", "busy");
  await using client = await connectLight(rig.url);
  const calls = [
    client.ask("tools/call", { name: "well_sleep", arguments: { ms: 600_000 } }),
    client.ask("tools/call", { name: "busy_work" }),
  ];
  const ended = Promise.allSettled(calls);
  await rig.untilBackend("busy", ({ in_flight }) => in_flight === 1);
  // Another's call is over while these hang.
  assert.equal(await client.call("well_echo", { text: "meanwhile" }), "meanwhile");
  const { ms } = await rig.stop();
  await ended;
  assert.ok(ms < FAR_TOO_LONG_MS, `the end took ${ms} ms`);
});

test("a daemon killed by SIGKILL leaves no backend, nor a grandchild that ignores signals", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      light: nodeBackend(LIGHT_SERVER),
      own: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "own_" }, instances: "per-client" }),
      odd: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"]),
    },
  });
  await rig.untilReady("light", "own", "odd");
  const client = await connectLight(rig.url);
  await client.call("own_echo", { text: "its own process" });
  assert.ok((await rig.processes()).length >= 5);
  process.kill(rig.pid, "SIGKILL");
  await eventually(async () => (await rig.processes()).length === 0);
  await client[Symbol.asyncDispose]();
});
