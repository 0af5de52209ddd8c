// Asks many hosts whether they answer SMB: over the right interface, with one probe for equal questions, and a limited
// number at a time.

import { type Clock, resultWithin } from "../../runtime/time/clock.ts";
import { createInterfaceReader, findWayOut, type InterfaceSnapshot, type WayOut } from "../interfaces.ts";
import { type IpAddress, parseIp } from "../ip-address.ts";
import { type EndpointFinding, type ProbeEndpoint, type RunningProbe, startHostProbe } from "./host-probe.ts";
import { createNameResolution, type NameResolutionOptions } from "./name-resolution.ts";
import type {
  HostProber,
  ProbeReason,
  ProbeRequest,
  ProbeResult,
  ProbeTarget,
  ProbeVerdict,
} from "./probe-result.ts";
import { createSemaphore, createSingleFlight } from "./single-flight.ts";

export interface HostProberOptions extends NameResolutionOptions {
  /** Sockets at once. Default 256: 640 dead hosts at 800 ms fit in a cycle of 2 s. */
  maxAtOnce?: number;
}

interface NetworkWatch {
  /**
   * `isWatched`: whether `networkChanged` is called at once for every change of the network. If not, readings are not
   * trusted to stay valid.
   */
  watchedBy(isWatched: () => boolean): void;
}

interface AddressBook {
  /**
   * The known addresses of a host, canonical, without asking anyone; of a literal address itself; [] if none is known.
   */
  addressesOf(host: string): readonly string[];
}

/** Disposing ends every probe under way. Those, and all later ones, resolve as silent. */
export type AddressedHostProber = HostProber & AddressBook & NetworkWatch & Disposable;

const DEFAULT_MAX_AT_ONCE = 256;
/** The other addresses of a name join in when the first has not answered after this share of the timeout. */
const HEAD_START_SHARE = 0.25;

export function createHostProber(options: HostProberOptions): AddressedHostProber {
  const { clock, logger, resolve, maxAtOnce = DEFAULT_MAX_AT_ONCE } = options;
  const interfaces = createInterfaceReader(clock);
  const resolution = createNameResolution({ clock, resolve, logger });
  const asks = createSingleFlight<ProbeResult>(clock);
  const endpoints = createEndpointProbes(clock, maxAtOnce);
  const plan = createAddressPlans();
  /** One function for each probe under way: it checks whether the probe's route still exists. */
  const underWay = new Set<() => void>();
  /** The address of a name that answered last is asked first. */
  const lastAnswered = new Map<string, string>();

  const askAddresses = async (
    target: ProbeTarget,
    addresses: readonly string[],
    { notBeforeMs, timeoutMs }: ProbeRequest,
    goesOut: () => void,
  ): Promise<ProbeResult> => {
    const startedAtMs = clock.monotonicMs();
    const snapshot = interfaces.snapshot(notBeforeMs);
    const plans = preferred(addresses, lastAnswered.get(target.host)).map((address) =>
      plan(address, target, snapshot),
    );
    goesOut();
    const asked = await askInTurn(
      clock,
      plans.filter((one) => "endpoint" in one),
      timeoutMs,
      async ({ address, interfaceName, endpoint }, withinMs): Promise<Outcome> => {
        const asked = endpoints.ask(endpoint, notBeforeMs, withinMs).then((finding) => ({
          ...{ address, interfaceName, finding },
          localAddress: endpoint.localAddress,
        }));
        // No answer can come over a link that went down meanwhile, so nobody has to wait for one.
        return unlessCutOff(underWay, asked, () => {
          const now = plan(address, target, interfaces.snapshot(clock.monotonicMs()));
          return "finding" in now ? now : null;
        });
      },
    );
    const outcomes = [...plans.filter((one) => "finding" in one), ...asked];
    const best = outcomes.toSorted((left, right) => weight(right.finding) - weight(left.finding))[0];
    const tookMs = clock.monotonicMs() - startedAtMs;
    if (best === undefined) return unresolved(target, tookMs);
    const { finding, ...where } = best;
    if (finding.verdict === "answers" && addresses.length > 1) lastAnswered.set(target.host, best.address);
    return { ...finding, ...where, text: textOf(target, best), tookMs };
  };

  return {
    probe(target, request) {
      const key = `${target.host}|${target.port}|${target.interfaceName ?? ""}|${request.timeoutMs}`;
      return asks.ask(key, request.notBeforeMs, (goesOut) => {
        const addresses = resolution.addresses(target.host, request.timeoutMs);
        if (addresses instanceof Promise) {
          // A caller that joined meanwhile wants nothing older than now.
          return addresses.then((found) => {
            const now = { ...request, notBeforeMs: clock.monotonicMs() };
            return askAddresses(target, found, now, goesOut);
          });
        }
        return askAddresses(target, addresses, request, goesOut);
      });
    },
    networkChanged() {
      interfaces.networkChanged();
      resolution.networkChanged();
      for (const lookAgain of [...underWay]) lookAgain();
    },
    watchedBy: interfaces.watchedBy,
    addressesOf: (host) => resolution.known(host),
    [Symbol.dispose]: endpoints[Symbol.dispose],
  };
}

