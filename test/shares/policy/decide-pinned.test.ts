// A share that is mounted over one route through the carrier, as `on_route_change = "remount"` has it: the table of any share holds.
import assert from "node:assert/strict";
import test from "node:test";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../../src/reconcile/state-store.ts";
import { decide } from "../../../src/shares/policy/decide.ts";
import { INITIAL_STATE, type ReconcileState } from "../../../src/shares/policy/reconcile-state.ts";
import {
  type IdentityObservation,
  type MountObservation,
  NO_IDENTITY,
  type RelayObservation,
  type RouteObservation,
  type ServerIdentity,
  type ShareObservation,
} from "../../../src/shares/policy/share-observation.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { routeTo } from "../share-spec.ts";
import { CACHE_MS, POLICY, SPEC, WALL_START } from "../world.ts";

const NOW_MS = 100_000;
const LOST_AT_MS = NOW_MS - 5_000;
const CARRIED: RelayObservation = {
  port: 40_000,
  route: "tb",
  phase: "carrying",
  lastAnswerAtMs: null,
  unansweredSinceMs: null,
  routeLostAtMs: null,
  outage: null,
  rerouted: false,
};

const LOOK_AT_MS = LOST_AT_MS - 1_000;
const LOOKED = {
  state: "answered",
  startedAtMs: LOOK_AT_MS,
  finishedAtMs: LOOK_AT_MS,
  errno: null,
} as const;

function probed(verdict: "answers" | "silent" | "gone"): RouteObservation {
  const probe = { verdict, tcpAnswered: verdict === "answers", address: null, interfaceName: null };
  return { atMs: NOW_MS, probe: { ...probe, text: verdict } };
}

interface DecidedOf extends Partial<Pick<ShareMemory, "override" | "lastError">> {
  /** The share is carried: its mount may move. */
  readonly moves?: boolean;
  readonly spec?: ShareSpec;
  readonly state?: Partial<ReconcileState>;
  readonly check?: MountObservation["check"];
  readonly processGone?: boolean;
  readonly outdated?: true;
}

/** `guarded`: null for one that talks to its host itself. What is decided about a mount over tb that answered last before its host was lost, which two probes have seen. */
function decided(
  guarded: RelayObservation | null,
  routes: ShareObservation["routes"],
  configured = routes,
  {
    relayEligibility = null,
    openFiles = null,
    lastStep = null,
    moves = false,
    override = null,
    spec = SPEC,
    state = {},
    lastError = null,
    check = LOOKED,
    login = null,
    driverProblem = null,
    processGone = false,
    outdated,
  }: Partial<ShareObservation> & DecidedOf = {},
) {
  const isAnswering = routes.tb.probe.verdict === "answers";
  const isGone = routes.tb.probe.verdict === "gone";
  const found = {
    id: "1",
    path: SPEC.mountPath,
    source: "//10.0.1.2/CORE",
    sameShare: true,
    route: guarded?.rerouted === true && isAnswering && !moves ? null : ("tb" as const),
    processGone,
    madeByDriver: true,
    relayPort: guarded?.port ?? null,
    guarded: guarded !== null,
    ...(outdated === true ? { outdated } : {}),
  };
  const carried = moves ? { relayed: guarded } : { guarded };
  return decide({
    ...{ spec, policy: POLICY, cacheMs: CACHE_MS, request: null },
    memory: { ...EMPTY_SHARE_MEMORY, activeInterface: "tb", override, lastError },
    state: {
      ...INITIAL_STATE,
      mountId: found.id,
      announced: { tb: { up: false, atMs: 0 }, fallback: { up: true, atMs: 0 } },
      suspectedLoss: isAnswering ? null : { key: "tb 1", firstAtMs: LOST_AT_MS, certain: isGone },
      ...state,
    },
    observed: {
      ...{ atMs: NOW_MS, wallMs: WALL_START, routes, configured, offNetwork: null },
      mount: guarded === null ? { found, check } : { found, check, ...carried },
      ...{ duplicates: [], occupant: null, driverProblem, sharedAddress: null, openFiles, unsent: null },
      ...{ linkBlocked: null, lastStep, relayEligibility, login },
    },
  });
}

