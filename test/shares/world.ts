// A simulated world for one share: hosts, links, mounts, files, a person, others who mount, and a daemon that looks,
// decides and steps as src/shares/engine/observe.ts and share-cycle.ts do, in simulated time.
import assert from "node:assert/strict";
import type { NextRun } from "../../src/reconcile/reconcile-loop.ts";
import { NO_BACKOFF, restoredHealth, UNKNOWN_HEALTH } from "../../src/reconcile/route-health.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../src/reconcile/state-store.ts";
import type { FoundMount, MountOutcome, UnmountOutcome } from "../../src/shares/drivers/mount-driver.ts";
import type { Failed } from "../../src/shares/drivers/mount-failure.ts";
import type { MoveOutcome } from "../../src/shares/drivers/moving-mounts.ts";
import { type Decision, decide } from "../../src/shares/policy/decide.ts";
import type { DecideInput } from "../../src/shares/policy/decide-input.ts";
import { INITIAL_STATE, type ReconcileState } from "../../src/shares/policy/reconcile-state.ts";
import type {
  MountObservation,
  OpenFilesObservation,
  RouteObservation,
  ServerCheckObservation,
  ShareObservation,
  StepObservation,
} from "../../src/shares/policy/share-observation.ts";
import type { RequestOutcome, ShareRequest } from "../../src/shares/policy/share-request.ts";
import type { NewTransition } from "../../src/shares/policy/share-transitions.ts";
import type { Step } from "../../src/shares/policy/step.ts";
import type { MountCheck } from "../../src/shares/prober/prober.ts";
import { otherRoute, type RouteName, type SharePolicy, type ShareSpec } from "../../src/shares/share-spec.ts";
import { deepFreeze } from "../support/deep-freeze.ts";
import { routeTo, shareSpec } from "./share-spec.ts";
import { SimProgram } from "./sim-program.ts";

export type HostState = "answers" | "refused" | "link_down" | "silent" | "wedged";

export interface SimMount {
  readonly id: string;
  readonly path: string;
  route: RouteName | null;
  readonly ours: boolean;
  hung: boolean;
  processGone: boolean;
  /** What a look answers although host and process are well; null: it lists. */
  errno: string | null;
  /** Its connection lives on whatever becomes of the host. */
  answersAlways?: boolean;
  /** Its program moves it between routes. */
  program?: SimProgram;
  check: MountCheck;
}

export interface Taken {
  readonly step: Step;
  readonly operation: ReconcileState["operation"];
  readonly atMs: number;
}

export const CACHE_MS = 1000;
export const WALL_START = Date.UTC(2026, 0, 1);
const CONNECT_TIMEOUT_MS = 800;
const LOOK_WAIT_MS = 1000;
/** A look over a host that went silent fails after the driver's own timeout. */
const DRIVER_TIMEOUT_MS = 4000;
const MAX_STEPS = 12;

export const SPEC: ShareSpec = shareSpec({
  routes: { tb: routeTo("10.0.1.2"), fallback: routeTo("10.0.2.2") },
});

export const POLICY: SharePolicy = {
  checkIntervalMs: 2000,
  connectTimeoutMs: CONNECT_TIMEOUT_MS,
  mountHangMs: 10_000,
  autoFailback: true,
  stableMs: 30_000,
  lsofRecheck: true,
  outagePatienceMs: 60_000,
  onRouteChange: "remount",
};

class Killed extends Error {}