/** Waits for the probe, unless a check of `cutOff` gives a result sooner. */
async function unlessCutOff(
  looks: Set<() => void>,
  asked: Promise<Outcome>,
  cutOff: () => Outcome | null,
): Promise<Outcome> {
  const cut = Promise.withResolvers<Outcome>();
  const lookAgain = (): void => {
    const found = cutOff();
    if (found !== null) cut.resolve(found);
  };
  looks.add(lookAgain);
  try {
    return await Promise.race([asked, cut.promise]);
  } finally {
    looks.delete(lookAgain);
  }
}

/** Probes of endpoints: equal ones are sent once, and a limited number at a time. */
function createEndpointProbes(clock: Clock, maxAtOnce: number) {
  const asks = createSingleFlight<EndpointFinding>(clock);
  const semaphore = createSemaphore(maxAtOnce);
  const running = new Set<RunningProbe>();
  let disposed = false;
  return {
    ask(endpoint: ProbeEndpoint, notBeforeMs: number, timeoutMs: number): Promise<EndpointFinding> {
      const key = `${endpoint.address}|${endpoint.port}|${endpoint.localAddress ?? ""}|${timeoutMs}`;
      return asks.ask(key, notBeforeMs, (goesOut) =>
        semaphore.use(async () => {
          goesOut();
          if (disposed) return DISPOSED;
          const probe = startHostProbe(clock, endpoint, timeoutMs);
          running.add(probe);
          try {
            return await probe.finding;
          } finally {
            running.delete(probe);
          }
        }),
      );
    },
    [Symbol.dispose](): void {
      disposed = true;
      for (const probe of [...running]) probe[Symbol.dispose]();
    },
  };
}

/** Decides what is asked of one address: a packet, or a result without one. */
function createAddressPlans() {
  const parsed = new Map<string, IpAddress | null>();
  /** Targets whose address an interface's subnet held when last looked at, with that interface. */
  const lastOnLink = new Map<string, string | null>();

  const parse = (address: string): IpAddress | null => {
    let known = parsed.get(address);
    if (known === undefined) {
      known = parseIp(address);
      parsed.set(address, known);
    }
    return known;
  };

  return (address: string, target: ProbeTarget, snapshot: InterfaceSnapshot): AddressPlan => {
    const ip = parse(address);
    if (ip === null) return unasked(address, null, UNRESOLVED);
    const way = findWayOut(snapshot, ip, target.interfaceName);
    if (way.kind === "absent") return unasked(address, way.interfaceName, absent(way.interfaceName));
    const memoryKey = `${address}|${target.interfaceName ?? ""}`;
    if (way.kind === "on_link") {
      lastOnLink.set(memoryKey, way.interfaceName);
    } else if (lastOnLink.has(memoryKey)) {
      const interfaceName = lastOnLink.get(memoryKey) ?? null;
      return unasked(address, interfaceName, leftBehind(interfaceName));
    }
    const localAddress = way.kind === "routed" ? null : way.localAddress;
    if (way.kind === "configured" && localAddress === null) {
      return unasked(address, way.interfaceName, noAddressOn(way.interfaceName));
    }
    return {
      address,
      interfaceName: interfaceOf(way),
      endpoint: { address: way.address, port: target.port, localAddress },
    };
  };
}

