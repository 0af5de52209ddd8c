// One observation of a share: both hosts, the mount table, the mount and the stable link, all at once. Each part has
// its own deadline. If the host is certainly gone, it does not wait for the mount.
import { PROVED_NETWORKS } from "../../config/values/names.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { FoundMount, MissingRequirement } from "../drivers/mount-driver.ts";
import type { RelayedState } from "../drivers/relay-contract.ts";
import { SILENT_CHECK_MS } from "../policy/mount-errno.ts";
import type { ReconcileState } from "../policy/reconcile-state.ts";
import type {
  OpenFilesObservation,
  RelayEligibility,
  RouteObservation,
  RouteProbe,
  ShareObservation,
  StepObservation,
} from "../policy/share-observation.ts";
import type { MountCheck } from "../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import {
  isMovable,
  isRelayPort,
  isRerouted,
  observeEligibility,
  relayedIfProved,
  withPortOfRelay,
  withRelay,
} from "./observe-relayed.ts";
import type {
  ConfiguredShare,
  CycleObserveServices,
  ObserveServices,
  ProbeTimeouts,
} from "./share-subject.ts";

/** Deadline of the search for open files, ms; a later answer is treated as "files may be open". */
const OPEN_FILES_MS = 2000;
/** How long to wait for the driver's report whether it could remount the share, ms. */
const ABLE_MS = 1000;
/**
 * Interval at which the driver of a relayed mount is asked whether it could remount, ms. It is long because the mount
 * changes routes without a new mount.
 */
const ABLE_AGAIN_MS = 10_000;

/**
 * Observes a share. Uses no reading from before `asOfMs` (monotonic); calls with the same `asOfMs` use one reading of
 * hosts and mounts.
 */
export async function observe(
  tools: CycleObserveServices,
  subject: ConfiguredShare,
  asOfMs: number,
  state: ReconcileState,
  openFiles: OpenFilesObservation | null,
): Promise<ShareObservation> {
  const { clock, probeTimeouts = {} } = tools;
  const { spec, driver } = subject;
  await tools.relay?.ready();
  const offNetwork = await offNetworkReason(tools, subject, asOfMs);
  const [tb, fallback, { ours, checkInProgress, duplicates, occupant, link }] = await Promise.all([
    probeRoute(tools, subject, "tb", asOfMs, probeTimeouts, offNetwork),
    probeRoute(tools, subject, "fallback", asOfMs, probeTimeouts, offNetwork),
    findMounts(tools, subject, asOfMs),
  ]);
  const configured = { tb, fallback };
  const hardware = await hardwareOf(tools, configured);
  const through = ours?.former === true ? null : relayedNow(tools, subject, ours);
  const routes =
    offNetwork === null ? await probeInUse(tools, subject, configured, through, asOfMs) : configured;
  const relayedRoute = through?.route ?? null;
  // Whether a silent host counts as gone depends on the relay's newest answer from the host, so the relay's
  // counters are read now.
  if (relayedRoute !== null && routes[relayedRoute].probe.verdict === "silent") await tools.relay?.recount();
  const found =
    ours === null
      ? null
      : withRelay(tools, subject, configured, {
          found: ours,
          check: await chooseCheck(
            tools,
            ours,
            checkInProgress,
            routes,
            Object.keys(probeTimeouts).length > 0,
          ),
        });
  const relayEligibility = observeEligibility(tools, subject, { routes, configured, offNetwork }, found);
  const mount = relayedIfProved(found, relayEligibility, configured);
  const networks = await provedNetworks(tools, subject, configured, relayEligibility);
  const serves = ours !== null && ours.route !== null;
  const ableSinceMs = (mount?.relayed ?? null) === null ? undefined : clock.monotonicMs() - ABLE_AGAIN_MS;
  const [driverProblem, unsentForOthers, setAside, refusedUploads, unsent, linkBlocked] = await Promise.all([
    serves ? findDriverProblem(tools, subject, ableSinceMs) : driver.missingRequirement(spec),
    driver.unsentForOthers?.(spec) ?? [],
    driver.setAside?.(spec) ?? [],
    driver.refusedUploads?.(spec) ?? [],
    state.unsentWatched ? driver.unsent(spec) : null,
    link,
  ]);
  return {
    atMs: clock.monotonicMs(),
    wallMs: clock.wallMs(),
    routes,
    configured,
    offNetwork,
    hardware,
    networks,
    mount,
    duplicates,
    occupant,
    driverProblem,
    sharedAddress: oneAddress(spec, routes),
    openFiles,
    relayEligibility,
    unsent,
    setAside,
    unsentForOthers,
    refusedUploads,
    linkBlocked,
    login: tools.login?.() ?? null,
    lastStep: null,
  };
}

