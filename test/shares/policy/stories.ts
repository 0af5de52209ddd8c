// What happens to a share in the simulated world, and what must be so then, in the words of its stories.
import assert from "node:assert/strict";
import type { ServerCheckObservation } from "../../../src/shares/policy/share-observation.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type SharePolicy } from "../../../src/shares/share-spec.ts";
import { type Act, doIt, type Fact, tellStories } from "../../support/stories.ts";
import { routeTo } from "../share-spec.ts";
import { type HostState, SPEC, World } from "../world.ts";

/** Worlds that stories begin with, by their words. */
export type Starts = Readonly<Record<string, () => World>>;

export const PLAIN_STARTS: Starts = {
  "a new share": () => new World(),
  "a share that moves": () => movingShare(),
};

/** Not mounted yet. */
export function movingShare(policy: Partial<SharePolicy> = {}): World {
  return Object.assign(new World({ onRouteChange: "move", ...policy }), { moves: true });
}

/** Mounted over tb by a program that moves it, and calm. */
export function movingWorld(policy: Partial<SharePolicy> = {}): World {
  const world = movingShare(policy).advance(5000);
  assert.deepEqual(world.stepKinds, ["mount tb moving"]);
  return world.fresh();
}

/** Mounted over `route` by us, seen alive, nothing to do. */
export function mountedOver(
  route: RouteName,
  world = new World({ autoFailback: false, lsofRecheck: false }),
): World {
  world.addMount(route);
  if (route === "fallback") world.memory = { ...world.memory, override: "fallback" };
  world.advance(2500);
  world.memory = { ...world.memory, override: null };
  return world.fresh();
}