test('What to mount: with on_route_change = "remount", a host that falls silent once the relay has lost it is left for the other', () => {
  const routes = { tb: probed("silent"), fallback: probed("answers") };
  for (const phase of ["waiting", "refusing"] as const) {
    const { step, state } = decided({ ...CARRIED, phase, routeLostAtMs: LOST_AT_MS }, routes);
    assert.equal(step?.kind, "check_open_files");
    assert.deepEqual([state.operation?.kind, state.operation?.plan], ["failover", ["fallback", "fallback"]]);
  }
});

test('What to mount: with on_route_change = "remount", a host that has another address now is mounted from there once the old one is gone', () => {
  const inUse = { tb: probed("gone"), fallback: probed("gone") };
  const configured = { tb: probed("answers"), fallback: probed("gone") };
  const rerouted = { ...CARRIED, phase: "waiting", rerouted: true } as const;
  const { state } = decided(rerouted, inUse, configured);
  assert.deepEqual([state.operation?.kind, state.operation?.plan], ["failover", ["tb", "fallback"]]);
  assert.equal(decided(rerouted, inUse, configured, { state: PAUSED }).state.operation, null);
  const other = { tb: probed("gone"), fallback: probed("answers") };
  assert.deepEqual(decided(rerouted, other).state.operation?.plan, ["fallback", "fallback"]);
});

test("A13 a mount left unexplained by an edit is remounted over the route that answers, once it is closed: it waits for no proof of the other", () => {
  const inUse = { tb: probed("answers"), fallback: probed("answers") };
  const configured = { tb: probed("gone"), fallback: probed("answers") };
  const servers = { tb: { id: null, isAttempted: false }, fallback: { id: "a", isAttempted: false } };
  const { step, state } = decided({ ...CARRIED, rerouted: true }, inUse, configured, {
    relayEligibility: {
      obstacle: "carry is off",
      identity: { ...NO_IDENTITY, servers },
      provesServers: true,
    },
    openFiles: { atMs: NOW_MS, state: "none", holders: [], unsent: [], text: null },
  });
  assert.deepEqual([step?.kind, state.operation?.plan], ["unmount", ["fallback"]]);
});

test("A13 a mount left unexplained by an edit while programs wait for its server is left for a judged route, unless a proof is in progress", () => {
  const routes = { tb: probed("answers"), fallback: probed("answers") };
  const judged = { id: "a", isAttempted: true };
  const left = (isProving: boolean, fallback: ServerIdentity = judged) =>
    decided({ ...CARRIED, phase: "unconfirmed", rerouted: true }, routes, routes, {
      relayEligibility: {
        obstacle: "carry is off",
        identity: { ...NO_IDENTITY, servers: { tb: judged, fallback }, isProving },
        provesServers: true,
      },
      openFiles: { atMs: NOW_MS, state: "none", holders: [], unsent: [], text: null },
    });
  assert.deepEqual([left(false).step?.kind, left(true).step], ["unmount", null]);
  const unjudged = left(false, { id: null, isAttempted: false });
  assert.deepEqual(unjudged.state.operation?.plan, ["tb"]);
});

test("A10 an edit of the address to another server's closes no file of a relayed mount whose programs wait", () => {
  const routes = { tb: probed("answers"), fallback: probed("answers") };
  const unjudged = { id: null, isAttempted: false };
  const identity: IdentityObservation = {
    ...{ ...NO_IDENTITY, state: "different" as const },
    servers: { tb: unjudged, fallback: unjudged },
  };
  const seen = { relayEligibility: { obstacle: null, identity, provesServers: true }, moves: true };
  const waits = { ...CARRIED, phase: "unconfirmed" as const };
  assert.equal(decided({ ...waits, rerouted: true }, routes, routes, seen).state.operation, null);
  const mode = decided(waits, routes, routes, seen).state.operation?.mode;
  assert.equal(mode, "force", "while nobody has edited it, what waits is another server's");
});

const ANSWERING = { tb: probed("answers"), fallback: probed("answers") };
const JUDGED: ServerIdentity = { id: "a", isAttempted: true };
const CLOSED = { atMs: NOW_MS, state: "none", holders: [], unsent: [], text: null } as const;
const PAUSED = { mountBackoff: { failures: 1, notBeforeMs: NOW_MS + 1 } };

