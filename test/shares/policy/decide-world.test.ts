import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { Decision } from "../../../src/shares/policy/decide.ts";
import type { Operation } from "../../../src/shares/policy/reconcile-state.ts";
import type { ShareObservation } from "../../../src/shares/policy/share-observation.ts";
import type { Step } from "../../../src/shares/policy/step.ts";
import { otherRoute, type RouteName, type SharePolicy } from "../../../src/shares/share-spec.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { type HostState, World } from "../world.ts";
import { happen } from "./stories.ts";

const ROUTE = fc.constantFrom<RouteName>("tb", "fallback");
const HOST = fc.constantFrom<HostState>("answers", "answers", "refused", "link_down", "silent", "wedged");
const WAIT = fc.constantFrom(0, 10, 100, 250, 260, 700, 1000, 2000, 3500, 9000, 12_000, 31_000, 65_000);

/** A2's and C's promise to users, not the constant that keeps it: a loss is confirmed by a second look this much later. */
const CONFIRM_AFTER_MS = 250;

/** Something that happens to the world. */
interface Happening {
  readonly name: string;
  readonly happen: (world: World) => void;
  /** How a counterexample shows it. */
  readonly [fc.toStringMethod]: () => string;
}

function happening(name: string, happen: (world: World) => void): Happening {
  return { name, happen, [fc.toStringMethod]: () => name };
}

/** What the stories call by the same words. */
function inWords(...all: readonly string[]): readonly Happening[] {
  return all.map((words) => happening(words, (world) => happen(world, words)));
}

/** The same, where something is mounted. */
function onMount({ name, happen }: Happening): Happening {
  return happening(name, (world) => world.mount !== null && happen(world));
}

const HOSTS = fc.record({ route: ROUTE, state: HOST, event: fc.boolean() }).map(({ route, state, event }) =>
  happening(`${route} ${state}${event ? ", told" : ""}`, (world) => {
    world.hosts[route] = state;
    if (event) world.event();
  }),
);

const MOUNTS = fc.constantFrom(
  ...inWords(
    ...["its process is gone", "the mount hangs", "the mount goes on", "the mount says EIO"],
    ...["the mount says EACCES", "the mount lists", "its connection lives on", "someone unmounts it"],
  ).map(onMount),
);

const OTHERS = fc
  .record({ route: fc.constantFrom<RouteName | null>("tb", "fallback", null), ourPath: fc.boolean() })
  .map(({ route, ourPath }) =>
    happening(`someone mounts over ${route} ${ourPath ? "at our path" : "elsewhere"}`, (world) => {
      const path = ourPath ? world.spec.mountPath : "/mnt/elsewhere";
      if (!world.mounts.some((mount) => mount.path === path)) world.addMount(route, { ours: false, path });
    }),
  );

const FILES = fc.constantFrom(
  ...inWords("open 7").map(onMount),
  ...inWords("closed", "checks fail late", "checks work"),
  happening("a file is opened during the next step", (world) => {
    world.duringStep = () => {
      if (world.mount !== null) world.holders = [8];
    };
  }),
);

const STEPS = fc.constantFrom(
  ...inWords(
    ...["mounts over tb fail: wrong password", "mounts die at once", "unmounts fail: not permitted"],
    ...["unmounts do nothing", "the driver is gone", "in the next step the driver is gone"],
    "in the next step it vanishes",
  ),
  happening("steps work", heal),
  happening("fallback does not mount, slowly", (world) => {
    world.mountFails.fallback = "no answer";
    world.mountTakesMs = 20_000;
  }),
  happening("someone mounts during the next step", (world) => {
    world.duringStep = () => {
      if (world.mounts.length === 0) world.addMount("tb", { ours: false });
    };
  }),
);

const TIME = fc.constantFrom(
  ...inWords("sleep 60000 ms", "sleep -3600000 ms", "event", "pass 20000 ms", "restart"),
  happening("killed and restarted, its last write lost", (world) => world.restart(true)),
  happening("daemon killed during the next step", (world) => {
    world.killDuringStep = true;
  }),
  happening("toggles changed", (world) => {
    const { autoFailback, lsofRecheck } = world.policy;
    const lsofToggled = autoFailback !== lsofRecheck;
    world.policy = { ...world.policy, autoFailback: !autoFailback, lsofRecheck: lsofToggled };
  }),
);