export class World {
  nowMs = 100_000;
  wallMs = WALL_START;
  spec: ShareSpec = SPEC;
  policy: SharePolicy = POLICY;
  /** Mounts that are made move. */
  moves = false;
  /** Which server is behind each route. */
  readonly servers: Record<RouteName, string> = { tb: "nas", fallback: "nas" };
  readonly hosts: Record<RouteName, HostState> = { tb: "answers", fallback: "answers" };
  mounts: SimMount[] = [];
  taken: FoundMount | null = null;
  linkBlocked: ShareObservation["linkBlocked"] = null;
  driverProblem: ShareObservation["driverProblem"] = null;
  /** The server accepts the login. */
  loginWorks = true;
  /** What the comparison of the servers behind both routes says of a share that is remounted; null: nothing. */
  serverCheck: ServerCheckObservation | null = null;
  /** Processes that hold files open on the mount. */
  holders: number[] = [];
  /** The daemon runs programs on the share, which need so long to end once they are to make room; null: it runs none. */
  programsEndInMs: number | null = null;
  #roomSinceMs: number | null = null;
  /** How often they were told to make room. */
  roomsMade = 0;
  /** Why the next open-file checks fail, and how long each takes, ms. */
  checkFails: string | null = null;
  checkTakesMs = 10;
  /** A program asks for the share before the next look. */
  wanted = false;
  /** Of the hosts, when one answers. */
  hardware: readonly string[] = [];
  /** The link that holds the hosts. */
  interfaceName: string | null = null;
  away: string | null = null;
  /** Why mounts fail: in words, or with another reason than `other`. */
  mountFails: Record<RouteName, string | Failed | null> = { tb: null, fallback: null };
  /** Why a program refuses a move; null: it moves. */
  moveFails: string | null = null;
  #silences = 0;
  mountTakesMs = 50;
  /** A mount that comes up has no process soon after. */
  mountsDieAtOnce = false;
  /** A mount that comes up does not answer. */
  newMountsHang = false;
  /** As of a driver whose system asks a person first. */
  mayWaitForPermission = false;
  unmountFails: string | null = null;
  /** Unmounts say that they are done, and the mount stays in the table. */
  unmountsDoNothing = false;
  /** Something happens while the next step runs. */
  duringStep: (() => void) | null = null;
  killDuringStep = false;

  memory: ShareMemory = EMPTY_SHARE_MEMORY;
  /** What the state file has, when its last write is lost. */
  memoryBefore: ShareMemory = EMPTY_SHARE_MEMORY;
  state: ReconcileState = INITIAL_STATE;
  request: ShareRequest | null = null;
  readonly outcomes: RequestOutcome[] = [];
  wake: NextRun | null = null;
  nextTickMs: number;
  last: Decision | null = null;
  lastSeen: ShareObservation | null = null;
  readonly taking: Taken[] = [];
  readonly transitions: NewTransition[] = [];
  memoryWrites = 0;
  cycles = 0;
  /** Checks promises after each decision. */
  onDecision: (decision: Decision, observed: ShareObservation, world: World) => void = () => {};

  #ids = 0;
  #files: OpenFilesObservation | null = null;
  #resets = false;

  constructor(change: Partial<SharePolicy> = {}) {
    this.policy = { ...POLICY, ...change };
    this.nextTickMs = this.nowMs;
  }

  /** One of our mounts, or someone else's. */
  addMount(route: RouteName | null, change: Partial<SimMount> = {}): SimMount {
    const mount: SimMount = {
      id: `m${++this.#ids}`,
      path: this.spec.mountPath,
      route,
      ours: true,
      hung: this.newMountsHang,
      processGone: false,
      errno: null,
      check: { state: "never" },
      ...change,
    };
    this.mounts.push(mount);
    return mount;
  }

  /** The mount that is ours to look after. */
  get mount(): SimMount | null {
    const isLive = ({ check }: SimMount): boolean => check.state === "answered" && check.errno === null;
    const { mountPath } = this.spec;
    return (
      this.mounts.find(({ path }) => path === mountPath) ?? this.mounts.find(isLive) ?? this.mounts[0] ?? null
    );
  }

  get route(): RouteName | "none" | "unknown" {
    const { mount } = this;
    return mount === null ? "none" : (mount.route ?? "unknown");
  }

  get stepKinds(): string[] {
    return this.taking.map(({ step }) => {
      if (step.kind === "mount") {
        const how = [step.moves && "moving", step.newServer && "new"].filter(Boolean);
        return ["mount", step.route, ...how].join(" ");
      }
      if (step.kind === "move") return `move ${step.route}`;
      if (step.kind === "unmount") return `unmount ${step.mode}`;
      return step.kind === "check_open_files" ? "check" : step.kind;
    });
  }