/** What is decided about a carried mount whose address was edited; `identity`: of the new addresses. */
function edited(
  phase: RelayObservation["phase"],
  trust: Partial<IdentityObservation> = {},
  { inUse = ANSWERING, ...more }: Parameters<typeof decided>[3] & { inUse?: ShareObservation["routes"] } = {},
) {
  const servers = { tb: JUDGED, fallback: JUDGED };
  const at = (route: RouteObservation): RouteObservation => ({
    ...route,
    probe: { ...route.probe, address: "10.0.9.9" },
  });
  const configured = { tb: at(probed("answers")), fallback: at(inUse.fallback) };
  const relayEligibility = {
    obstacle: null,
    identity: { ...NO_IDENTITY, servers, ...trust },
    provesServers: true,
  };
  const seen = { relayEligibility, openFiles: CLOSED, moves: true, ...more };
  const { step, state, ...rest } = decided({ ...CARRIED, phase, rerouted: true }, inUse, configured, seen);
  const { operation } = state;
  const found = operation === null ? null : `${operation.kind} ${operation.mode} ${operation.plan.join()}`;
  return { step: step?.kind ?? null, operation: found, ...rest };
}

test("A10 once the same server is proved at the new address, a relayed mount moves there over open files", () => {
  const open = { ...CLOSED, state: "open", unsent: ["file"] } as const;
  const proved = { tb: true, fallback: false };
  const { step, operation, conditions } = edited("carrying", { proved }, { openFiles: open });
  assert.deepEqual([step, operation, conditions], ["move", "remount plain tb", []]);
  assert.equal(edited("carrying", { proved }, { state: PAUSED }).step, null, "not while it pauses");
  const { step: override } = edited("carrying", { proved }, { override: "unmounted" });
  assert.equal(override, null, "not while a person holds it unmounted");
});

test("A10 a relayed mount whose route was removed moves to the other one", () => {
  const spec = { ...SPEC, routes: { ...SPEC.routes, tb: routeTo(null) } };
  const { operation } = edited("carrying", { proved: { tb: false, fallback: true } }, { spec });
  assert.equal(operation, "remount plain fallback");
});

test("A10 another server at the new address gets no open file: the mount stays until it is closed, and a condition says so", () => {
  const open = { ...CLOSED, state: "open", unsent: ["file"] } as const;
  const stays = edited("carrying", { text: "they list different files" }, { openFiles: open });
  assert.equal(stays.step, null);
  assert.deepEqual(
    stays.conditions.map(({ code }) => code),
    ["host_unproved", "waiting_for_close"],
  );
  assert.match(stays.conditions[0]?.title ?? "", /^10.0.1.2:445 is not the server.*different files$/);
  const unknown = { tb: { id: null, isAttempted: true }, fallback: JUDGED };
  const [unproved] = edited("carrying", { servers: unknown }).conditions;
  assert.match(unproved?.title ?? "", /^10.0.1.2:445 is not proved to be the server.*it is being checked$/);
  assert.deepEqual(
    [edited("carrying").step, edited("carrying").operation],
    ["unmount", "remount plain tb,fallback"],
  );
  for (const waits of [edited("carrying", { isProving: true }), edited("carrying", {}, { state: PAUSED })])
    assert.deepEqual([waits.step, waits.operation], [null, null]);
  const failed = { id: null, isAttempted: true };
  assert.equal(edited("carrying", { servers: { tb: failed, fallback: failed } }).step, "unmount");
  const rerouted = { ...CARRIED, rerouted: true };
  const { conditions, explanation } = decided(rerouted, ANSWERING, ANSWERING, { moves: true });
  assert.deepEqual(conditions, [], "its new host has no address yet");
  assert.match(explanation.why, /^10\.0\.1\.2 is in use/);
  const neither = { id: null, isAttempted: false };
  assert.equal(edited("carrying", { servers: { tb: neither, fallback: neither } }).operation, null);
});

