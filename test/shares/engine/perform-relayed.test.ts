// A mount step: over a host that goes away meanwhile, and over a server that is proved once more before anything passes.
import assert from "node:assert/strict";
import test from "node:test";
import type { ProbeRequest, ProbeResult } from "../../../src/network/probe/probe-result.ts";
import type { OpenRequest } from "../../../src/relay/relay.ts";
import { whenAborted } from "../../../src/runtime/abort.ts";
import type { MountDriver, MountOutcome, RelayAddress } from "../../../src/shares/drivers/mount-driver.ts";
import type { RelayClientNotice } from "../../../src/shares/drivers/relay-contract.ts";
import { type MountTools, mountWatched, moveRelayed } from "../../../src/shares/engine/perform-relayed.ts";
import { createLogins } from "../../../src/shares/logins/logins.ts";
import type { ShareObservation } from "../../../src/shares/policy/share-observation.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import type { ProofResult } from "../../../src/shares/server-proof/server-proofs.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { POLICY, SPEC } from "../world.ts";

const DEADLINE_MS = 20_000;
type Verdict = Pick<ProbeResult, "verdict" | "reason">;
const ANSWERS: Verdict = { verdict: "answers", reason: "negotiated" };
const SILENT: Verdict = { verdict: "silent", reason: "connect_timeout" };
const LINK_DOWN: Verdict = { verdict: "gone", reason: "link_down" };

function failureOf({ outcome }: Played): Extract<MountOutcome, { ok: false }> | null {
  return outcome?.ok === false ? outcome : null;
}

interface Played {
  readonly clock: ManualClock;
  readonly asked: ProbeRequest[];
  /** null: the step goes on. */
  outcome: MountOutcome | null;
}

/** A driver that mounts nothing until it is cancelled, and a host that answers in turn as told, then as told last. */
function play(verdicts: readonly Verdict[], lastAnswerMs = 1): Played {
  const clock = createManualClock();
  const asked: ProbeRequest[] = [];
  const driver: Pick<MountDriver, "name" | "mount"> = {
    name: "rclone",
    async mount(_share, _route, { deadlineMs, signal }) {
      await clock.sleep(deadlineMs, signal).catch(() => {});
      return { ok: false, reason: "timed_out", text: signal.aborted ? "cancelled" : "not in time" };
    },
  };
  const routes = {
    tb: { atMs: 0, probe: resultOf("10.0.1.2", ANSWERS, lastAnswerMs) },
    fallback: { atMs: 0, probe: resultOf("10.0.2.2", ANSWERS, lastAnswerMs) },
  };
  const played: Played = { clock, asked, outcome: null };
  void mountWatched(
    {
      clock,
      hostProber: {
        async probe({ host }, request) {
          const verdict = verdicts[Math.min(asked.length, verdicts.length - 1)] ?? ANSWERS;
          asked.push(request);
          if (verdict === SILENT) await clock.sleep(request.timeoutMs);
          return resultOf(host, verdict, 1);
        },
        networkChanged() {},
      },
      // Nothing that a mount step asks itself.
      prober: {} as Prober,
      logins: createLogins(clock),
    },
    { spec: SPEC, policy: POLICY, driver: driver as MountDriver },
    { routes, configured: routes } as Partial<ShareObservation> as ShareObservation,
    { kind: "mount", route: "tb" },
    { deadlineMs: DEADLINE_MS, signal: new AbortController().signal },
  ).then((outcome) => {
    played.outcome = outcome;
  });
  return played;
}

function resultOf(host: string, verdict: Verdict, tookMs: number): ProbeResult {
  return {
    ...verdict,
    tcpAnswered: verdict.verdict === "answers",
    address: host,
    interfaceName: null,
    localAddress: null,
    serverGuid: null,
    text: `${host}: ${verdict.reason}`,
    tookMs,
  };
}

test("What to mount: a mount over a link of this machine that goes down is given up at the next check, not at its deadline", async () => {
  const played = play([LINK_DOWN]);
  await played.clock.advance(300);
  assert.deepEqual(played.outcome, {
    ok: false,
    reason: "unreachable",
    text: "the host went away: 10.0.1.2: link_down",
  });
});

test("What to mount: a mount over a host that falls silent is given up after two probes without an answer", async () => {
  const played = play([ANSWERS, SILENT]);
  await played.clock.advance(300 + 300 + 300 + 300);
  assert.equal(played.outcome, null);
  await played.clock.advance(300);
  assert.equal(failureOf(played)?.reason, "unreachable");
});