const ACTS: readonly Act<World>[] = [
  [
    /^([\d.]+) (ms|s)$/,
    (world, count = "", unit) => world.advance(Number(count) * (unit === "s" ? 1000 : 1)),
  ],
  [/^event$/, (world) => world.event()],
  [/^cycle$/, (world) => world.cycle(world.nowMs)],
  [/^fresh$/, (world) => marked(world.fresh())],
  [/^restart$/, (world) => world.restart()],
  [/^pass (\d+) ms$/, (world, ms) => world.pass(Number(ms))],
  [/^sleep (-?\d+) ms$/, (world, ms) => world.sleep(Number(ms))],
  [
    /^(tb|fallback|both) (answers?|refused|link_down|silent|wedged)$/,
    (world, which, state = "") => {
      for (const route of routesOf(which))
        world.hosts[route] = (state === "answer" ? "answers" : state) as HostState;
    },
  ],
  [/^open ([\d ]+)$/, (world, pids = "") => change(world, { holders: pids.split(" ").map(Number) })],
  [/^closed$/, (world) => change(world, { holders: [] })],
  [
    /^(auto_failback|lsof_recheck) (on|off)$/,
    (world, key, value) => setToggle(world, key ?? "", value === "on"),
  ],
  [/^interval (\d+) ms$/, (world, ms) => setPolicy(world, { checkIntervalMs: Number(ms) })],
  [/^stable after (\d+) ms$/, (world, ms) => setPolicy(world, { stableMs: Number(ms) })],
  [/^only over (tb|fallback)$/, (world, route) => setSpec(world, { routes: onlyTo(route as RouteName) })],
  [/^over either again$/, (world) => setSpec(world, { routes: SPEC.routes })],
  // The comparison of the servers behind both routes of a share that is remounted.
  [
    /^its servers are (being compared|the same|different|unproved)$/,
    (world, how = "") => change(world, { serverCheck: serverCheckOf(how) }),
  ],
  [
    /^(another|one) server behind (fallback|both|tb)$/,
    (world, who, which) => {
      for (const route of routesOf(which)) world.servers[route] = who === "one" ? "nas" : "another";
    },
  ],
  [
    /^its server has refused the login$/,
    (world) => change(world, { state: { ...world.state, loginRefused: "wrong password" } }),
  ],
  [
    /^an earlier try failed$/,
    (world) => change(world, { memory: { ...world.memory, lastError: "an earlier try" } }),
  ],
  [/^someone unmounts it$/, (world) => change(world, { mounts: world.mounts.slice(1) })],
  [
    /^switch (tb|fallback|auto)( --force)?( --wait)?$/,
    (world, to, force, wait) =>
      world.ask(
        {
          kind: "switch",
          to: to as RouteName | "auto",
          force: force !== undefined,
          wait: wait !== undefined,
        },
        wait === undefined ? undefined : Number.POSITIVE_INFINITY,
      ),
  ],
  [
    /^unmount( --force)?( without hold)?$/,
    (world, force, without) =>
      world.ask({ kind: "unmount", force: force !== undefined, keepUnmounted: without === undefined }),
  ],
  [/^mount( --new-server)?$/, (world, isNew) => world.ask({ kind: "mount", newServer: isNew !== undefined })],
  [/^the login (fails|works)$/, (world, how) => change(world, { loginWorks: how === "works" })],
  [
    /^the password was changed there$/,
    (world) => {
      change(world, { loginWorks: false });
      Object.assign(programOf(world), { refused: { text: "wrong password", atMs: world.wallMs } });
      world.watchProgram();
    },
  ],
  [/^its program is silent$/, (world) => Object.assign(programOf(world), { silentSinceMs: world.nowMs })],
  [/^its program answers$/, (world) => Object.assign(programOf(world), { silentSinceMs: null })],
  [/^its program has not spoken$/, (world) => Object.assign(programOf(world), { unheard: true })],
  [/^its host is edited$/, (world) => Object.assign(programOf(world), { isFormer: true })],
  [/^a program asks$/, (world) => change(world, { wanted: true })],
  [
    /^(\d+) files of it are open$/,
    (world, count) => Object.assign(programOf(world), { openFiles: Number(count) }),
  ],
  [/^it takes (\d+) connections?$/, (world, most) => Object.assign(programOf(world), { most: Number(most) })],
  [
    /^it watches too much$/,
    (world) => Object.assign(programOf(world), { unheardFolders: { folders: ["Photos"], missing: "" } }),
  ],
  [
    /^it has lost a lock$/,
    (world) => Object.assign(programOf(world), { lostLocks: [{ path: "books.db", program: "sqlite3" }] }),
  ],
  [/^its share is gone$/, (world) => Object.assign(programOf(world), { missing: 'it has "photos"' })],
  [
    /^eth1 has its network as well$/,
    (world) => Object.assign(programOf(world), { uncertain: "eth1 has an address of the same network" }),
  ],
  [/^its root is empty$/, (world) => Object.assign(programOf(world), { isEmpty: true })],
  [/^off network$/, (world) => change(world, { away: "this network is not in only_on" })],
  [/^on its network$/, (world) => change(world, { away: null })],
  [
    /^mounts over (tb|fallback|both) fail: (.+)$/,
    (world, which, why = "") => {
      for (const route of routesOf(which)) world.mountFails = { ...world.mountFails, [route]: why };
    },
  ],
  [/^moves fail: (.+)$/, (world, why = "") => change(world, { moveFails: why })],
  [/^moves work$/, (world) => change(world, { moveFails: null })],
  [/^mounts work$/, (world) => change(world, { mountFails: { tb: null, fallback: null } })],
  [/^mounts die at once$/, (world) => change(world, { mountsDieAtOnce: true })],
  [/^mounts live$/, (world) => change(world, { mountsDieAtOnce: false })],
  [/^new mounts (hang|answer)$/, (world, how) => change(world, { newMountsHang: how === "hang" })],
  [/^checks fail$/, (world) => change(world, { checkFails: "no answer in 2 s" })],
  [/^checks fail late$/, (world) => change(world, { checkFails: "no answer in 2 s", checkTakesMs: 2000 })],
  [/^checks work$/, (world) => change(world, { checkFails: null, checkTakesMs: 10 })],
  [/^checks take (\d+) ms$/, (world, ms) => change(world, { checkTakesMs: Number(ms) })],
  [/^unmounts fail: (.+)$/, (world, why = "") => change(world, { unmountFails: why })],
  [/^unmounts do nothing$/, (world) => change(world, { unmountsDoNothing: true })],
  [/^unmounts work$/, (world) => change(world, { unmountFails: null, unmountsDoNothing: false })],
  [/^the driver is gone$/, (world) => change(world, { driverProblem: DRIVER_GONE })],
  [/^the driver is back$/, (world) => change(world, { driverProblem: null })],
  [/^the variable (\w+) is not set$/, (world, name) => setSpec(world, { missingVariable: name ?? null })],
  [/^mount_root is edited$/, (world) => setSpec(world, { mountPath: "/elsewhere/CORE" })],
  [/^another share is at its path$/, (world) => change(world, { taken: takenBy(world) })],
  [/^permission may be asked$/, (world) => change(world, { mayWaitForPermission: true })],
  [/^the mount says (E[A-Z]+)$/, (world, errno) => Object.assign(mountOf(world), { errno })],
  [/^the mount lists$/, (world) => Object.assign(mountOf(world), { errno: null })],
  [/^the mount (hangs|goes on)$/, (world, how) => Object.assign(mountOf(world), { hung: how === "hangs" })],
  [/^its process is gone$/, (world) => Object.assign(mountOf(world), { processGone: true })],
  [/^its connection lives on$/, (world) => Object.assign(mountOf(world), { answersAlways: true })],
  [/^it vanishes$/, (world) => change(world, { mounts: [] })],
  [/^another is in its place$/, (world) => change(world, { mounts: [{ ...mountOf(world), id: "another" }] })],
  [
    /^(ours|theirs) over (tb|fallback|no known route)( at \S+)?( dead)?$/,
    (world, whose, over, at, dead) =>
      world.addMount(over === "no known route" ? null : (over as RouteName), {
        ours: whose === "ours",
        processGone: dead !== undefined,
        ...(at === undefined ? {} : { path: at.slice(4) }),
      }),
  ],
  [/^programs need (\d+) ms to end$/, (world, ms) => change(world, { programsEndInMs: Number(ms) })],
  // In the step that follows, or in the one after that.
  [/^in the next step (.+)$/, (world, act = "") => change(world, { duringStep: () => happen(world, act) })],
  [
    /^in the second step (.+)$/,
    (world, act = "") =>
      change(world, { duringStep: () => change(world, { duringStep: () => happen(world, act) }) }),
  ],
];