test("A10 while the address in use waits for its proof, it stays in use if the server is the same, and is otherwise left by force once closed", () => {
  assert.equal(edited("unconfirmed", { unconfiguredProved: true }).step, "confirm");
  assert.equal(edited("unconfirmed").operation, "remount force tb,fallback");
  const lastStep = { kind: "gate" } as const;
  const { step, operation, nextRun } = edited("unconfirmed", { unconfiguredProved: true }, { lastStep });
  assert.deepEqual([step, operation, nextRun?.atMs], [null, null, NOW_MS + 250], "its proof is older");
});

for (const moves of [true, false])
  test(`What to mount: once a ${moves ? "relayed" : "guarded"} mount has answered, its error is cleared and the next failure has a short backoff`, () => {
    const seen = { moves, lastError: "it failed", state: { mountBackoff: { failures: 3, notBeforeMs: 0 } } };
    const after = (more: Parameters<typeof decided>[3]) => {
      const { memory, state } = decided(CARRIED, ANSWERING, ANSWERING, { ...seen, ...more });
      return [memory.lastError, state.mountBackoff.failures];
    };
    assert.deepEqual(after({}), [null, 0]);
    assert.deepEqual(after({ check: { state: "never" } }), ["it failed", 3]);
    const young = { ...seen.state, mountedAtMs: NOW_MS - 9_999 };
    assert.deepEqual(after({ state: young }), [null, 3], "it has not lasted for 10 s");
    assert.deepEqual(after({ state: { ...young, mountedAtMs: NOW_MS - 10_000 } }), [null, 0]);
  });

test("A10 a route whose probes are silent is gone once a request has waited 300 ms, and only slow while others are answered", () => {
  const routes = { tb: probed("silent"), fallback: probed("answers") };
  const identity = { ...NO_IDENTITY, proved: { tb: true, fallback: true } };
  const seen = { relayEligibility: { obstacle: null, identity, provesServers: true }, moves: true };
  const pending = (agoMs: number) => ({ state: "pending", startedAtMs: NOW_MS - agoMs }) as const;
  const asked = (agoMs: number, answeredAgoMs: number | null) => ({
    unansweredSinceMs: NOW_MS - agoMs,
    lastAnswerAtMs: answeredAgoMs === null ? null : NOW_MS - answeredAgoMs,
  });
  for (const [carried, check, expected] of [
    [asked(300, null), LOOKED, "gone"],
    [asked(299, null), LOOKED, NOW_MS + 1],
    [asked(400, 300), LOOKED, "gone"],
    [asked(400, 299), LOOKED, "slow"],
    [{}, pending(300), "gone"],
    [{}, pending(299), NOW_MS + 1],
    [{ lastAnswerAtMs: LOST_AT_MS + 1 }, LOOKED, "slow"],
    [{ lastAnswerAtMs: LOST_AT_MS }, LOOKED, NOW_MS + 1],
    [{ lastAnswerAtMs: NOW_MS, phase: "waiting" }, LOOKED, "gone"],
  ] as const) {
    const { state, conditions, nextRun } = decided({ ...CARRIED, ...carried }, routes, routes, {
      ...seen,
      check,
    });
    const isSlow = conditions.some(({ code }) => code === "route_slow");
    const found = state.operation !== null ? "gone" : isSlow ? "slow" : nextRun?.atMs;
    assert.equal(found, expected, JSON.stringify({ carried, look: check }));
  }
});

test("A10 a check that failed before an outage does not count after it: two later ones must fail", () => {
  const seen = { moves: true, check: { ...LOOKED, startedAtMs: NOW_MS, errno: "EIO" } };
  const first = { firstFailedCheck: { startedAtMs: LOOK_AT_MS } };
  const silent = { tb: probed("silent"), fallback: probed("answers") };
  const after = [decided({ ...CARRIED, phase: "waiting" }, ANSWERING, ANSWERING, { ...seen, state: first })];
  after.push(decided(CARRIED, silent, silent, { ...seen, state: first }));
  for (const { state } of after) assert.deepEqual([state.firstFailedCheck, state.operation], [null, null]);
  const { state } = decided(CARRIED, ANSWERING, ANSWERING, { ...seen, state: first });
  assert.equal(state.operation?.kind, "remount");
  const others = decided({ ...CARRIED, lastAnswerAtMs: NOW_MS }, ANSWERING, ANSWERING, {
    ...seen,
    state: first,
  });
  assert.deepEqual(
    [others.state.operation, others.nextRun?.atMs],
    [null, NOW_MS + 250],
    "others are answered",
  );
});

