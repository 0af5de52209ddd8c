// One look at a share: both hosts, the mount table, the mount and the stable link, all at once. Each part has its own
// deadline, and a mount is not waited for when its host is certainly gone.
import { settledWithin } from "../../runtime/time/clock.ts";
import type { CarriedState } from "../drivers/carriage.ts";
import type {
  FoundMount,
  Lacking,
  RefusedUpload,
  SetAsideFolder,
  WaitingUnsent,
} from "../drivers/mount-driver.ts";
import { SILENT_LOOK_MS } from "../policy/decide-routes.ts";
import type { LaneState } from "../policy/lane-state.ts";
import type {
  LinkBlocked,
  MountSeen,
  OpenFilesSeen,
  RouteProbe,
  RouteSeen,
  ShareSeen,
  StepSeen,
} from "../policy/share-seen.ts";
import type { Look } from "../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import {
  carriedIfProved,
  isCarriedPort,
  isMovable,
  isRerouted,
  observeCarry,
  withCarried,
} from "./observe-carried.ts";
import type { Hurried, LookTools, ObserveTools, Subject } from "./share-subject.ts";

/** How long looks at local disks (links, route folders) may take, ms. */
const LOCAL_LOOK_MS = 1000;
/** How long a look-up of open files may take before it counts as open, ms. */
const OPEN_FILES_MS = 2000;
/** How long a mounted share's look waits to learn whether its driver could mount it anew, ms. */
const ABLE_MS = 1000;
/**
 * A carried mount is not unmounted for a route's sake, so whether it could be mounted anew is asked only this often,
 * ms.
 */
const ABLE_AGAIN_MS = 10_000;

/** `asOfMs` (monotonic): nothing older will do. Shares that observe as of the same moment share what is found. */
export async function observe(
  tools: ObserveTools,
  subject: Subject,
  asOfMs: number,
  state: LaneState,
  openFiles: OpenFilesSeen | null,
): Promise<ShareSeen> {
  const { clock, hurried = {} } = tools;
  const { spec, driver } = subject;
  await tools.carriage?.ready();
  const away = await awayFrom(tools, subject, asOfMs);
  const [tb, fallback, { ours, lookUnderWay, twins, taken, link }] = await Promise.all([
    probeRoute(tools, subject, "tb", asOfMs, hurried, away),
    probeRoute(tools, subject, "fallback", asOfMs, hurried, away),
    findMounts(tools, subject, asOfMs),
  ]);
  const configured = { tb, fallback };
  const hardware = await hardwareOf(tools, configured);
  const through = ours?.former === true ? null : carriedNow(tools, subject, ours);
  const routes = away === null ? await probeInUse(tools, subject, configured, through, asOfMs) : configured;
  const carriedOver = through?.route ?? null;
  // What that means depends on what the carrier has seen meanwhile.
  if (carriedOver !== null && routes[carriedOver].probe.verdict === "silent") await tools.carriage?.recount();
  const found =
    ours === null
      ? null
      : withCarried(tools, subject, configured, {
          found: ours,
          look: await chooseLook(tools, ours, lookUnderWay, routes, Object.keys(hurried).length > 0),
        });
  const carry = await observeCarry(tools, subject, { routes, configured, away }, found);
  const mount = carriedIfProved(found, carry, configured);
  const waiting = waitingFor(subject);
  const setAside = driver.setAside?.(spec) ?? NO_FOLDERS;
  const refusedUploads = driver.refusedUploads?.(spec) ?? NO_UPLOADS;
  const serves = ours !== null && ours.route !== null;
  const ableSinceMs = (mount?.carried ?? null) === null ? undefined : clock.monotonicMs() - ABLE_AGAIN_MS;
  const driverProblem = await (serves
    ? findDriverProblem(tools, subject, ableSinceMs)
    : driver.unavailable(spec));
  const unsent = state.unsentWatched ? await driver.unsent(spec) : null;
  const linkBlocked = link === null ? null : await link;
  return {
    atMs: clock.monotonicMs(),
    wallMs: clock.wallMs(),
    routes,
    configured,
    away,
    hardware,
    mount,
    twins,
    taken,
    driverProblem,
    oneAddress: oneAddress(spec, routes),
    openFiles,
    carry,
    unsent,
    setAside: await setAside,
    waiting: await waiting,
    refusedUploads: await refusedUploads,
    linkBlocked,
    ...logonNow(tools),
    lastStep: null,
  };
}