const PERSON = fc
  .record({
    command: fc.constantFrom("mount", "unmount", "tb", "fallback", "auto"),
    force: fc.boolean(),
    wait: fc.boolean(),
  })
  .map(({ command, force, wait }) =>
    happening(`asks ${command}${force ? " --force" : ""}${wait ? " --wait" : ""}`, (world) => {
      if (world.request !== null) return;
      if (command === "mount" || command === "unmount") world.ask({ kind: command, force });
      else world.ask({ kind: "switch", to: command as RouteName | "auto", force, wait });
    }),
  );

const SERVERS = fc.constantFrom(
  ...inWords("another server behind fallback", "another server behind both", "one server behind both"),
  ...inWords("its servers are different", "its servers are being compared", "its servers are the same"),
);

const LIFE = fc.array(
  fc.tuple(
    WAIT,
    fc.oneof(
      { weight: 5, arbitrary: HOSTS },
      { weight: 3, arbitrary: MOUNTS },
      { weight: 2, arbitrary: OTHERS },
      { weight: 4, arbitrary: FILES },
      { weight: 2, arbitrary: STEPS },
      { weight: 2, arbitrary: TIME },
      { weight: 1, arbitrary: SERVERS },
      { weight: 4, arbitrary: PERSON },
    ),
  ),
  { minLength: 1, maxLength: 25 },
);

const POLICIES = fc.record({
  onRouteChange: fc.constantFrom<SharePolicy["onRouteChange"]>("move", "remount"),
  autoFailback: fc.boolean(),
  lsofRecheck: fc.boolean(),
  checkIntervalMs: fc.constantFrom(500, 2000, 2000, 30_000),
});

function heal(world: World): void {
  world.mountFails = { tb: null, fallback: null };
  world.mountTakesMs = 50;
  world.mountsDieAtOnce = false;
  world.unmountFails = null;
  world.unmountsDoNothing = false;
  world.driverProblem = null;
  world.serverCheck = null;
}

/** What the looks and probes so far are worth as evidence against the mount. */
interface Evidence {
  mountId: string | null;
  badProbes: number[];
  badLooks: Set<number>;
  pendingSeen: number;
  deadAtOnce: boolean;
}

/** Watches one world keep its promises; fails at the first decision that breaks one. */
function watch(world: World): void {
  let evidence: Evidence = gather(null);
  let unmounted: string | null = null;
  let lastCycle = -1;
  world.onDecision = (decision, observed) => {
    if (world.cycles !== lastCycle) unmounted = null;
    lastCycle = world.cycles;
    evidence = weigh(evidence, observed);
    const { memory, transitions } = decision;
    if (transitions.some(({ name }) => name === "share.unmounted")) {
      const { lastStep } = observed;
      assert.ok(lastStep?.kind === "unmount");
      const isThere = world.mounts.some(({ id }) => id === lastStep.step.mount.id);
      assert.ok(!isThere, "what is in the table of mounts is not told as unmounted");
    }
    assert.ok(memory.override === null || !memory.tbRecoveryPending, "a held share is never pending");
    if (memory.tbRecoveryPending && decision.step === null) {
      assert.equal(observed.mount?.found.route, "fallback", "pending means mounted over fallback");
      assert.equal(observed.routes.tb.probe.verdict, "answers", "pending means that tb answers");
    }
    const { step, state } = decision;
    if (step === null) return;
    if (step.kind === "mount") checkMount(world, decision, step);
    if (step.kind === "move") checkMove(observed, step);
    if (step.kind === "unmount") {
      assert.ok(
        unmounted === null || unmounted === step.mount.id || isAsked(world) || step.mount.processGone,
        `a second mount is unmounted in one cycle: ${step.mount.path}`,
      );
      unmounted = step.mount.id;
      checkUnmount(world, observed, step, state.operation, evidence);
    }
  };
}