  get programsRun(): boolean {
    const { programsEndInMs: takesMs } = this;
    return takesMs !== null && (this.#roomSinceMs === null || this.nowMs - this.#roomSinceMs < takesMs);
  }

  get transitionNames(): string[] {
    return this.transitions.map(({ name }) => name);
  }

  get conditionCodes(): string[] {
    return (this.last?.conditions ?? []).map(({ code }) => code);
  }

  get lastOutcome(): RequestOutcome | null {
    return this.outcomes.at(-1) ?? null;
  }

  /** Forgets what was done so far, so that a test reads only what follows. */
  fresh(): this {
    this.taking.length = 0;
    this.transitions.length = 0;
    this.outcomes.length = 0;
    this.memoryWrites = 0;
    return this;
  }

  /** Ticks and wakes until `ms` have passed. */
  advance(ms: number): this {
    const untilMs = this.nowMs + ms;
    let atOnce = 0;
    let lastStartMs = 0;
    for (;;) {
      const wakeMs = this.wake?.atMs ?? Number.POSITIVE_INFINITY;
      const dueMs = Math.min(wakeMs, this.nextTickMs);
      if (dueMs > untilMs) break;
      // A cycle that takes longer than an interval is followed by the next one at once, and that is well.
      atOnce = dueMs <= this.nowMs && this.nowMs - lastStartMs < 5 ? atOnce + 1 : 0;
      lastStartMs = this.nowMs;
      assert.ok(
        atOnce < 30,
        `the lane runs without a pause: ${this.wake?.reason} at ${dueMs}, now ${this.nowMs}`,
      );
      this.pass(Math.max(0, dueMs - this.nowMs));
      const isTick = this.nextTickMs <= this.nowMs;
      while (this.nextTickMs <= this.nowMs) this.nextTickMs += this.policy.checkIntervalMs;
      this.cycle(isTick || wakeMs > this.nowMs ? this.nowMs : wakeMs);
    }
    this.pass(Math.max(0, untilMs - this.nowMs));
    return this;
  }

  /** Time passes and nothing runs. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  /** The machine sleeps: the monotonic clock stands still. */
  sleep(ms: number): void {
    this.wallMs += ms;
  }

  /** A network or config event. */
  event(): this {
    this.#resets = true;
    return this.cycle(this.nowMs);
  }

  ask(request: Partial<ShareRequest> & Pick<ShareRequest, "kind">, waitMs = 15_000): this {
    const base = {
      force: false,
      keepUnmounted: true,
      to: "auto",
      wait: false,
      waitUntilMs: this.nowMs + waitMs,
    };
    this.request = { ...base, ...request } as ShareRequest;
    return this.cycle(this.nowMs);
  }

  /** kill -9 and a new start; the state file may be one write behind. */
  restart(behind = false): void {
    if (behind) this.memory = this.memoryBefore;
    const { tbReachableSince: reachableSince, tbHealthySince: healthySince } = this.memory;
    const now = { monotonicMs: this.nowMs, wallMs: this.wallMs };
    const observedAt = this.lastSeen?.wallMs ?? null;
    const tb = restoredHealth({ reachableSince, healthySince, observedAt }, now);
    this.state = { ...INITIAL_STATE, health: { tb, fallback: UNKNOWN_HEALTH } };
    this.request = null;
    this.wake = null;
    this.nextTickMs = this.nowMs;
    for (const mount of this.mounts) mount.check = { state: "never" };
  }

  cycle(asOfMs: number): this {
    this.cycles++;
    this.wake = null;
    if (this.#resets) this.state = { ...this.state, mountBackoff: NO_BACKOFF };
    this.#resets = false;
    try {
      this.#run(asOfMs);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.restart();
    }
    return this;
  }

  #run(asOfMs: number): void {
    this.#files = null;
    let observed: ShareObservation = { ...this.#observe(asOfMs), wanted: this.wanted };
    this.wanted = false;
    for (let steps = 0; ; steps++) {
      const decision = this.#decide(observed);
      this.#keep(decision, observed);
      observed = { ...observed, wanted: false };
      if (decision.step === null) {
        this.wake = decision.nextRun;
        return;
      }
      assert.ok(
        steps < MAX_STEPS,
        `more than ${MAX_STEPS} steps in a cycle: ${this.stepKinds.slice(-16).join(", ")}`,
      );
      this.taking.push({ step: decision.step, operation: decision.state.operation, atMs: this.nowMs });
      observed = this.#perform(decision.step, observed);
    }
  }

  #decide(observed: ShareObservation): Decision {
    const { spec, policy, memory, state, request } = this;
    const input: DecideInput = {
      spec,
      policy,
      cacheMs: CACHE_MS,
      mayWaitForPermission: this.mayWaitForPermission,
      moves: this.moves && policy.onRouteChange === "move",
      programsRun: this.programsRun,
      observed,
      memory,
      state,
      request,
    };
    deepFreeze(input);
    const decision = decide(input);
    // Now and then: equal input gives an equal decision.
    if (this.cycles % 7 === 0) assert.deepEqual(decide(structuredClone(input)), decision);
    return decision;
  }

  #keep(decision: Decision, observed: ShareObservation): void {
    if (decision.memory !== this.memory) {
      this.memoryBefore = this.memory;
      this.memoryWrites++;
    }
    this.memory = decision.memory;
    this.state = decision.state;
    this.last = decision;
    if (decision.step?.kind !== "check_open_files") this.#keepRoom(decision.programs !== "free");
    this.lastSeen = observed;
    this.transitions.push(...decision.transitions);
    this.onDecision(decision, observed, this);
    if (decision.outcome !== null) {
      if (this.request !== null) this.outcomes.push(decision.outcome);
      this.request = null;
    }
  }