/** The observation after a step: the mount table is read again, but no host is probed. */
export async function observeAfterStep(
  tools: ObserveServices,
  subject: ConfiguredShare,
  before: ShareObservation,
  lastStep: StepObservation,
): Promise<ShareObservation> {
  const { clock, prober } = tools;
  const { spec, driver } = subject;
  const { configured } = before;
  const { ours, duplicates, occupant } = choose(tools, subject, await driver.find(spec, clock.monotonicMs()));
  // Without a mount, the configured routes apply, and the files that wait for a server are listed again.
  const now =
    ours === null
      ? { mount: null, unsentForOthers: (await driver.unsentForOthers?.(spec)) ?? [], routes: configured }
      : { mount: withRelay(tools, subject, configured, { found: ours, check: prober.lastCheck(ours.id) }) };
  const [atMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
  return { ...before, ...now, atMs, wallMs, duplicates, occupant, login: tools.login?.() ?? null, lastStep };
}

/** Returns why the driver could not mount the share; null if it could, or did not answer in time. */
export async function findDriverProblem(
  { clock }: Pick<ObserveServices, "clock">,
  { spec, driver }: ConfiguredShare,
  notBeforeMs?: number,
): Promise<MissingRequirement | null> {
  const missing = driver.missingRequirement(spec, notBeforeMs);
  return (await settlesWithin(clock, ABLE_MS, missing)) ? missing : null;
}

/** Looks up open and unsent files of a mount. A check that fails or is late gives the state `unknown`. */
export async function observeOpenFiles(
  { clock, prober, programs }: ObserveServices,
  { spec, driver }: ConfiguredShare,
  mount: FoundMount,
): Promise<OpenFilesObservation> {
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

function relayedNow({ relay }: ObserveServices, { spec }: ConfiguredShare, mount: FoundMount | null) {
  return mount !== null && isRelayPort(mount) ? (relay?.of(spec.name) ?? null) : null;
}

/** Finds the share's mounts, and begins checks of the mount and the link in one message to the prober. */
async function findMounts(tools: CycleObserveServices, subject: ConfiguredShare, asOfMs: number) {
  const chosen = choose(tools, subject, await subject.driver.find(subject.spec, asOfMs));
  const { ours } = chosen;
  // If an answer is overdue, updates the relay's counters first. Usually the answer has arrived by now, and the mount
  // can be checked.
  if ((relayedNow(tools, subject, ours)?.unansweredSinceMs ?? null) !== null) await tools.relay?.recount();
  return {
    ...chosen,
    checkInProgress: ours === null ? null : startCheck(tools, subject, ours),
    link: tools.ensureLink(subject.spec, ours?.path ?? subject.spec.mountPath),
  };
}

/**
 * Chooses the mount that the rules manage: if a share is mounted twice, the mount at our path, or else one
 * that is alive.
 */
function choose(tools: ObserveServices, { spec }: ConfiguredShare, listed: readonly FoundMount[]) {
  const { prober } = tools;
  const found = listed.map((mount) => withPortOfRelay(tools, spec, mount));
  const atOurPath = found.find(({ path }) => path === spec.mountPath) ?? null;
  const same = found.filter((mount) => mount.sameShare || (mount === atOurPath && mount.madeByDriver));
  const isLive = ({ id }: FoundMount): boolean => {
    const check = prober.lastCheck(id);
    return check.state === "answered" && check.errno === null;
  };
  const ours = same.find((mount) => mount === atOurPath) ?? same.find(isLive) ?? same[0] ?? null;
  return {
    ours,
    duplicates: same.filter((mount) => mount !== ours),
    occupant: atOurPath === null || same.includes(atOurPath) ? null : atOurPath,
  };
}

function startCheck(
  tools: ObserveServices,
  subject: ConfiguredShare,
  mount: FoundMount,
): Promise<MountCheck> | null {
  const { clock, prober } = tools;
  // A check proves nothing while a relayed mount waits for a route, or for an overdue answer.
  if (isRelayPort(mount)) {
    const state = relayedNow(tools, subject, mount);
    const isOverdue = isMovable(tools, mount) && state !== null && state.unansweredSinceMs !== null;
    if (state === null || state.phase !== "carrying" || isOverdue) return null;
  }
  const last = prober.lastCheck(mount.id);
  const proved = last.state === "answered" && last.errno === null;
  const nowMs = clock.monotonicMs();
  if (proved && nowMs - last.finishedAtMs < subject.driver.cacheMs) return null;
  const waitedMs = last.state === "pending" ? nowMs - last.startedAtMs : 0;
  return prober.checkMount(mount.id, mount.path, Math.max(0, SILENT_CHECK_MS - waitedMs));
}

/**
 * Waits for the mount check, unless the host is certainly gone: the check may then take seconds, and changes nothing.
 * After a host's first silent probe, the check continues in the background while the host is probed again.
 */
async function chooseCheck(
  { prober, rememberedPort }: ObserveServices,
  mount: FoundMount,
  inProgress: Promise<MountCheck> | null,
  routes: ShareObservation["routes"],
  isRepeated: boolean,
): Promise<MountCheck> {
  const verdict = mount.route === null ? null : routes[mount.route].probe.verdict;
  const mayGoOn =
    verdict === "gone" || (verdict === "silent" && (isMovable({ rememberedPort }, mount) || !isRepeated));
  return inProgress === null || mayGoOn ? prober.lastCheck(mount.id) : await inProgress;
}

/** The hardware addresses of hosts that answer on a link of this machine. */
async function hardwareOf(
  { location }: ObserveServices,
  routes: ShareObservation["routes"],
): Promise<readonly string[]> {
  const addresses = ROUTE_NAMES.flatMap((route) => {
    const { verdict, address, interfaceName } = routes[route].probe;
    return verdict === "answers" && interfaceName !== null ? (address ?? []) : [];
  });
  const macs = addresses.map(async (address) => [(await location?.macOf(address)) ?? null, address] as const);
  return (await Promise.all(macs)).flatMap(([mac, address]) => (mac === null ? [] : `${mac}@${address}`));
}

/** The networks of the routes that are proved, `MARK@HOST`, if `only_on` asks for them. */
async function provedNetworks(
  { location, networks }: ObserveServices,
  { spec, policy }: ConfiguredShare,
  routes: ShareObservation["routes"],
  eligibility: RelayEligibility | null,
): Promise<readonly string[]> {
  if (policy.onlyOn?.includes(PROVED_NETWORKS) !== true) return [];
  const found = ROUTE_NAMES.map(async (route) => {
    const { verdict, address } = routes[route].probe;
    const isProved = verdict === "answers" && eligibility?.identity.proved[route] === true;
    const mark = isProved && address !== null ? await location?.networkOf(address, networks?.() ?? []) : null;
    return mark == null ? [] : `${mark}@${spec.routes[route].host}`;
  });
  return (await Promise.all(found)).flat();
}

/** Returns why the hosts may not be asked from this network; null if they may be asked. */
async function offNetworkReason(
  { location, relay, networks }: ObserveServices,
  { spec }: ConfiguredShare,
  asOfMs: number,
): Promise<string | null> {
  const hosts = ROUTE_NAMES.flatMap((route) => spec.routes[route].host ?? []);
  const inUse = relay?.of(spec.name)?.endpoint.address ?? "";
  return (await location?.offNetworkReason(networks?.() ?? [], [...hosts, inUse], asOfMs)) ?? null;
}

async function probeRoute(
  { hostProber, relay }: ObserveServices,
  { spec, policy, driver }: ConfiguredShare,
  route: RouteName,
  asOfMs: number,
  probeTimeouts: ProbeTimeouts,
  offNetwork: string | null,
): Promise<RouteObservation> {
  const { host, port, interfaceName, folder } = spec.routes[route];
  const observed = (probe: RouteProbe): RouteObservation => ({ atMs: asOfMs, probe });
  if (folder !== null) {
    const probe = await driver.probeFolder?.(spec, folder);
    if (probe !== undefined && (host === null || probe.verdict === "gone"))
      return observed({ ...NO_ROUTE, ...probe, tcpAnswered: probe.verdict === "answers" });
  }
  if (host === null) return observed(NO_ROUTE);
  if (offNetwork !== null) {
    const inUse = relay?.of(spec.name) ?? null;
    const address = inUse?.route === route ? inUse.endpoint.address : null;
    return observed({ ...NO_ROUTE, reason: "link_down", address, text: offNetwork });
  }
  const timeoutMs = Math.min(policy.connectTimeoutMs, probeTimeouts[route] ?? policy.connectTimeoutMs);
  return observed(await hostProber.probe({ host, port, interfaceName }, { notBeforeMs: asOfMs, timeoutMs }));
}

/** Returns the routes as the mount uses them. If the address in use is no longer configured, it is probed as well. */
async function probeInUse(
  { hostProber }: ObserveServices,
  { spec, policy }: ConfiguredShare,
  configured: ShareObservation["routes"],
  through: RelayedState | null,
  asOfMs: number,
): Promise<ShareObservation["routes"]> {
  if (through === null || !isRerouted(spec, configured[through.route], through)) return configured;
  const { address: host, port } = through.endpoint;
  const probe = await hostProber.probe(
    { host, port, interfaceName: null },
    { notBeforeMs: asOfMs, timeoutMs: policy.connectTimeoutMs },
  );
  return { ...configured, [through.route]: { atMs: asOfMs, probe } };
}

const NO_ROUTE: RouteProbe = {
  verdict: "gone",
  tcpAnswered: false,
  address: null,
  interfaceName: null,
  text: "it is no longer configured",
};

/** The address and port that both routes lead to; null: they differ, or are not known. */
function oneAddress(
  { routes: specs }: ShareSpec,
  { tb, fallback }: ShareObservation["routes"],
): string | null {
  const { address } = tb.probe;
  if (address === null || address !== fallback.probe.address || specs.tb.port !== specs.fallback.port)
    return null;
  return `${address}:${specs.tb.port}`;
}
