// A mount step: over a host that goes away meanwhile, and over a server that is proved once more before anything passes.
import assert from "node:assert/strict";
import test from "node:test";
import type { ProbeRequest, ProbeResult } from "../../../src/network/probe/probe-result.ts";
import type { CarriageNotice } from "../../../src/shares/drivers/carriage.ts";
import type { MountDriver, MountOutcome } from "../../../src/shares/drivers/mount-driver.ts";
import { type MountTools, mountWatched } from "../../../src/shares/engine/perform-carried.ts";
import { createLogons } from "../../../src/shares/logons/logons.ts";
import type { ShareSeen } from "../../../src/shares/policy/share-seen.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import type { ProofVerdict } from "../../../src/shares/server-proof/server-proof.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
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
      logons: createLogons(clock),
    },
    { spec: SPEC, policy: POLICY, driver: driver as MountDriver },
    { routes, configured: routes } as Partial<ShareSeen> as ShareSeen,
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

test("What to mount: a mount over a link of this machine that goes down is given up at the next look, not at its deadline", async () => {
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

test("What to mount: a host far away, which cannot answer within the short time, has the usual one", async () => {
  const played = play([ANSWERS], 240);
  await played.clock.advance(1000);
  assert.deepEqual([...new Set(played.asked.map(({ timeoutMs }) => timeoutMs))], [POLICY.connectTimeoutMs]);
  assert.equal(played.outcome, null);
});

test("What to mount: when the step has ended its host is asked no more", async () => {
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
}

/** A mount through a carrier that holds back what connects; the driver is through once something passes. */
function mountThroughGate(
  verdicts: readonly ProofVerdict[],
  { lostDuringProof = 0, refuses = false, breaks = false }: GateOptions = {},
) {
  const clock = createManualClock();
  const told: string[] = [];
  const passed = Promise.withResolvers<void>();
  const state = { outage: 7, phase: "carrying" };
  const refusedLogon = { text: "wrong password", atMs: clock.monotonicMs() };
  const logons = createLogons(clock);
  let tell: (share: string, notice: CarriageNotice) => void = () => {};
  const lose = (): void => {
    state.outage += 1;
    queueMicrotask(() => tell(SPEC.name, "doubt"));
  };
  const carriage = {
    of: () => (refuses ? { ...state, refusedLogon } : state),
    recount: () => Promise.resolve(),
    open({ unproved }: { readonly unproved: boolean }) {
      told.push(`open${unproved ? " shut" : ""}`);
      if (unproved) queueMicrotask(() => tell(SPEC.name, "doubt"));
      else passed.resolve();
      return Promise.resolve({ ok: true, port: 4_000 });
    },
    confirm(_share: string, outage: number) {
      told.push(`confirm ${outage}`);
      if (outage === state.outage) passed.resolve();
      return Promise.resolve();
    },
    bind: () => Promise.resolve(told.push("bind")),
    close: () => Promise.resolve(told.push("close")),
    onNotice(listener: typeof tell) {
      tell = listener;
      return () => void told.push("no more notices");
    },
  };
  const driver = {
    name: "rclone",
    carries: {},
    keepsUnsent: true,
    ownProcesses: () => Promise.resolve([]),
    async mount(_share: unknown, _route: unknown, { signal }: { readonly signal: AbortSignal }) {
      const cancelled = new Promise<"cancelled">((resolve) =>
        signal.addEventListener("abort", () => resolve("cancelled")),
      );
      if ((await Promise.race([passed.promise, cancelled])) === "cancelled")
        return { ok: false, reason: "timed_out", text: "cancelled" };
      if (breaks) throw new Error("a mistake in the driver");
      if (refuses) return { ok: false, reason: "other", text: "it does not list" };
      return { ok: true, adopted: false, mount: { carriedPort: 4_000 } };
    },
  };
  let asked = 0;
  const serverProof = {
    begin: () => Promise.resolve("provisional"),
    recognise() {
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
    carriage,
    serverProof,
    logons,
    onDoubt: (route: string) => void told.push(`doubt ${route}`),
  };
  const routes = { tb: { atMs: 0, probe }, fallback: { atMs: 0, probe } };
  const mount = (server: string | null): Promise<MountOutcome> =>
    mountWatched(
      // Of these a mount asks nothing else.
      tools as unknown as MountTools,
      { spec: SPEC, policy: POLICY, driver: driver as unknown as MountDriver },
      { routes, configured: routes } as Partial<ShareSeen> as ShareSeen,
      { kind: "mount", route: "tb", carried: true, ...(server === null ? {} : { server }) },
      { deadlineMs: DEADLINE_MS, signal: new AbortController().signal },
    );
  return { mount, told, logons };
}

test("A13 nothing passes to a server before it is proved once more, over a connection that lasts all the while", async () => {
  const same: ProofVerdict = { kind: "same", server: "s1" };
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
  test(`A13 a server swapped between its proof and the mount gets nothing, and is asked for anew: ${who}`, async () => {
    const { mount, told } = mountThroughGate([verdict]);
    const outcome = await mount("s1");
    assert.match(outcome.ok ? "" : outcome.text, /^the server may be another than the one that was proved: /);
    assert.deepEqual(told, ["open shut", "doubt tb", "no more notices", "close"]);
  });
}

test("A13 a server of which nothing is known by which it could be told keeps no mount shut", async () => {
  const blank: ProofVerdict = { kind: "unproved", text: "nothing is known yet", isBlank: true };
  const { mount, told } = mountThroughGate([blank]);
  assert.equal((await mount("s1")).ok, true);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices", "bind"]);
});

test("A13 a server that nobody can prove is mounted as what it is", async () => {
  const { mount, told } = mountThroughGate([{ kind: "unproved", text: "it is empty" }]);
  assert.equal((await mount(null)).ok, true);
  assert.deepEqual(told, ["open", "bind"]);
});

test("A13 a gate ends with its mount, however that ends", async () => {
  const { mount, told } = mountThroughGate([{ kind: "same", server: "s1" }], { breaks: true });
  assert.equal((await mount("s1")).ok, false);
  assert.deepEqual(told, ["open shut", "confirm 7", "no more notices"]);
});

test("A14 a login that is refused behind the gate, after its proof was accepted, is tried no more", async () => {
  const { mount, logons } = mountThroughGate([{ kind: "same", server: "s1" }], { refuses: true });
  const outcome = await mount("s1");
  assert.equal(outcome.ok ? null : outcome.reason, "wrong_credentials");
  const { may, refusal, refusedAt } = logons.look(SPEC);
  assert.deepEqual([may, refusal, refusedAt.length], [false, "wrong password", 1]);
});