  #keepRoom(isWanted: boolean): void {
    if (isWanted && this.#roomSinceMs === null) this.roomsMade++;
    this.#roomSinceMs = isWanted ? (this.#roomSinceMs ?? this.nowMs) : null;
  }

  #observe(asOfMs: number): ShareObservation {
    const { mount } = this;
    this.watchProgram();
    if (mount !== null) this.#refreshLook(mount);
    const lookBefore = mount?.check ?? { state: "never" };
    const lookStarted = mount !== null && this.#startLook(mount);
    const silent = [this.hosts.tb, this.hosts.fallback].some(
      (host) => host === "silent" || host === "wedged",
    );
    const routes = { tb: this.#probe("tb", asOfMs), fallback: this.#probe("fallback", asOfMs) };
    const startedMs = this.nowMs;
    if (silent) this.pass(CONNECT_TIMEOUT_MS);
    const verdict = mount === null || mount.route === null ? null : routes[mount.route].probe.verdict;
    const hostGone = verdict === "gone" || (verdict === "silent" && mount?.program !== undefined);
    if (mount !== null && lookStarted && !hostGone && mount.check.state === "pending") {
      this.pass(Math.max(0, startedMs + LOOK_WAIT_MS - this.nowMs));
    }
    const check = hostGone ? lookBefore : (mount?.check ?? { state: "never" });
    return {
      atMs: this.nowMs,
      wallMs: this.wallMs,
      routes,
      mount: mount === null ? null : this.#seenMount(mount, check),
      serverCheck: this.serverCheck,
      duplicates: this.mounts.filter((other) => other !== mount).map((other) => this.#found(other)),
      occupant: this.taken,
      driverProblem: this.driverProblem,
      sharedAddress: null,
      openFiles: null,
      linkBlocked: this.linkBlocked,
      offNetwork: this.away,
      hardware: Object.values(routes).some(({ probe }) => probe.verdict === "answers") ? this.hardware : [],
      lastStep: null,
    };
  }

  #seenMount(mount: SimMount, check: MountCheck): MountObservation {
    const found = this.#found(mount);
    if (mount.program === undefined) return { found, check };
    return { found, check, moving: structuredClone(mount.program.report) };
  }

  #probe(route: RouteName, atMs: number): RouteObservation {
    const { host, folder } = this.spec.routes[route];
    const state = host === null && folder === null ? "not configured" : this.hosts[route];
    const verdict =
      state === "answers" ? "answers" : state === "silent" || state === "wedged" ? "silent" : "gone";
    const tcpAnswered = state === "answers" || state === "wedged";
    const { interfaceName } = this;
    const base = { verdict, tcpAnswered, address: null, interfaceName, text: this.#textOf(state) } as const;
    const reasons = { link_down: "link_down", wedged: "smb_timeout" } as const;
    const reason = state === "link_down" || state === "wedged" ? { reason: reasons[state] } : {};
    return { atMs, probe: { ...base, ...reason } };
  }