function reasonsOf({ last }: World): ReadonlyMap<string, string> {
  const { rule = "", why = "", passedOver = [] } = last?.explanation ?? {};
  return new Map([...passedOver, { rule, why }].map((one) => [one.rule, one.why]));
}

const FACTS: readonly Fact<World>[] = [
  [/^result (\w+)$/, (world, wanted) => [world.lastOutcome?.result, wanted]],
  // The rule in force, or one that was passed over, with the reason.
  [/^rule "(.+)" because "(.+)"$/, (world, rule = "", why = "") => matches(reasonsOf(world).get(rule), why)],
  [/^no rule "(.+)"$/, (world, rule = "") => [reasonsOf(world).has(rule), false]],
  [/^no result$/, (world) => [world.outcomes, []]],
  [/^detail \/(.+)\/$/, (world, text) => matches(world.lastOutcome?.detail, text)],
  [/^named ([\d ]+)$/, (world, pids) => [world.lastOutcome?.holders.map(({ pid }) => pid).join(" "), pids]],
  [/^on (\w+)$/, (world, route) => [world.route, route]],
  [/^serves over (tb|fallback|none)$/, (world, route) => [world.memory.activeInterface, route]],
  [/^held (\w+)$/, (world, override) => [world.memory.override ?? "nothing", override]],
  [/^(not )?pending$/, (world, not) => [world.memory.tbRecoveryPending, not === undefined]],
  [
    /^(the same|another) mount$/,
    (world, same) => [world.mount?.id === marks.get(world), same === "the same"],
  ],
  [/^phase (\w+)$/, (world, phase) => [world.mount?.program?.is, phase]],
  [/^(\d+) moves?$/, (world, count) => [world.mount?.program?.moves.count, Number(count)]],
  [/^open ([\d ]+)$/, (world, pids) => [world.holders.join(" "), pids]],
  [/^no hint$/, (world) => [world.lastOutcome?.hint, null]],
  [
    /^tb only connects$/,
    ({ memory }) => [
      [memory.tbHealthySince, memory.tbReachableSince !== null],
      [null, true],
    ],
  ],
  [
    /^unmounted by force with (\d+|unknown) open$/,
    ({ transitions }, open) => {
      const told = transitions.find(({ name }) => name === "share.unmounted");
      const found = told?.name === "share.unmounted" && [told.forced, told.open_files];
      return [found, [true, open === "unknown" ? null : Number(open)]];
    },
  ],
  [/^nothing written$/, (world) => [world.memoryWrites, 0]],
  [/^fewer than (\d+) steps$/, ({ taking }, most) => [taking.length < Number(most), true]],
  [/^hint \/(.+)\/$/, (world, text) => matches(world.lastOutcome?.hint, text)],
  [
    /^steps but checks (.+)$/,
    ({ stepKinds }, steps = "") => [
      stepKinds.filter((kind) => kind !== "check"),
      steps === "none" ? [] : stepsOf(steps),
    ],
  ],
  [/^no steps$/, (world) => [world.stepKinds, []]],
  [/^steps (.+)$/, (world, steps = "") => [world.stepKinds, stepsOf(steps)]],
  [
    /^last steps (.+)$/,
    (world, steps = "") => [world.stepKinds.slice(-stepsOf(steps).length), stepsOf(steps)],
  ],
  [
    /^first steps (.+)$/,
    (world, steps = "") => [world.stepKinds.slice(0, stepsOf(steps).length), stepsOf(steps)],
  ],
  [/^only checks$/, (world) => [[...new Set(world.stepKinds)], ["check"]]],
  [/^step (.+)$/, (world, step = "") => [world.stepKinds.includes(step), true]],
  [/^no step (.+)$/, (world, step = "") => [world.stepKinds.some((kind) => kind.startsWith(step)), false]],
  [
    /^(\d+) to (\d+) times (.+)$/,
    (world, least, most, step = "") => {
      const times = world.stepKinds.filter((kind) => kind === step).length;
      return [times >= Number(least) && times <= Number(most) ? "as often" : times, "as often"];
    },
  ],
  [/^error \/(.+)\/$/, (world, text) => matches(world.memory.lastError, text)],
  [/^(no|some) error$/, (world, some) => [world.memory.lastError !== null, some === "some"]],
  [
    /^(no )?condition (\S+)$/,
    (world, no, code = "") => [world.conditionCodes.includes(code), no === undefined],
  ],
  [/^condition (\S+) says \/(.+)\/$/, (world, code, text) => matches(conditionOf(world, code)?.title, text)],
  [
    /^condition (\S+) names ([\d ]+)$/,
    (world, code, pids) => [
      conditionOf(world, code)
        ?.holders?.map(({ pid }) => pid)
        .join(" "),
      pids,
    ],
  ],
  [
    /^condition (\S+) is (warning|error)$/,
    (world, code, severity) => [conditionOf(world, code)?.severity, severity],
  ],
  [
    /^condition (\S+) for (\d+) s$/,
    (world, code, seconds) => [
      Math.round((world.wallMs - Date.parse(conditionOf(world, code)?.since ?? "")) / 1_000),
      Number(seconds),
    ],
  ],
  [/^nothing told$/, (world) => [world.transitionNames, []]],
  [
    /^(not )?told (\S+)$/,
    (world, not, name = "") => [world.transitionNames.includes(name), not === undefined],
  ],
  [
    /^told (\S+) (once|twice)$/,
    (world, name, times) => [
      world.transitionNames.filter((each) => each === name).length,
      times === "once" ? 1 : 2,
    ],
  ],
  [/^told alone (.+)$/, (world, names = "") => [world.transitionNames, stepsOf(names)]],
  [
    /^told (no|a) reason \/(.+)\/$/,
    ({ transitions }, how, text = "") => [new RegExp(text).test(JSON.stringify(transitions)), how === "a"],
  ],
  [/^(?:no conditions|conditions (.+))$/, (world, codes) => [world.conditionCodes.join(" "), codes ?? ""]],
  [/^mounts at (.+)$/, (world, paths) => [world.mounts.map(({ path }) => path).join(" "), paths]],
  [/^(\d+) mounts?$/, (world, count) => [world.mounts.length, Number(count)]],
  [/^wakes for (\w+)$/, (world, reason) => [world.wake?.reason, reason]],
  [/^room (\w+)$/, (world, room) => [world.last?.programs, room]],
  [/^room made (\d+) times?$/, (world, times) => [world.roomsMade, Number(times)]],
  [
    /^wakes within (\d+) ms$/,
    ({ wake, nowMs }, ms) => [(wake?.atMs ?? Infinity) - nowMs <= Number(ms), true],
  ],
  [/^no wake$/, (world) => [world.wake, null]],
  [/^no operation$/, (world) => [world.state.operation, null]],
];