function isAsked({ request }: World): boolean {
  return request?.kind === "unmount" || request?.kind === "switch";
}

function gather(mountId: string | null): Evidence {
  return { mountId, badProbes: [], badLooks: new Set(), pendingSeen: 0, deadAtOnce: false };
}

function weigh(before: Evidence, { mount, routes, atMs }: ShareObservation): Evidence {
  const id = mount?.found.id ?? null;
  const evidence = before.mountId === id ? before : gather(id);
  if (mount === null) return evidence;
  const { found, check } = mount;
  evidence.deadAtOnce = found.processGone || (check.state === "answered" && check.errno === "ENOTCONN");
  if (check.state === "answered") {
    if (check.errno === null || check.errno === "EACCES") evidence.badLooks.clear();
    else evidence.badLooks.add(check.startedAtMs);
  }
  if (check.state !== "pending" || atMs - check.startedAtMs < 1000) evidence.pendingSeen = 0;
  else evidence.pendingSeen++;
  if (found.route === null) return evidence;
  const own = routes[found.route];
  if (own.probe.verdict === "answers") evidence.badProbes.length = 0;
  else if (evidence.badProbes.at(-1) !== own.atMs) evidence.badProbes.push(own.atMs);
  return evidence;
}

function span(times: Iterable<number>): number {
  const all = [...times];
  return all.length < 2 ? 0 : Math.max(...all) - Math.min(...all);
}

function checkMount(world: World, { memory }: Decision, { route }: Extract<Step, { kind: "mount" }>): void {
  const { mountPath } = world.spec;
  assert.ok(
    !world.mounts.some(({ ours, path }) => ours || path === mountPath),
    "never two mounts of one share",
  );
  assert.ok(
    memory.override !== "unmounted" || isAsked(world),
    "held unmounted, it is never mounted by the rules",
  );
  assert.equal(world.lastSeen?.routes[route].probe.verdict, "answers", "only a host that answers is mounted");
}

function checkMove(observed: ShareObservation, { route }: Extract<Step, { kind: "move" }>): void {
  assert.ok(observed.mount?.moving, "only a mount that moves is moved");
  assert.equal(observed.routes[route].probe.verdict, "answers");
}

function checkUnmount(
  world: World,
  observed: ShareObservation,
  { mount, mode }: Extract<Step, { kind: "unmount" }>,
  operation: Operation | null,
  evidence: Evidence,
): void {
  assert.ok(operation !== null);
  assert.equal(observed.mount?.found.id, mount.id, "only the mount that is ours to look after");
  const { kind } = operation;
  const isOrphan = observed.mount?.found.route === null || mount.path !== world.spec.mountPath;
  if (observed.mount?.moving && !operation.isRequested && !isOrphan) {
    assert.ok(
      evidence.deadAtOnce || mode === "plain",
      `a mount that moves is unmounted for a route's sake: ${operation.reason}`,
    );
  }
  const anyAnswers = operation.plan.some((route) => observed.routes[route].probe.verdict === "answers");
  if (kind !== "unmount") assert.ok(anyAnswers, `never unmounted for a ${kind} without a live target`);
  if (observed.driverProblem !== null && kind !== "unmount") {
    assert.ok(
      mode === "force" && kind !== "switch",
      "what serves is not unmounted for what cannot be mounted",
    );
  }
  if (kind === "recovery") {
    assert.equal(mode, "plain");
    assert.equal(world.memory.override, null, "a held share never recovers by itself");
    assert.equal(observed.openFiles?.state, "none");
    assert.ok(
      observed.openFiles !== null && observed.openFiles.atMs >= observed.routes.tb.atMs,
      "checked in this cycle",
    );
  }
  if (kind === "failover") {
    const route = mount.route ?? "tb";
    assert.equal(observed.routes[otherRoute(route)].probe.verdict, "answers");
    const isDown = observed.routes[route].probe.reason === "link_down";
    assert.ok(isDown || span(evidence.badProbes) >= CONFIRM_AFTER_MS, "never failed over on one probe");
  }
  if (mode === "force" && (kind === "remount" || kind === "failover")) {
    const proven =
      evidence.deadAtOnce ||
      span(evidence.badLooks) >= CONFIRM_AFTER_MS ||
      evidence.pendingSeen >= 2 ||
      (mount.route !== null && observed.routes[mount.route].probe.reason === "link_down") ||
      span(evidence.badProbes) >= CONFIRM_AFTER_MS;
    assert.ok(proven, "no automatic forced unmount rests on one look");
  }
}