test("What to mount: one lost probe gives up no mount", async () => {
  const played = play([SILENT, ANSWERS, SILENT, ANSWERS]);
  await played.clock.advance(DEADLINE_MS - 1);
  assert.equal(played.outcome, null);
  await played.clock.advance(1);
  assert.equal(failureOf(played)?.text, "not in time");
});

test("What to mount: a distant host, which cannot answer within the short time, has the usual one", async () => {
  const played = play([ANSWERS], 240);
  await played.clock.advance(1000);
  assert.deepEqual([...new Set(played.asked.map(({ timeoutMs }) => timeoutMs))], [POLICY.connectTimeoutMs]);
  assert.equal(played.outcome, null);
});

test("What to mount: once the step has ended its host is no longer probed", async () => {
  const played = play([ANSWERS]);
  await played.clock.advance(DEADLINE_MS);
  const { length } = played.asked;
  await played.clock.advance(5000);
  assert.equal(played.asked.length, length);
  assert.equal(played.clock.pendingTimers, 0);
});

interface GateOptions {
  readonly lostDuringProof?: number;
  /** The mount's login. */
  readonly refuses?: boolean;
  /** The driver throws. */
  readonly breaks?: boolean;
  readonly carried?: boolean;
  readonly onlyThroughRelay?: boolean;
  /** The carrier cannot be started. */
  readonly isDown?: boolean;
  /** The port of the mount that the driver comes to; default: the carrier's. */
  readonly port?: number | null;
  /** The driver mounts whatever it is told meanwhile. */
  readonly isDeaf?: boolean;
  /** What the driver says of a mount that fails. */
  readonly fails?: Extract<MountOutcome, { ok: false }>["reason"];
  readonly recognise?: (signal: AbortSignal) => Promise<ProofResult>;
}

/** A mount through a carrier that holds back what connects; the driver is through once something passes. */
function mountThroughGate(verdicts: readonly ProofResult[], options: GateOptions = {}) {
  const { lostDuringProof = 0, refuses = false, breaks = false, carried = true } = options;
  const { onlyThroughRelay = true, isDown = false, port = 4_000, isDeaf = false, fails } = options;
  const clock = createManualClock();
  const told: string[] = [];
  const passed = Promise.withResolvers<void>();
  const state = { outage: 7, phase: "carrying" };
  const refusedLogon = { text: "wrong password", atMs: clock.monotonicMs() - 700 };
  const logins = createLogins(clock);
  let tell: (share: string, notice: RelayClientNotice) => void = () => {};
  const lose = (): void => {
    state.outage += 1;
    queueMicrotask(() => tell(SPEC.name, "unconfirmed"));
  };
  let isCounted = false;
  let opened: Partial<OpenRequest> = {};
  let through: RelayAddress | null | undefined;
  let pids: readonly number[] = [];
  let asked = 0;
  let proved: unknown;
  const relay = {
    of: () => (refuses && isCounted ? { ...state, refusedLogon } : state),
    async recount() {
      isCounted = true;
    },
    open(request: OpenRequest) {
      const { unproved } = request;
      opened = request;
      if (isDown) return Promise.resolve({ ok: false, text: "it does not start" });
      told.push(`open${unproved ? " shut" : ""}`);
      if (unproved) queueMicrotask(() => tell(SPEC.name, "unconfirmed"));
      else passed.resolve();
      return Promise.resolve({ ok: true, port: 4_000 });
    },
    confirm(_share: string, outage: number) {
      told.push(`confirm ${outage}`);
      if (outage === state.outage) passed.resolve();
      return Promise.resolve();
    },
    async bind(_share: string, _mount: unknown, ours: readonly number[]) {
      pids = ours;
      told.push("bind");
    },
    close: () => Promise.resolve(told.push("close")),
    onNotice(listener: typeof tell) {
      tell = listener;
      return () => void told.push("no more notices");
    },
  };
  const driver = {
    name: "rclone",
    onlyThroughRelay,
    ownProcesses: () => Promise.resolve([77]),
    async mount(
      _share: unknown,
      _route: unknown,
      { signal }: { readonly signal: AbortSignal },
      given?: RelayAddress | null,
    ) {
      through = given;
      if (fails !== undefined) return { ok: false, reason: fails, text: "it fails" };
      const cancelled = new Promise<"cancelled">((resolve) =>
        signal.addEventListener("abort", () => resolve("cancelled")),
      );
      const waits = !isDeaf && given !== null && given !== undefined;
      if (waits && (await Promise.race([passed.promise, cancelled])) === "cancelled")
        return { ok: false, reason: "timed_out", text: "cancelled" };
      if (breaks) throw new Error("a mistake in the driver");
      if (refuses && port !== null) return { ok: false, reason: "other", text: "it does not list" };
      return { ok: true, adopted: false, mount: { relayPort: port } };
    },
  };
  const serverProof = {
    begin: () => Promise.resolve("provisional"),
    recognise(share: unknown, ...[, , , signal]: [unknown, unknown, unknown, AbortSignal]) {
      proved = share;
      if (options.recognise !== undefined) return options.recognise(signal);
      if (asked < lostDuringProof) lose();
      const verdict = verdicts[Math.min(asked, verdicts.length - 1)];
      asked += 1;
      return Promise.resolve(verdict);
    },
  };
  const probe = resultOf("10.0.1.2", ANSWERS, 1);
  const tools = {
    clock,
    hostProber: { probe: () => Promise.resolve(probe) },
    relay,
    serverProof,
    logins,
    onUnproved: (route: string) => void told.push(`doubt ${route}`),
  };
  const routes = { tb: { atMs: 0, probe }, fallback: { atMs: 0, probe } };
  const mount = (server: string | null): Promise<MountOutcome> =>
    mountWatched(
      // Of these a mount asks nothing else.
      tools as unknown as MountTools,
      { spec: SPEC, policy: POLICY, driver: driver as unknown as MountDriver },
      { routes, configured: routes } as Partial<ShareObservation> as ShareObservation,
      {
        ...{ kind: "mount", route: "tb" },
        ...(carried ? { relayed: true as const } : {}),
        ...(server === null ? {} : { server }),
      },
      { deadlineMs: DEADLINE_MS, signal: new AbortController().signal },
    );
  return {
    mount,
    told,
    logons: logins,
    notice: (share: string, what: RelayClientNotice) => tell(share, what),
    seen: () => ({ opened, through, pids, asked, proved }),
  };
}