/** What was mounted when the story began, or was made fresh. */
const marks = new WeakMap<World, string | undefined>();

const DRIVER_GONE = { text: "mountaineer-fs is not installed", hint: "install it" };

/** Each story is a test. */
export function stories(starts: Starts, text: string): void {
  const marking = Object.entries(starts).map(([words, start]) => [words, () => marked(start())] as const);
  tellStories({ starts: Object.fromEntries(marking), acts: ACTS, facts: FACTS }, text);
}

export function happen(world: World, words: string): void {
  doIt(ACTS, world, words);
}

function marked(world: World): World {
  marks.set(world, world.mount?.id);
  return world;
}

function onlyTo(route: RouteName): World["spec"]["routes"] {
  return { ...SPEC.routes, [otherRoute(route)]: routeTo(null) };
}

function serverCheckOf(how: string): ServerCheckObservation {
  const known: Readonly<Record<string, ServerCheckObservation["state"]>> = {
    "the same": "same",
    different: "different",
    unproved: "unproved",
  };
  const state = known[how] ?? "unchecked";
  const text = state === "same" || state === "unchecked" ? null : "they list different files";
  const proved = state === "same" ? ROUTE_NAMES : [];
  return { state, isChecking: how === "being compared", text, isEmpty: false, proved };
}