test("A10 programs wait for a proof as long as outage_patience_secs: of the other route since the loss, of their current one since it answers", () => {
  const lost = { tb: probed("gone"), fallback: probed("answers") };
  const relayEligibility = { obstacle: null, identity: NO_IDENTITY, provesServers: true };
  const waits = { ...CARRIED, phase: "waiting" } as const;
  const after = (ms: number) => {
    const suspectedLoss = { key: "tb 1", firstAtMs: NOW_MS - ms, certain: true };
    return decided(waits, lost, lost, { relayEligibility, moves: true, state: { suspectedLoss } }).state;
  };
  assert.deepEqual([after(59_999).operation, after(60_000).operation?.mode], [null, "force"]);
  assert.equal(after(59_999).unprovedSinceMs, null, "its own does not answer");
  assert.equal(
    decided(waits, ANSWERING, ANSWERING, { relayEligibility, moves: true }).state.unprovedSinceMs,
    NOW_MS,
  );
});

test("A10 a check that hangs does not make a relayed mount dead while the server has since answered other checks", () => {
  const startedAtMs = NOW_MS - POLICY.mountHangMs;
  const check = { state: "pending", startedAtMs } as const;
  const at = (ms: number) => ({ monotonicMs: ms, wallMs: WALL_START - (NOW_MS - ms) });
  const tb = { reachableSince: at(0), healthySince: at(0), observedAt: at(NOW_MS - 1_000) };
  const state = {
    health: { ...INITIAL_STATE.health, tb },
    pendingCheck: { startedAtMs, noticedAtMs: startedAtMs },
  };
  const operation = (lastAnswerAtMs: number) =>
    decided({ ...CARRIED, lastAnswerAtMs }, ANSWERING, ANSWERING, { moves: true, check, state }).state
      .operation;
  assert.equal(operation(startedAtMs), null);
  assert.equal(operation(startedAtMs - 1)?.kind, "remount");
});

test("A14 logins that the relay pauses resume once, if the login may be tried and its server is the mounted one", () => {
  const login = { refusal: null, may: true, accepted: true, refusedAt: [], refusedAs: "same" } as const;
  const confirms = (more: Parameters<typeof decided>[3], carried: Partial<RelayObservation> = {}) => {
    const { step, nextRun } = decided({ ...CARRIED, ...carried }, ANSWERING, ANSWERING, { login, ...more });
    return step?.kind === "confirm" ? [step.outage, step.login] : (nextRun?.atMs ?? null);
  };
  const state = (isProving: boolean, known: IdentityObservation["state"]) => ({
    relayEligibility: {
      obstacle: null,
      identity: { ...NO_IDENTITY, isProving, state: known },
      provesServers: true,
    },
  });
  const once = [null, true];
  assert.deepEqual(confirms({}), once);
  assert.equal(confirms({ lastStep: { kind: "gate" } }), NOW_MS + 250);
  const unknown = { ...login, accepted: false };
  assert.deepEqual(
    confirms({ login: unknown, ...state(false, "unproved") }),
    once,
    "its server cannot be known",
  );
  for (const refused of [
    { login: { ...login, may: false } },
    { login: { ...login, refusedAs: null } },
    { login: unknown, ...state(true, "unproved") },
    { login: unknown, ...state(false, "same") },
    { override: "unmounted" },
    { state: PAUSED },
    { processGone: true },
  ] as const)
    assert.ok(!Array.isArray(confirms(refused)), JSON.stringify(refused));
  assert.ok(!Array.isArray(confirms({ moves: true }, { phase: "waiting", outage: 1 })), "no route carries");
});