test("A13 nothing passes to a server until it is proved again, over a connection that lasts throughout", async () => {
  const same: ProofResult = { kind: "same", server: "s1" };
  const { mount, told } = mountThroughGate([same]);
  assert.equal((await mount("s1")).ok, true);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices", "bind"]);
  const lostOnce = mountThroughGate([same], { lostDuringProof: 1 });
  assert.equal((await lostOnce.mount("s1")).ok, true);
  assert.deepEqual(lostOnce.told, ["open shut", "confirm 8", "no more notices", "bind"]);
});

for (const [who, verdict] of [
  ["another one that is known", { kind: "same", server: "s2" }],
  ["another one", { kind: "different", text: "nothing is as it was" }],
  ["one that cannot be told now", { kind: "unproved", text: "nothing is as it was" }],
] as const) {
  test(`A13 a server swapped between its proof and the mount gets nothing, and is proved again: ${who}`, async () => {
    const { mount, told } = mountThroughGate([verdict]);
    const outcome = await mount("s1");
    assert.match(outcome.ok ? "" : outcome.text, /^the server may not be the one that was proved: /);
    assert.deepEqual(told, ["open shut", "doubt tb", "no more notices", "close"]);
  });
}

test("A13 a server without any distinguishing fact prevents no mount", async () => {
  const blank: ProofResult = { kind: "unproved", text: "nothing is known yet", isBlank: true };
  const { mount, told } = mountThroughGate([blank]);
  assert.equal((await mount("s1")).ok, true);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices", "bind"]);
});

test("A13 a server without any possible proof is mounted as unknown", async () => {
  const { mount, told } = mountThroughGate([{ kind: "unproved", text: "it is empty" }]);
  assert.equal((await mount(null)).ok, true);
  assert.deepEqual(told, ["open", "bind"]);
});

test("A13 a gate ends with its mount, however that ends", async () => {
  const { mount, told } = mountThroughGate([{ kind: "same", server: "s1" }], { breaks: true });
  assert.equal((await mount("s1")).ok, false);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices"]);
});