function logonNow({ logon }: LookTools): Pick<ShareSeen, "logon"> {
  const now = logon?.() ?? null;
  return now === null ? {} : { logon: now };
}

/** The same world after a step: the mount table is read again, but no host is probed. */
export async function observeAfterStep(
  tools: LookTools,
  subject: Subject,
  before: ShareSeen,
  lastStep: StepSeen,
): Promise<ShareSeen> {
  const { ours, twins, taken } = choose(
    tools,
    subject,
    await subject.driver.find(subject.spec, tools.clock.monotonicMs()),
  );
  const mount: MountSeen | null =
    ours === null
      ? null
      : withCarried(tools, subject, before.configured ?? before.routes, {
          found: ours,
          look: tools.prober.lastLook(ours.id),
        });
  return {
    ...before,
    // What the mount had not sent waits as soon as that is gone.
    ...(mount === null ? { waiting: await waitingFor(subject) } : {}),
    // What is not mounted leads only where the configuration says.
    routes: mount === null ? (before.configured ?? before.routes) : before.routes,
    atMs: tools.clock.monotonicMs(),
    wallMs: tools.clock.wallMs(),
    mount,
    twins,
    taken,
    ...logonNow(tools),
    lastStep,
  };
}

/**
 * What keeps the driver from mounting the share, asked with a short limit if it is mounted; null: nothing, or unknown
 * in time.
 */
export async function findDriverProblem(
  { clock }: Pick<LookTools, "clock">,
  { spec, driver }: Subject,
  notBeforeMs?: number,
): Promise<Lacking | null> {
  const asked = driver.unavailable(spec, notBeforeMs);
  return (await settledWithin(clock, ABLE_MS, asked)) ? asked : null;
}

/** Looks up who holds files on a mount, and what is unsent. A check that fails or is late says so. */
export async function observeOpenFiles(
  { clock, prober, programs }: LookTools,
  { spec, driver }: Subject,
  mount: FoundMount,
): Promise<OpenFilesSeen> {
  const atMs = clock.monotonicMs();
  const own = await driver.ownProcesses(spec, mount);
  const [answers, unsent] = await Promise.all([
    prober.openFiles(
      [driver.openFilesPath(mount)],
      [process.pid, ...prober.pids, ...own],
      OPEN_FILES_MS,
      programs?.running(spec.name),
    ),
    driver.unsent(spec),
  ]);
  const answer = answers[0] ?? { ok: false, text: "the prober gave no answer" };
  if (!answer.ok) {
    return { atMs, state: "unknown", holders: [], unsent, text: answer.text };
  }
  const state = answer.files.length + unsent.length > 0 ? "open" : "none";
  return { atMs, state, holders: answer.files, unsent, text: null };
}

function carriedNow(
  { carriage }: LookTools,
  { spec }: Subject,
  mount: FoundMount | null,
): CarriedState | null {
  return mount !== null && isCarriedPort(mount) ? (carriage?.of(spec.name) ?? null) : null;
}

interface ChosenMounts {
  readonly ours: FoundMount | null;
  readonly twins: readonly FoundMount[];
  readonly taken: FoundMount | null;
}