/** Asks the first address alone for a while, then all others beside it, until one answers. */
async function askInTurn(
  clock: Clock,
  [first, ...rest]: readonly EndpointPlan[],
  timeoutMs: number,
  ask: (plan: EndpointPlan, withinMs: number) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  if (first === undefined) return [];
  if (rest.length === 0) return [await ask(first, timeoutMs)];
  const headStartMs = Math.ceil(timeoutMs * HEAD_START_SHARE);
  const firstAnswer = ask(first, timeoutMs);
  const early = await resultWithin(clock, headStartMs, firstAnswer);
  if (early?.finding.verdict === "answers") return [early];
  const restAnswers = rest.map((plan) => ask(plan, timeoutMs - headStartMs));
  return untilOneAnswers([firstAnswer, ...restAnswers]);
}

interface Outcome {
  readonly address: string;
  readonly interfaceName: string | null;
  /** Where the probe left from; null when the system chose, or nothing was sent. */
  readonly localAddress: string | null;
  readonly finding: EndpointFinding;
}

interface EndpointPlan {
  readonly address: string;
  readonly interfaceName: string | null;
  readonly endpoint: ProbeEndpoint;
}

type AddressPlan = Outcome | EndpointPlan;

function unasked(address: string, interfaceName: string | null, finding: EndpointFinding): Outcome {
  return { address, interfaceName, localAddress: null, finding };
}

/** A finding for which no packet was sent. */
function without(verdict: ProbeVerdict, reason: ProbeReason, detail: string): EndpointFinding {
  return { verdict, reason, tcpAnswered: false, detail, serverGuid: null };
}

const UNRESOLVED = without("silent", "unresolved", "no address is known");
const DISPOSED = without("silent", "local_error", "probing has ended");

function absent(interfaceName: string): EndpointFinding {
  return without("gone", "link_down", `${interfaceName} is down or not there`);
}

function leftBehind(interfaceName: string | null): EndpointFinding {
  const name = interfaceName ?? "the interface";
  return without("gone", "link_down", `${name} is down (cable unplugged?)`);
}

function noAddressOn(interfaceName: string): EndpointFinding {
  return without("gone", "no_route", `${interfaceName} has no address to reach it from`);
}

function interfaceOf(way: WayOut): string | null {
  return way.kind === "routed" ? null : way.interfaceName;
}

/** One answer decides for the name; one silence leaves it open; it is gone only if every address is. */
function weight(finding: EndpointFinding): number {
  if (finding.verdict === "answers") return 3;
  if (finding.verdict === "gone") return 0;
  return finding.tcpAnswered ? 2 : 1;
}

function preferred(addresses: readonly string[], first: string | undefined): readonly string[] {
  if (first === undefined || addresses[0] === first || !addresses.includes(first)) return addresses;
  return [first, ...addresses.filter((address) => address !== first)];
}

function unresolved(target: ProbeTarget, tookMs: number): ProbeResult {
  return {
    verdict: "silent",
    reason: "unresolved",
    tcpAnswered: false,
    address: null,
    interfaceName: target.interfaceName,
    localAddress: null,
    serverGuid: null,
    text: `${target.host} has no address`,
    tookMs,
  };
}

/** `10.0.0.2:445: connection refused`, with the name in front when it is one. */
function textOf(target: ProbeTarget, outcome: Outcome): string {
  const { address, finding, interfaceName } = outcome;
  const shown = `${address.includes(":") ? `[${address}]` : address}:${target.port}`;
  const where = address === target.host ? shown : `${target.host} (${shown})`;
  const over = finding.verdict === "answers" && interfaceName !== null ? ` over ${interfaceName}` : "";
  return `${where}: ${finding.detail}${over}`;
}

/** All outcomes, or those there are as soon as one of them answers. */
function untilOneAnswers(pending: readonly Promise<Outcome>[]): Promise<readonly Outcome[]> {
  return new Promise((resolve) => {
    const there: Outcome[] = [];
    for (const one of pending) {
      void one.then((outcome) => {
        there.push(outcome);
        if (outcome.finding.verdict === "answers" || there.length === pending.length) resolve(there);
      });
    }
  });
}
