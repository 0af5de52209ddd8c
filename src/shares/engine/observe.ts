// One observation of a share: both hosts, the mount table, the mount and the stable link, all at once. Each part has
// its own deadline. If the host is certainly gone, it does not wait for the mount.
import { PROVED_NETWORKS } from "../../config/values/names.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { FoundMount, MissingRequirement } from "../drivers/mount-driver.ts";
import { SILENT_CHECK_MS } from "../policy/mount-errno.ts";
import type {
  MountObservation,
  OpenFilesObservation,
  RouteObservation,
  RouteProbe,
  ServerCheckObservation,
  ShareObservation,
  StepObservation,
} from "../policy/share-observation.ts";
import type { MountCheck } from "../prober/prober.ts";
import { Contact } from "../program/sign-in.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import { mayMove, mountSettings, reportOf, withReport } from "./observe-moving.ts";
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
/** Interval at which the driver of a mount that moves is asked whether it could mount, ms: a move needs no new mount. */
const ABLE_AGAIN_MS = 10_000;

/**
 * Observes a share. Uses no reading from before `asOfMs` (monotonic); calls with the same `asOfMs` use one reading of
 * hosts and mounts.
 */
export async function observe(
  tools: CycleObserveServices,
  subject: ConfiguredShare,
  asOfMs: number,
  openFiles: OpenFilesObservation | null,
): Promise<ShareObservation> {
  const { clock, probeTimeouts = {} } = tools;
  const { spec, driver } = subject;
  const contact = await checkContact(tools, subject, asOfMs);
  const { offNetwork } = contact;
  const [tb, fallback, { ours, checkInProgress, duplicates, occupant, link }] = await Promise.all([
    probeRoute(tools, subject, "tb", asOfMs, probeTimeouts, offNetwork),
    probeRoute(tools, subject, "fallback", asOfMs, probeTimeouts, offNetwork),
    findMounts(tools, subject, asOfMs),
  ]);
  const routes = { tb, fallback };
  const isRepeated = Object.keys(probeTimeouts).length > 0;
  const mount =
    ours === null
      ? null
      : withReport(subject, {
          found: ours,
          check: await chooseCheck(tools, ours, checkInProgress, routes, isRepeated),
        });
  const moves = (mount?.moving ?? null) !== null;
  if (moves) driver.moving?.update(spec.name, mountSettings(subject, { routes }, contact));
  else if (mount !== null) driver.moving?.setPassword(spec.name, contact.signIn({}));
  const checked = offNetwork === null ? (tools.checkServer?.(subject, routes, contact) ?? null) : null;
  const [hardware, networks, driverProblem, setAside, linkBlocked] = await Promise.all([
    hardwareOf(tools, routes),
    provedNetworks(tools, subject, { routes, contact }, provedRoutes(mount, checked)),
    ours !== null && ours.route !== null
      ? findDriverProblem(tools, subject, moves ? clock.monotonicMs() - ABLE_AGAIN_MS : undefined)
      : driver.missingRequirement(spec),
    driver.setAside?.(spec) ?? [],
    link,
  ]);
  return {
    atMs: clock.monotonicMs(),
    wallMs: clock.wallMs(),
    routes,
    offNetwork,
    hardware,
    networks,
    mount,
    duplicates,
    occupant,
    driverProblem,
    sharedAddress: oneAddress(spec, routes),
    openFiles,
    // The program of a mount that moves recognizes the server itself.
    serverCheck: mayMove(subject) ? null : checked,
    setAside,
    linkBlocked,
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
  const { ours, duplicates, occupant } = choose(tools, subject, await driver.find(spec, clock.monotonicMs()));
  const mount = ours === null ? null : withReport(subject, { found: ours, check: prober.lastCheck(ours.id) });
  const [atMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
  return { ...before, atMs, wallMs, mount, duplicates, occupant, lastStep };
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

/** Looks up the open files of a mount. A check that fails or is late gives the state `unknown`. */
export async function observeOpenFiles(
  { clock, prober, programs }: ObserveServices,
  { spec, driver }: ConfiguredShare,
  mount: FoundMount,
): Promise<OpenFilesObservation> {
  const atMs = clock.monotonicMs();
  const own = await driver.ownProcesses(spec, mount);
  const answers = await prober.openFiles(
    [driver.openFilesPath(mount)],
    [process.pid, ...prober.pids, ...own],
    OPEN_FILES_MS,
    programs?.running(spec.name),
  );
  const answer = answers[0] ?? { ok: false, text: "the prober gave no answer" };
  if (!answer.ok) return { atMs, state: "unknown", holders: [], text: answer.text };
  return { atMs, state: answer.files.length > 0 ? "open" : "none", holders: answer.files, text: null };
}

/** Finds the share's mounts, and begins checks of the mount and the link in one message to the prober. */
async function findMounts(tools: CycleObserveServices, subject: ConfiguredShare, asOfMs: number) {
  const chosen = choose(tools, subject, await subject.driver.find(subject.spec, asOfMs));
  const { ours } = chosen;
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
function choose({ prober }: ObserveServices, { spec }: ConfiguredShare, found: readonly FoundMount[]) {
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
  { clock, prober }: ObserveServices,
  subject: ConfiguredShare,
  mount: FoundMount,
): Promise<MountCheck> | null {
  // While programs wait for a route, a check would wait with them.
  const report = reportOf(subject, mount);
  if (report !== null && report.phase.is !== "serving") return null;
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
  { prober }: ObserveServices,
  mount: FoundMount,
  inProgress: Promise<MountCheck> | null,
  routes: ShareObservation["routes"],
  isRepeated: boolean,
): Promise<MountCheck> {
  const verdict = mount.route === null ? null : routes[mount.route].probe.verdict;
  const mayGoOn = verdict === "gone" || (verdict === "silent" && (mount.moves === true || !isRepeated));
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
  { location }: ObserveServices,
  { spec, policy }: ConfiguredShare,
  { routes, contact }: Pick<ShareObservation, "routes"> & { readonly contact: Contact },
  proved: readonly RouteName[],
): Promise<readonly string[]> {
  if (policy.onlyOn?.includes(PROVED_NETWORKS) !== true) return [];
  const found = ROUTE_NAMES.map(async (route) => {
    const { verdict, address } = routes[route].probe;
    const isProved = verdict === "answers" && proved.includes(route);
    const mark = isProved && address !== null ? await location?.networkOf(address, contact.networks) : null;
    return mark == null ? [] : `${mark}@${spec.routes[route].host}`;
  });
  return (await Promise.all(found)).flat();
}

/** The routes that lead to the share's server: the program's connection stands over one, or the check found it there. */
function provedRoutes(
  mount: MountObservation | null,
  serverCheck: ServerCheckObservation | null,
): readonly RouteName[] {
  const { phase, route = null } = mount?.moving ?? {};
  return [...(serverCheck?.proved ?? []), ...(phase?.is === "serving" && route !== null ? [route] : [])];
}

/** Asks whether the share's hosts may be contacted from this network, as of `asOfMs` (monotonic). */
export function checkContact(
  { location, recalled }: ObserveServices,
  { spec, policy, driver }: ConfiguredShare,
  asOfMs: number,
): Promise<Contact> {
  const inUse = driver.moving?.of(spec.name)?.endpoint?.address;
  const memory = recalled?.() ?? {};
  return Contact.check(location, { spec, policy, memory, ...(inUse === undefined ? {} : { inUse }) }, asOfMs);
}

async function probeRoute(
  { hostProber }: ObserveServices,
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
  if (offNetwork !== null) return observed({ ...NO_ROUTE, reason: "link_down", text: offNetwork });
  const timeoutMs = Math.min(policy.connectTimeoutMs, probeTimeouts[route] ?? policy.connectTimeoutMs);
  return observed(await hostProber.probe({ host, port, interfaceName }, { notBeforeMs: asOfMs, timeoutMs }));
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