/** Questions to the prober go out in one message. */
async function findMounts(
  tools: ObserveTools,
  subject: Subject,
  asOfMs: number,
): Promise<ChosenMounts & { lookUnderWay: Promise<Look> | null; link: Promise<LinkBlocked | null> | null }> {
  const chosen = choose(tools, subject, await subject.driver.find(subject.spec, asOfMs));
  const { ours } = chosen;
  // Usually the answer is there by now, and a look may begin.
  if ((carriedNow(tools, subject, ours)?.unansweredSinceMs ?? null) !== null) await tools.carriage?.recount();
  return {
    ...chosen,
    lookUnderWay: ours === null ? null : startLook(tools, subject, ours),
    link: tools.ensureLink(subject.spec, ours?.path ?? subject.spec.mountPath),
  };
}

const NONE: readonly FoundMount[] = [];
const NO_FOLDERS: readonly SetAsideFolder[] = [];
const NO_UPLOADS: readonly RefusedUpload[] = [];
const NOTHING_WAITS: readonly WaitingUnsent[] = [];

function waitingFor({ driver, spec }: Subject): Promise<readonly WaitingUnsent[]> | readonly WaitingUnsent[] {
  return driver.waiting?.(spec) ?? NOTHING_WAITS;
}

/** If a share is mounted twice, ours is the mount at our path, else one that is alive; the others are left alone. */
function choose({ prober }: LookTools, { spec }: Subject, found: readonly FoundMount[]): ChosenMounts {
  const [only = null] = found;
  if (found.length <= 1 && (only === null || only.sameShare)) return { ours: only, twins: NONE, taken: null };
  const atOurPath = found.find(({ path }) => path === spec.mountPath) ?? null;
  const same = found.filter((mount) => mount.sameShare || (mount === atOurPath && mount.madeByDriver));
  const isLive = ({ id }: FoundMount): boolean => {
    const look = prober.lastLook(id);
    return look.state === "answered" && look.errno === null;
  };
  const ours = same.find((mount) => mount === atOurPath) ?? same.find(isLive) ?? same[0] ?? null;
  return {
    ours,
    twins: same.filter((mount) => mount !== ours),
    taken: atOurPath === null || same.includes(atOurPath) ? null : atOurPath,
  };
}

function startLook(tools: LookTools, subject: Subject, mount: FoundMount): Promise<Look> | null {
  const { clock, prober } = tools;
  // A look says nothing while a carried mount waits for a route, or for an answer that is already overdue.
  if (isCarriedPort(mount)) {
    const state = carriedNow(tools, subject, mount);
    const isOverdue = isMovable(tools, mount) && state !== null && state.unansweredSinceMs !== null;
    if (state === null || state.phase !== "carrying" || isOverdue) return null;
  }
  const last = prober.lastLook(mount.id);
  const proved = last.state === "answered" && last.errno === null;
  const nowMs = clock.monotonicMs();
  if (proved && nowMs - last.finishedAtMs < subject.driver.cacheMs) return null;
  const waitedMs = last.state === "pending" ? nowMs - last.startedAtMs : 0;
  return prober.look(mount.id, mount.path, Math.max(0, SILENT_LOOK_MS - waitedMs));
}

/**
 * A look over a host that is certainly gone may take seconds and changes nothing. At the first silence it goes on while
 * the host is asked again.
 */
async function chooseLook(
  { prober, rememberedPort }: LookTools,
  mount: FoundMount,
  underWay: Promise<Look> | null,
  routes: ShareSeen["routes"],
  isAskedAgain: boolean,
): Promise<Look> {
  const verdict = mount.route === null ? null : routes[mount.route].probe.verdict;
  const goesOn =
    verdict === "gone" || (verdict === "silent" && (isMovable({ rememberedPort }, mount) || !isAskedAgain));
  return underWay === null || goesOn ? prober.lastLook(mount.id) : await underWay;
}