test("A14 a mount whose login was changed is remounted once closed, by force if a check of it waits or was refused", () => {
  const login = { refusal: null, may: true, accepted: true, refusedAt: [], refusedAs: "other" } as const;
  for (const [check, mode] of [
    [LOOKED, "plain"],
    [{ ...LOOKED, errno: "EACCES" }, "force"],
    [{ state: "pending", startedAtMs: NOW_MS }, "force"],
  ] as const) {
    const { operation } = decided(CARRIED, ANSWERING, ANSWERING, { login, check, openFiles: CLOSED }).state;
    assert.deepEqual([operation?.kind, operation?.mode], ["remount", mode], check.state);
  }
});

for (const moves of [true, false])
  test(`A15 a ${moves ? "relayed" : "guarded"} mount whose server has only since become known is remounted once, for the files that wait for it`, () => {
    const after = (correctedId: string, state: Partial<ReconcileState> = {}) => {
      const relayEligibility = {
        obstacle: null,
        identity: { ...NO_IDENTITY, correctedId },
        provesServers: true,
      };
      const seen = { relayEligibility, openFiles: CLOSED, moves, state };
      return decided({ ...CARRIED, server: "a" }, ANSWERING, ANSWERING, seen).state.operation?.plan;
    };
    assert.deepEqual(
      [after("b"), after("a"), after("b", { ...PAUSED, mountedAtMs: NOW_MS })],
      [["tb"], undefined, undefined],
    );
  });

test("What to mount: a failover waits 250 ms after the other route appeared, as a starting server answers over one first; not where the link is down", () => {
  const announced = { tb: { up: false, atMs: 0 }, fallback: { up: true, atMs: NOW_MS } };
  const after = (reason?: "link_down") => {
    const tb = probed("gone");
    const probe = reason === undefined ? tb.probe : { ...tb.probe, reason };
    const routes = { tb: { ...tb, probe }, fallback: probed("answers") };
    return decided(null, routes, routes, { state: { announced } });
  };
  assert.deepEqual([after().state.operation, after().nextRun?.atMs], [null, NOW_MS + 250]);
  assert.equal(after("link_down").state.operation?.kind, "failover");
});

test("A10 nothing passes to a route that a probe has just lost, and a slow one is reported", () => {
  const identity = { ...NO_IDENTITY, proved: { tb: true, fallback: false } };
  const seen = { relayEligibility: { obstacle: null, identity, provesServers: true }, moves: true };
  const lost = { tb: probed("gone"), fallback: probed("answers") };
  const waits = { ...CARRIED, phase: "unconfirmed" } as const;
  const { step } = decided(waits, lost, lost, { ...seen, state: { suspectedLoss: null } });
  assert.equal(step, null);
  const silent = { tb: probed("silent"), fallback: probed("answers") };
  const { conditions } = decided({ ...CARRIED, lastAnswerAtMs: NOW_MS }, silent, silent, seen);
  assert.deepEqual(
    conditions.map(({ code }) => code),
    ["route_slow"],
  );
});

test("A10 once the address in use is gone, programs wait, and continue over the other route only if that is proved", () => {
  const inUse = { tb: probed("gone"), fallback: probed("answers") };
  const override = edited("carrying", {}, { inUse });
  assert.deepEqual(
    [override.step, override.memory.lastError],
    ["hold", "10.0.1.2 is not proved, and the address in use is gone"],
  );
  const waiting = edited("waiting", { isProving: true }, { inUse });
  assert.deepEqual([waiting.step, waiting.nextRun?.atMs], [null, NOW_MS + 400]);
  assert.equal(edited("waiting", {}, { inUse }).operation, "remount force tb,fallback");
  const proved = { tb: false, fallback: true };
  assert.equal(edited("waiting", { proved }, { inUse }).operation, "failover plain fallback");
  const gone = { tb: probed("gone"), fallback: probed("gone") };
  assert.equal(edited("waiting", { proved }, { inUse: gone }).operation, "remount force tb");
  const failedMove = { to: "fallback", reason: "it was away", atMs: NOW_MS - 500 } as const;
  const paused = edited("waiting", { proved }, { inUse, state: { failedMove } });
  assert.deepEqual([paused.operation, paused.nextRun?.atMs], [null, NOW_MS + 500]);
});