test("A14 a login that is refused behind the gate, after its proof was accepted, is not tried again", async () => {
  const { mount, logons } = mountThroughGate([{ kind: "same", server: "s1" }], { refuses: true });
  const outcome = await mount("s1");
  assert.equal(outcome.ok ? null : outcome.reason, "wrong_credentials");
  const { may, refusal, refusedAt } = logons.status(SPEC);
  assert.deepEqual(
    [may, refusal, refusedAt],
    [false, "wrong password", [createManualClock().wallMs() - 700]],
  );
  const told = mountThroughGate([{ kind: "same", server: "s1" }], {
    refuses: true,
    fails: "wrong_credentials",
  });
  const own = await told.mount("s1");
  assert.equal(own.ok ? null : own.text, "it fails", "what the driver says is kept");
  assert.equal((await mountThroughGate([], { refuses: true, port: null }).mount(null)).ok, true);
});

for (const { carried, onlyThroughRelay, expected } of [
  {
    carried: true,
    onlyThroughRelay: true,
    expected: { server: "provisional", patienceMs: 60_000, pinned: false },
  },
  { carried: true, onlyThroughRelay: false, expected: { server: null, patienceMs: 60_000, pinned: false } },
  {
    carried: false,
    onlyThroughRelay: true,
    expected: { server: "provisional", patienceMs: 3_000, pinned: true },
  },
  { carried: false, onlyThroughRelay: false, expected: null },
] as const) {
  test(`A13 a mount that ${carried ? "moves" : "stays"}, and ${onlyThroughRelay ? "only goes" : "need not go"} through the relay, gets ${expected === null ? "no port" : "a port to its own route only"}`, async () => {
    const { mount, seen } = mountThroughGate([], { carried, onlyThroughRelay });
    assert.equal((await mount(null)).ok, true);
    const { opened, through } = seen();
    if (expected === null) {
      assert.deepEqual([opened, through], [{}, null]);
      return;
    }
    const { server, patienceMs, pinned } = expected;
    assert.deepEqual(
      [opened.server, opened.patienceMs, Object.keys(opened.endpoints ?? {})],
      [server, patienceMs, ["tb"]],
    );
    assert.deepEqual(through, { port: 4_000, patienceMs: 60_000, guarded: pinned });
  });
}

test("A13 a mount that stays on its route also waits behind the gate if it keeps unsent files", async () => {
  const { mount, told } = mountThroughGate([{ kind: "same", server: "s1" }], { carried: false });
  assert.equal((await mount("s1")).ok, true);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices", "bind"]);
});

test("A13 without a relay, a share with unsent files is not mounted, and any other is mounted as before", async () => {
  const kept = mountThroughGate([], { isDown: true });
  assert.deepEqual(await kept.mount("s1"), { ok: false, reason: "other", text: "it does not start" });
  assert.deepEqual(kept.told, ["no more notices"]);
  const { mount, told, seen } = mountThroughGate([], { isDown: true, onlyThroughRelay: false });
  assert.equal((await mount(null)).ok, true);
  assert.deepEqual([told, seen().through], [[], undefined]);
});

test("A10 a mount that does not use the port frees it; one that does is reported with its processes", async () => {
  const other = mountThroughGate([], { port: null });
  assert.equal((await other.mount(null)).ok, true);
  assert.deepEqual(other.told, ["open", "close"]);
  const { mount, seen } = mountThroughGate([]);
  await mount(null);
  assert.deepEqual(seen().pids, [77]);
});

test("A13 a proof behind the gate uses the mount's own account, and a mount that succeeds despite it is kept", async () => {
  const verdict: ProofResult = { kind: "different", text: "nothing is as it was" };
  const { mount, told, seen } = mountThroughGate([verdict], { isDeaf: true });
  assert.equal((await mount("s1")).ok, true);
  assert.ok(told.includes("bind"));
  assert.deepEqual(seen().proved, SPEC);
});

test("A13 a proof that the mount's end cuts off reveals nothing about the server, and only its own share's doubts are proved", async () => {
  let signal: AbortSignal | null = null;
  const recognise = async (given: AbortSignal): Promise<never> => {
    signal = given;
    await whenAborted(given);
    throw new Error("aborted");
  };
  const { mount, told } = mountThroughGate([], { recognise, fails: "timed_out" });
  assert.equal((await mount("s1")).ok, false);
  await settle();
  assert.equal((signal as AbortSignal | null)?.aborted, true);
  assert.deepEqual(told, ["open shut", "no more notices", "close"]);
  const same = mountThroughGate([{ kind: "same", server: "s1" }]);
  const mounted = same.mount("s1");
  for (const [share, what] of [
    ["OTHER", "unconfirmed"],
    [SPEC.name, "stalled"],
  ] as const)
    queueMicrotask(() => same.notice(share, what));
  await mounted;
  assert.equal(same.seen().asked, 1);
});