function routesOf(which = "both"): readonly RouteName[] {
  return which === "both" ? ROUTE_NAMES : [which as RouteName];
}

function stepsOf(text: string): readonly string[] {
  return text.split(" > ");
}

function matches(text: string | null | undefined, pattern = ""): readonly [unknown, unknown] {
  return [new RegExp(pattern).test(text ?? "") ? pattern : text, pattern];
}

function conditionOf(world: World, code: string | undefined) {
  return world.last?.conditions.find((each) => each.code === code);
}

function change(world: World, parts: Partial<World>): void {
  Object.assign(world, parts);
}

function setPolicy(world: World, parts: Partial<World["policy"]>): void {
  world.policy = { ...world.policy, ...parts };
}

function setToggle(world: World, key: string, isOn: boolean): void {
  setPolicy(world, key === "auto_failback" ? { autoFailback: isOn } : { lsofRecheck: isOn });
}

function setSpec(world: World, parts: Partial<World["spec"]>): void {
  world.spec = { ...world.spec, ...parts };
}

function programOf(world: World): NonNullable<NonNullable<World["mount"]>["program"]> {
  return mountOf(world).program ?? assert.fail("its mount does not move");
}

function mountOf(world: World): NonNullable<World["mount"]> {
  return world.mount ?? assert.fail("nothing is mounted");
}

function takenBy({ spec }: World): World["taken"] {
  const { mountPath: path } = spec;
  const source = "//nas/OTHER";
  return { id: "x", path, source, sameShare: false, route: null, processGone: false, madeByDriver: false };
}