test('By hand: with on_route_change = "remount", a mount that waits for a proof stays unchanged while a person has unmounted the share', () => {
  const routes = { tb: probed("answers"), fallback: probed("answers") };
  const relayEligibility = {
    obstacle: "carry is off",
    identity: { ...NO_IDENTITY, state: "different" as const },
    provesServers: true,
  };
  const kind = (override: ShareMemory["override"]) =>
    decided({ ...CARRIED, phase: "unconfirmed" }, routes, routes, { relayEligibility, override }).state
      .operation?.kind;
  assert.deepEqual([kind(null), kind("unmounted")], ["remount", undefined]);
});

test('With on_route_change = "remount", a guarded mount that waits for a proof: a dead one is replaced, and an earlier loss no longer counts', () => {
  const identity = { ...NO_IDENTITY, state: "same" as const, proved: { tb: true, fallback: false } };
  const seen = { relayEligibility: { obstacle: "carry is off", identity, provesServers: true } };
  const waits = { ...CARRIED, phase: "unconfirmed" } as const;
  const suspectedLoss = { key: "tb 1", firstAtMs: LOST_AT_MS, certain: true };
  const { step, state } = decided(waits, ANSWERING, ANSWERING, { ...seen, state: { suspectedLoss } });
  assert.deepEqual([step?.kind, state.suspectedLoss], ["confirm", null]);
  const dead = decided(waits, ANSWERING, ANSWERING, { ...seen, processGone: true });
  assert.equal(dead.state.operation?.kind, "remount");
});

test("A13 a server that was lost during a step is checked again before anything passes: its proof is older", () => {
  const routes = { tb: probed("answers"), fallback: probed("answers") };
  const identity = { ...NO_IDENTITY, state: "same" as const, proved: { tb: true, fallback: false } };
  const relayEligibility = { obstacle: "carry is off", identity, provesServers: true };
  const lost: RelayObservation = { ...CARRIED, phase: "unconfirmed", outage: 8 };
  assert.deepEqual(decided(lost, routes, routes, { relayEligibility }).step, { kind: "confirm", outage: 8 });
  const outcome = { ok: false, reason: "other", text: "it is mounted already" } as const;
  const lastStep = { kind: "mount", step: { kind: "mount", route: "tb" }, outcome, tookMs: 1 } as const;
  const { step, nextRun } = decided(lost, routes, routes, { relayEligibility, lastStep });
  assert.deepEqual([step, nextRun?.atMs], [null, NOW_MS + 250]);
});

for (const [what, mount, more] of [
  ["carried", CARRIED, { moves: true }],
  ["pinned", CARRIED, {}],
  ["direct", null, {}],
] as const) {
  test(`A16 a ${what} mount with outdated options is a condition, and remounts once nothing on it is open or unsent`, () => {
    const routes = { tb: probed("answers"), fallback: probed("answers") };
    const files = { atMs: NOW_MS, holders: [], text: null };
    const open = { ...files, state: "open", unsent: ["file"] } as const;
    const seen = (openFiles: ShareObservation["openFiles"], other: Parameters<typeof decided>[3] = {}) => {
      const { step, conditions } = decided(mount, routes, routes, {
        outdated: true,
        openFiles,
        ...more,
        ...other,
      });
      return [step?.kind ?? null, conditions.map(({ code }) => code).join(" ")];
    };
    assert.deepEqual(seen(null), ["check_open_files", "mount_outdated"]);
    assert.deepEqual(seen(open), [null, "mount_outdated waiting_for_close"]);
    assert.deepEqual(seen(CLOSED), ["unmount", "mount_outdated"]);
    const driverProblem = { text: "no driver", hint: "" };
    assert.deepEqual(seen(CLOSED, { driverProblem }), [null, "mount_outdated driver_unavailable"]);
    assert.deepEqual(decided(mount, routes, routes, more).conditions, []);
  });
}