/** Whether the share is where it should be, in a world that has been calm for long. */
function assertSettled(world: World): void {
  const { memory, mount, hosts } = world;
  if (memory.override === "unmounted") {
    assert.ok(mount === null || !mount.ours, "held unmounted");
    return;
  }
  if (mount === null) {
    assert.ok(
      hosts.tb !== "answers" && hosts.fallback !== "answers",
      "a host answers, but nothing is mounted",
    );
    assert.notEqual(memory.lastError, null);
    return;
  }
  const { route } = mount;
  if (route === null) {
    const isFree = world.holders.length === 0 && world.checkFails === null;
    const isLive = hosts.tb === "answers" || hosts.fallback === "answers";
    assert.ok(!isFree || !isLive, "no route explains it, and it could be remounted");
    return;
  }
  // A program that still gives its word is no dead mount.
  const dead = mount.processGone || (mount.hung && mount.program === undefined);
  if (hosts[route] !== "answers" && (dead || mount.answersAlways !== true)) {
    assert.notEqual(hosts[otherRoute(route)], "answers", `${route} is gone, and it did not fail over`);
    assert.match(memory.lastError ?? "", /gone/);
    return;
  }
  assert.ok(!dead, "the mount is dead, and its host answers");
  if (hosts[route] === "answers") assert.equal(memory.lastError, null);
  if (route !== "fallback" || hosts.tb !== "answers" || memory.override !== null) {
    assert.equal(memory.tbRecoveryPending, false);
    return;
  }
  const { autoFailback, lsofRecheck } = world.policy;
  if (mount.program !== undefined) {
    assert.ok(!autoFailback && !lsofRecheck, "a share that moves goes back whatever is open");
  }
  const open = world.holders.length > 0 || world.checkFails !== null;
  assert.equal(memory.tbRecoveryPending, true, "tb is ready, and neither used nor pending");
  assert.ok(open || !lsofRecheck, `nothing is open, and it does not recover (auto_failback ${autoFailback})`);
}

const RUNS = runsOf(400);
/** A check, a forced unmount, two slow mounts, and the interval until the next cycle. */
const STEP_TIME_MS = 90_000;

function assertAnswered({ request, nowMs }: World): void {
  if (request === null) return;
  assert.ok(nowMs <= request.waitUntilMs + STEP_TIME_MS, `unanswered: ${JSON.stringify(request)}`);
}

describe("a random world", () => {
  test("What to mount: every promise holds in it, and once it is calm the share settles and rests", () => {
    fc.assert(
      fc.property(POLICIES, LIFE, (policy, life) => {
        const world = Object.assign(new World(policy), { moves: policy.onRouteChange === "move" });
        watch(world);
        world.advance(0);
        for (const [waitMs, { happen }] of life) {
          world.advance(waitMs);
          happen(world);
          assertAnswered(world);
        }
        heal(world);
        happen(world, "one server behind both");
        world.duringStep = null;
        world.killDuringStep = false;
        // Passing trouble ends; hosts, files and what others mounted stay as they are.
        for (const mount of world.mounts) {
          if (mount.errno === "EIO" || mount.errno === "EACCES") mount.errno = null;
        }
        world.advance(330_000);
        assertAnswered(world);
        assert.equal(world.request, null, "a person waits without end");
        assertSettled(world);
        world.fresh();
        const { memory } = world;
        world.advance(40_000);
        assert.deepEqual(
          world.stepKinds.filter((kind) => kind !== "check"),
          [],
          "it rests",
        );
        assert.deepEqual(world.transitionNames, [], "it has nothing to tell");
        assert.equal(world.memory, memory, "it has nothing to write");
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: 8000, markInterruptAsFailure: false },
    );
  });
});