test("A14 a refused login counts once, with or without a gate, and a mount made by another program accepts none", async () => {
  for (const server of ["s1", null]) {
    const { mount, logons } = mountThroughGate([{ kind: "same", server: "s1" }], {
      fails: "wrong_credentials",
    });
    assert.equal((await mount(server)).ok, false);
    assert.equal(logons.status(SPEC).refusedAt.length, 1, String(server));
  }
  const own = mountThroughGate([]);
  await own.mount(null);
  assert.ok(own.logons.status(SPEC).accepted);
});

/** One direct mount with a driver that does as it is told. */
async function mountDirectly(
  spec: ShareSpec,
  outcome: (signal: AbortSignal) => Promise<MountOutcome>,
  verdict: Verdict = ANSWERS,
) {
  const clock = createManualClock();
  const logins = createLogins(clock);
  if (spec.driver === "local") logins.recall(spec, [clock.wallMs(), clock.wallMs()]);
  const probe = resultOf("10.0.1.2", ANSWERS, 1);
  const driver = {
    name: spec.driver,
    mount: (...[, , { signal }]: [unknown, unknown, { signal: AbortSignal }]) => outcome(signal),
  };
  const mounting = mountWatched(
    {
      clock,
      logins,
      hostProber: { probe: async () => resultOf("10.0.1.2", verdict, 1) },
    } as unknown as MountTools,
    { spec, policy: POLICY, driver: driver as unknown as MountDriver },
    { routes: { tb: { atMs: 0, probe } } } as unknown as ShareObservation,
    { kind: "mount", route: "tb" },
    { deadlineMs: DEADLINE_MS, signal: new AbortController().signal },
  );
  await clock.advance(DEADLINE_MS);
  return { outcome: await mounting, logons: logins };
}

test("What to mount: a folder is mounted regardless of a login's refusals, and fails for its own reason", async () => {
  const folder = { ...SPEC, driver: "local", routes: { ...SPEC.routes, tb: routeTo(null) } } as const;
  const failure = { ok: false, reason: "other", text: "no folder" } as const;
  assert.deepEqual((await mountDirectly(folder, async () => failure)).outcome, failure);
});

test("What to mount: a mount that exists counts, although its host has since gone away", async () => {
  const adopted = { ok: true, adopted: true, mount: {} } as MountOutcome;
  const spec = { ...SPEC, username: "eve" };
  const { outcome, logons } = await mountDirectly(
    spec,
    (signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(adopted))),
    LINK_DOWN,
  );
  assert.deepEqual(outcome, adopted);
  assert.equal(logons.status(spec).accepted, false);
});

test("A10 a move has the address that answers now, drops the other route's sentinel connection, and ends with the daemon", async () => {
  const asked: { share: string; witness: unknown }[] = [];
  const forceStop = new AbortController();
  let given: AbortSignal | null = null;
  const carriage = {
    async move(target: { share: string; witness: unknown }, signal: AbortSignal) {
      asked.push(target);
      given = signal;
      return { ok: true };
    },
  };
  const probe = resultOf("10.0.1.2", ANSWERS, 1);
  const observed = {
    configured: { tb: { probe }, fallback: { probe: { ...probe, verdict: "gone" } } },
    mount: { relayed: { route: "tb", witness: 9, epoch: 3 } },
  } as unknown as ShareObservation;
  const move = (route: "tb" | "fallback", now: ShareObservation) =>
    moveRelayed({ relay: carriage as never, forceStop: forceStop.signal }, { spec: SPEC } as never, now, {
      kind: "move",
      route,
      planned: true,
    });
  assert.deepEqual(await move("fallback", observed), { ok: false, text: "address unknown" });
  await move("tb", observed);
  const other = { ...observed, mount: { relayed: { route: "fallback", witness: 9, epoch: 3 } } };
  await move("tb", other as unknown as ShareObservation);
  assert.deepEqual(
    asked.map(({ witness }) => witness),
    [null, 9],
  );
  forceStop.abort();
  assert.equal((given as AbortSignal | null)?.aborted, true);
});