async function hardwareOf({ place }: LookTools, routes: ShareSeen["routes"]): Promise<readonly string[]> {
  const there = ROUTE_NAMES.flatMap((route) => {
    const { verdict, address, interfaceName } = routes[route].probe;
    return verdict === "answers" && interfaceName !== null ? (address ?? []) : [];
  });
  const macs = there.map(async (address) => [(await place?.macOf(address)) ?? null, address] as const);
  return (await Promise.all(macs)).flatMap(([mac, address]) => (mac === null ? [] : `${mac}@${address}`));
}

async function awayFrom(
  { place, carriage }: LookTools,
  { spec, policy }: Subject,
  asOfMs: number,
): Promise<string | null> {
  const hosts = ROUTE_NAMES.flatMap((route) => spec.routes[route].host ?? []);
  const inUse = carriage?.of(spec.name)?.endpoint.address ?? "";
  return (await place?.awayFrom(policy.onlyOn ?? [], [...hosts, inUse], asOfMs)) ?? null;
}

function probeRoute(
  { hostProber, prober, carriage }: LookTools,
  { spec, policy }: Subject,
  route: RouteName,
  asOfMs: number,
  hurried: Hurried,
  away: string | null,
): Promise<RouteSeen> {
  const { host, port, interfaceName, folder } = spec.routes[route];
  if (host === null && folder === null) return Promise.resolve({ atMs: asOfMs, probe: NO_ROUTE });
  if (host !== null && away !== null) {
    const inUse = carriage?.of(spec.name) ?? null;
    const address = inUse?.route === route ? inUse.endpoint.address : null;
    return Promise.resolve({
      atMs: asOfMs,
      probe: { ...NO_ROUTE, reason: "link_down", address, text: away },
    });
  }
  if (host !== null) {
    const request = {
      notBeforeMs: asOfMs,
      timeoutMs: Math.min(policy.connectTimeoutMs, hurried[route] ?? policy.connectTimeoutMs),
    };
    return hostProber
      .probe({ host, port, interfaceName }, request)
      .then((probe) => ({ atMs: asOfMs, probe }));
  }
  return prober
    .folderExists(folder ?? "", LOCAL_LOOK_MS)
    .then((exists) => ({ atMs: asOfMs, probe: folderProbe(folder ?? "", exists) }));
}

/** While the mount leads elsewhere than its route is configured now, the answers of that address count. */
async function probeInUse(
  { hostProber }: LookTools,
  { spec, policy }: Subject,
  configured: ShareSeen["routes"],
  through: CarriedState | null,
  asOfMs: number,
): Promise<ShareSeen["routes"]> {
  if (through === null || !isRerouted(spec, configured[through.route], through)) return configured;
  const { address: host, port } = through.endpoint;
  const probe = await hostProber.probe(
    { host, port, interfaceName: null },
    { notBeforeMs: asOfMs, timeoutMs: policy.connectTimeoutMs },
  );
  return { ...configured, [through.route]: { atMs: asOfMs, probe } };
}

/** Of a route that the configuration does not have. */
const NO_ROUTE: RouteProbe = {
  verdict: "gone",
  tcpAnswered: false,
  address: null,
  interfaceName: null,
  text: "it is configured no more",
};

function folderProbe(folder: string, exists: boolean | null): RouteProbe {
  const nowhere = { address: null, interfaceName: null };
  if (exists === null) {
    return { ...nowhere, verdict: "silent", tcpAnswered: false, text: `no answer about ${folder}` };
  }
  return exists
    ? { ...nowhere, verdict: "answers", tcpAnswered: true, text: `${folder} is there` }
    : { ...nowhere, verdict: "gone", tcpAnswered: false, text: `${folder} is not there` };
}

function oneAddress({ routes: specs }: ShareSpec, { tb, fallback }: ShareSeen["routes"]): string | null {
  const { address } = tb.probe;
  if (address === null || address !== fallback.probe.address || specs.tb.port !== specs.fallback.port)
    return null;
  return `${address}:${specs.tb.port}`;
}