  /** What a readdir begun now would answer; "nothing" while it hangs. */
  #answer(mount: SimMount): string | null | "nothing" {
    if (mount.processGone) return "ENOTCONN";
    if (mount.hung) return "nothing";
    if (mount.program !== undefined) return mount.program.is === "serving" ? mount.errno : "nothing";
    if (mount.errno !== null || mount.route === null || mount.answersAlways === true) return mount.errno;
    const host = this.hosts[mount.route];
    if (host === "answers") return null;
    return host === "silent" || host === "wedged" ? "nothing" : "EIO";
  }

  #refreshLook(mount: SimMount): void {
    const { check } = mount;
    if (check.state !== "pending") return;
    const answer = this.#answer(mount);
    const waited = this.nowMs - check.startedAtMs;
    const endsItself = !mount.hung && mount.program === undefined;
    const timedOut = answer === "nothing" && endsItself && waited >= DRIVER_TIMEOUT_MS;
    if (answer === "nothing" && !timedOut) return;
    mount.check = { ...check, state: "answered", finishedAtMs: this.nowMs, errno: timedOut ? "EIO" : answer };
  }

  #startLook(mount: SimMount): boolean {
    const { check } = mount;
    if (check.state === "pending") return true;
    const { program } = mount;
    if (program && program.report.phase.is !== "serving") return false;
    const proved = check.state === "answered" && check.errno === null;
    if (proved && this.nowMs - check.finishedAtMs < CACHE_MS) return false;
    mount.check = { state: "pending", startedAtMs: this.nowMs };
    this.#refreshLook(mount);
    return true;
  }

  #found({ id, path, route, ours, processGone, program }: SimMount): FoundMount {
    const source = route === null ? "//old/CORE" : `//${this.spec.routes[route].host}/CORE`;
    const more = {
      ...(program === undefined ? {} : ({ moves: true } as const)),
    };
    return { id, path, source, sameShare: true, route, processGone, madeByDriver: ours, ...more };
  }

  /** Its program has done what it does by itself. */
  watchProgram(): void {
    const { mount } = this;
    if (mount?.program === undefined || mount.processGone) return;
    mount.program.watch(this.hosts, this.servers, this.away !== null, this.nowMs, this.wallMs);
    mount.route = mount.program.route;
  }

  #perform(step: Step, before: ShareObservation): ShareObservation {
    const startedMs = this.nowMs;
    const happen = this.duringStep;
    this.duringStep = null;
    const after = (lastStep: StepObservation | null): ShareObservation => {
      happen?.();
      if (this.killDuringStep) {
        this.killDuringStep = false;
        throw new Killed();
      }
      const { mount } = this;
      return {
        ...before,
        atMs: this.nowMs,
        wallMs: this.wallMs,
        ...(lastStep === null
          ? { openFiles: this.#files, driverProblem: this.driverProblem }
          : {
              mount: mount === null ? null : this.#seenMount(mount, mount.check),
              duplicates: this.mounts.filter((other) => other !== mount).map((other) => this.#found(other)),
            }),
        lastStep,
      };
    };
    switch (step.kind) {
      case "check_open_files":
        this.#files = this.#check();
        return after(null);
      case "wake":
        return after(null);
      case "log_in":
      case "let_in": {
        const program = this.mount?.program;
        if (program && step.kind === "let_in") program.other = null;
        else if (program && this.loginWorks) program.refused = null;
        this.watchProgram();
        return after({ kind: step.kind });
      }
      case "move": {
        const outcome = this.#moveNow(step.route);
        return after({ kind: "move", step, outcome, tookMs: this.nowMs - startedMs });
      }
      case "mount": {
        const outcome = step.moves
          ? this.#mountMoving(step.route, step.newServer === true)
          : this.#mountNow(step.route);
        return after({ kind: "mount", step, outcome, tookMs: this.nowMs - startedMs });
      }
      case "unmount": {
        const outcome = this.#unmountNow(step);
        return after({ kind: "unmount", step, outcome, tookMs: this.nowMs - startedMs });
      }
    }
  }

  /** A silent host is asked with one limit, then with another. */
  #textOf(state: string): string {
    if (state !== "silent") return state;
    this.#silences++;
    return `silent for ${this.#silences % 2 === 0 ? 300 : 800} ms`;
  }

  #check(): OpenFilesObservation {
    const atMs = this.nowMs;
    this.pass(this.checkTakesMs);
    if (this.checkFails !== null) return { atMs, state: "unknown", holders: [], text: this.checkFails };
    const holders = this.holders.map((pid) => ({ pid, command: "vi", path: "/x", how: "fd" }) as const);
    return { atMs, state: holders.length > 0 ? "open" : "none", holders, text: null };
  }

  #moveNow(route: RouteName): MoveOutcome {
    const { mount } = this;
    const { program } = mount ?? {};
    if (!mount || !program) return { ok: false, text: "the mount does not move" };
    this.pass(this.hosts[route] === "answers" ? 5 : 1000);
    if (this.hosts[route] !== "answers") return { ok: false, text: "no answer" };
    if (this.servers[route] !== "nas") return { ok: false, text: "lists different files" };
    if (this.moveFails !== null) return { ok: false, text: this.moveFails };
    program.use(route, this.nowMs, this.wallMs);
    mount.route = route;
    return { ok: true, quiet: true, connections: 2 };
  }

  #mountMoving(wanted: RouteName, newServer: boolean): MountOutcome {
    const first = this.#mountNow(wanted);
    const routes = ([wanted, otherRoute(wanted)] as const).filter((one) => this.hosts[one] === "answers");
    const fails = (reason: "other" | "wrong_credentials" | "different_server", text: string) =>
      ({ ok: false, reason, text }) as const;
    if (!first.ok && (first.reason !== "other" || routes.length === 0)) return first;
    if (first.ok && first.adopted) return first;
    this.mounts = this.mounts.filter((one) => !first.ok || one.id !== first.mount.id);
    if (!this.loginWorks) return fails("wrong_credentials", "the password is wrong");
    const same = routes.find(
      (one) => this.mountFails[one] === null && (newServer || this.servers[one] === "nas"),
    );
    if (same === undefined) {
      const failed = routes.map((one) => this.mountFails[one]).find((text) => text !== null);
      if (failed == null) return fails("different_server", "it lists different files");
      return typeof failed === "string" ? fails("other", failed) : failed;
    }
    if (newServer) for (const one of routes) this.servers[one] = "nas";
    const mount = this.addMount(same, { program: new SimProgram(same) });
    if (this.mountsDieAtOnce) mount.processGone = true;
    return { ok: true, mount: this.#found(mount), adopted: false };
  }

  #mountNow(route: RouteName): MountOutcome {
    this.pass(this.mountTakesMs);
    const there = this.mounts.find(({ path }) => path === this.spec.mountPath);
    if (there !== undefined) return { ok: true, mount: this.#found(there), adopted: true };
    if (this.taken !== null) return { ok: false, reason: "path_taken", text: "taken" };
    if (this.driverProblem !== null)
      return { ok: false, reason: "driver_unavailable", text: this.driverProblem.text };
    const failure = this.mountFails[route] ?? (this.hosts[route] === "answers" ? null : "host unreachable");
    if (typeof failure === "string") return { ok: false, reason: "other", text: failure };
    if (failure !== null) return failure;
    const mount = this.addMount(route);
    if (this.mountsDieAtOnce) mount.processGone = true;
    return { ok: true, mount: this.#found(mount), adopted: false };
  }

  #unmountNow({ mount, mode }: Extract<Step, { kind: "unmount" }>): UnmountOutcome {
    const target = this.mounts.find(({ id }) => id === mount.id);
    if (target === undefined) return { ok: true };
    if (this.unmountFails !== null) {
      this.pass(2000);
      return { ok: false, reason: "failed", text: this.unmountFails };
    }
    if (mode === "plain") {
      if (this.holders.length > 0 || this.programsRun)
        return { ok: false, reason: "busy", text: "device is busy" };
      if (target.hung) {
        this.pass(15_000);
        return { ok: false, reason: "failed", text: "no answer in 15 s" };
      }
    }
    this.pass(10);
    if (this.unmountsDoNothing) return { ok: true };
    this.holders = [];
    this.mounts = this.mounts.filter((other) => other !== target);
    return { ok: true };
  }
}