/** Nothing is mounted; `forMs`: for how long a failover to fallback has gone on. */
function unmounted(
  tb: "answers" | "gone",
  servers: NonNullable<IdentityObservation["servers"]>,
  {
    proved = true,
    forMs = null,
    carry: relayEligibility = {
      provesServers: true,
      obstacle: "carry is off",
      identity: { ...NO_IDENTITY, servers },
    },
  }: { proved?: boolean; forMs?: number | null; carry?: ShareObservation["relayEligibility"] } = {},
) {
  const routes = { tb: probed(tb), fallback: probed("answers") };
  const failover = {
    ...({ kind: "failover", reason: "tb is gone", from: "tb", mode: "force", isRequested: false } as const),
    ...{
      plan: ["fallback"] as const,
      target: null,
      failures: [],
      mountId: null,
      isChecked: true,
      interrupted: null,
    },
  };
  const waits = { server: "a", source: null, proved, inUse: false, folder: "/caches/a" };
  return decide({
    ...{
      spec: SPEC,
      policy: { ...POLICY, onRouteChange: "move" as const },
      cacheMs: CACHE_MS,
      request: null,
    },
    memory: EMPTY_SHARE_MEMORY,
    state: {
      ...INITIAL_STATE,
      operation: forMs === null ? null : { ...failover, startedAtMs: NOW_MS - forMs },
    },
    observed: {
      ...{
        atMs: NOW_MS,
        wallMs: WALL_START,
        routes,
        configured: routes,
        offNetwork: null,
        mount: null,
        duplicates: [],
      },
      ...{ occupant: null, driverProblem: null, sharedAddress: null, openFiles: null, unsent: null },
      ...{ linkBlocked: null, lastStep: null },
      relayEligibility,
      unsentForOthers: [{ ...waits, files: [{ path: "file", bytes: 1, writtenAtMs: 0 }] }],
    },
  });
}

const UNKNOWN = { id: null, isAttempted: true };

test("A15 files unsent for a server that can be recognized wait for a proof of the server that answers, and report this after 30 s", () => {
  const servers = { tb: UNKNOWN, fallback: UNKNOWN };
  const soon = unmounted("gone", servers, { forMs: 3_000 });
  assert.deepEqual([soon.step, soon.memory.lastError], [null, null]);
  const late = unmounted("gone", servers, { forMs: 30_000 });
  assert.equal(late.state.operation, null, "it is in the way of what a person asks for");
  for (const { step, memory } of [late, unmounted("gone", servers)]) {
    assert.equal(step, null);
    assert.match(memory.lastError ?? "", /^1 unsent file of server a would not show.*mountaineer unsent/);
  }
  const underWay = { id: null, isAttempted: false };
  const first = unmounted("gone", { tb: underWay, fallback: underWay });
  assert.deepEqual([first.step, first.memory.lastError], [null, null], "the proof is under way");
  const unknowable = unmounted("gone", servers, { forMs: 3_000, proved: false });
  assert.equal(unknowable.step?.kind, "mount", "no proof would ever find its server");
});

test("A15 a failover waits 30 s for a proof in progress, so that it is not mounted twice, and no longer", () => {
  const underWay = { id: null, isAttempted: false };
  const after = (forMs: number) =>
    unmounted("gone", { tb: underWay, fallback: underWay }, { forMs, proved: false }).step?.kind ?? null;
  assert.deepEqual([0, 29_999, 30_000].map(after), [null, null, "mount"]);
});

test("A10 a failover to the only route that answers is relayed at once, though a proof is in progress", () => {
  const carry = { obstacle: null, identity: { ...NO_IDENTITY, isProving: true } };
  const { step } = unmounted("gone", { tb: UNKNOWN, fallback: UNKNOWN }, { forMs: 3_000, carry });
  assert.deepEqual(step, { kind: "mount", route: "fallback", relayed: true });
});

test("A15 a share is mounted over the other route if the server of one has no proof", () => {
  const { step } = unmounted("answers", { tb: UNKNOWN, fallback: { id: "a", isAttempted: true } });
  assert.deepEqual(step, { kind: "mount", route: "fallback", server: "a" });
});

test("A10 a share that cannot be relayed is mounted per route, whatever is proved", () => {
  const known = { id: "a", isAttempted: true };
  const servers = { tb: known, fallback: known };
  const identity = { ...NO_IDENTITY, state: "same" as const, proved: { tb: true, fallback: true }, servers };
  const carry = { provesServers: true, obstacle: "smbclient is missing", identity };
  assert.deepEqual(unmounted("answers", servers, { carry }).step, {
    kind: "mount",
    route: "tb",
    server: "a",
  });
});
