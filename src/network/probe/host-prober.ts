// Probes many hosts for SMB: over the right interface, with one probe for equal requests, and a limited number at a time.
import { type Clock, resultWithin } from "../../runtime/time/clock.ts";
import { createInterfaceReader, findOutgoingInterface, type InterfaceSnapshot } from "../interfaces.ts";
import { parseIp } from "../ip-address.ts";
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
  /** Limit of concurrent sockets. Default 256: 640 dead hosts at 800 ms fit in a cycle of 2 s. */
  maxAtOnce?: number;
}

/** Disposing ends every probe under way. Ended and later probes resolve as silent. */
export interface AddressedHostProber extends HostProber, Disposable {
  /**
   * The known canonical addresses of a host, without a query; for a literal address, the address itself. []
   * if none is known.
   */
  addressesOf(host: string): readonly string[];
}

const DEFAULT_MAX_AT_ONCE = 256;
/** The other addresses of a name are also probed when the first has not answered after this share of the timeout. */
const HEAD_START_SHARE = 0.25;

export function createHostProber(options: HostProberOptions): AddressedHostProber {
  const { clock, logger, resolve, maxAtOnce = DEFAULT_MAX_AT_ONCE } = options;
  const interfaces = createInterfaceReader(clock);
  const resolution = createNameResolution({ clock, resolve, logger });
  const flights = createSingleFlight<ProbeResult>(clock);
  const endpoints = createEndpointProbes(clock, maxAtOnce);
  const plan = createAddressPlans();
  /** For each probe under way, a function that checks whether its route still exists. */
  const inProgress = new Set<() => void>();
  /** For each name, the address that answered last, which is probed first. */
  const lastAnswered = new Map<string, string>();

  const probeAddresses = async (
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
    const probed = await probeInTurn(
      clock,
      plans.filter((one) => "endpoint" in one),
      timeoutMs,
      async ({ address, interfaceName, endpoint }, withinMs): Promise<Outcome> => {
        const outcome = endpoints
          .probe(endpoint, notBeforeMs, withinMs)
          .then((finding) => ({ address, interfaceName, finding }));
        // Ends the probe at once when its link has gone down, because no answer can come over that link.
        return unlessCutOff(inProgress, outcome, () => {
          const now = plan(address, target, interfaces.snapshot(clock.monotonicMs()));
          return "finding" in now ? now : null;
        });
      },
    );
    const outcomes = [...plans.filter((one) => "finding" in one), ...probed];
    const best = outcomes.toSorted((left, right) => weight(right.finding) - weight(left.finding))[0];
    const tookMs = clock.monotonicMs() - startedAtMs;
    if (best === undefined) return unresolved(target, tookMs);
    const { finding, ...where } = best;
    if (finding.verdict === "answers") lastAnswered.set(target.host, best.address);
    return { ...finding, ...where, text: textOf(target, best), tookMs };
  };

  return {
    probe(target, request) {
      const key = `${target.host}|${target.port}|${target.interfaceName ?? ""}|${request.timeoutMs}`;
      return flights.run(key, request.notBeforeMs, (goesOut) => {
        const addresses = resolution.addresses(target.host, request.timeoutMs);
        if (addresses instanceof Promise) {
          // Other callers may have joined while the name was resolved. They need a snapshot that was taken after
          // their calls.
          return addresses.then((found) => {
            const now = { ...request, notBeforeMs: clock.monotonicMs() };
            return probeAddresses(target, found, now, goesOut);
          });
        }
        return probeAddresses(target, addresses, request, goesOut);
      });
    },
    networkChanged() {
      interfaces.networkChanged();
      resolution.networkChanged();
      for (const check of [...inProgress]) check();
    },
    addressesOf: (host) => resolution.known(host),
    [Symbol.dispose]: endpoints[Symbol.dispose],
  };
}

/**
 * Waits for the probe, or until `cutOff` returns a result. During the wait `checks` contains a function that calls
 * `cutOff`.
 */
async function unlessCutOff(
  checks: Set<() => void>,
  outcome: Promise<Outcome>,
  cutOff: () => Outcome | null,
): Promise<Outcome> {
  const cut = Promise.withResolvers<Outcome>();
  const check = (): void => {
    const found = cutOff();
    if (found !== null) cut.resolve(found);
  };
  checks.add(check);
  try {
    return await Promise.race([outcome, cut.promise]);
  } finally {
    checks.delete(check);
  }
}

/** Sends the probes of endpoints: equal ones once, and a limited number at a time. */
function createEndpointProbes(clock: Clock, maxAtOnce: number) {
  const flights = createSingleFlight<EndpointFinding>(clock);
  const semaphore = createSemaphore(maxAtOnce);
  const running = new Set<RunningProbe>();
  let disposed = false;
  return {
    probe(endpoint: ProbeEndpoint, notBeforeMs: number, timeoutMs: number): Promise<EndpointFinding> {
      const key = `${endpoint.address}|${endpoint.port}|${endpoint.localAddress ?? ""}|${timeoutMs}`;
      return flights.run(key, notBeforeMs, (goesOut) =>
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

/**
 * Returns a function that plans the probe of one address: the endpoint to probe, or a result that needs no
 * packet.
 */
function createAddressPlans() {
  /**
   * For each address, the interface whose subnet last contained that address. If no subnet contains the address now,
   * the link of this interface is down.
   */
  const lastOnLink = new Map<string, string | null>();

  return (address: string, target: ProbeTarget, snapshot: InterfaceSnapshot): AddressPlan => {
    const ip = parseIp(address);
    if (ip === null) return { address, interfaceName: null, finding: UNRESOLVED };
    const outgoing = findOutgoingInterface(snapshot, ip, target.interfaceName);
    if (outgoing.kind === "absent")
      return unasked(address, outgoing.interfaceName, "link_down", "is down or not there");
    const memoryKey = `${address}|${target.interfaceName ?? ""}`;
    const lastInterface = lastOnLink.get(memoryKey);
    if (outgoing.kind === "on_link") lastOnLink.set(memoryKey, outgoing.interfaceName);
    else if (lastInterface !== undefined)
      return unasked(address, lastInterface, "link_down", "is down (cable unplugged?)");
    const { interfaceName, localAddress } =
      outgoing.kind === "routed" ? { interfaceName: null, localAddress: null } : outgoing;
    if (outgoing.kind === "configured" && localAddress === null)
      return unasked(address, interfaceName, "no_route", "has no address to reach it from");
    return {
      address,
      interfaceName,
      endpoint: { address: outgoing.address, port: target.port, localAddress },
    };
  };
}

/** Probes only the first address for a while, then also all others, until one answers. */
async function probeInTurn(
  clock: Clock,
  [first, ...rest]: readonly EndpointPlan[],
  timeoutMs: number,
  probe: (plan: EndpointPlan, withinMs: number) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  if (first === undefined) return [];
  if (rest.length === 0) return [await probe(first, timeoutMs)];
  const headStartMs = Math.ceil(timeoutMs * HEAD_START_SHARE);
  const firstAnswer = probe(first, timeoutMs);
  const early = await resultWithin(clock, headStartMs, firstAnswer);
  if (early?.finding.verdict === "answers") return [early];
  const restAnswers = rest.map((plan) => probe(plan, timeoutMs - headStartMs));
  return untilOneAnswers([firstAnswer, ...restAnswers]);
}

interface Outcome {
  readonly address: string;
  readonly interfaceName: string | null;
  readonly finding: EndpointFinding;
}

interface EndpointPlan {
  readonly address: string;
  readonly interfaceName: string | null;
  readonly endpoint: ProbeEndpoint;
}

type AddressPlan = Outcome | EndpointPlan;

/** `lacks`: what is wrong with the interface, as words that follow its name. */
function unasked(address: string, interfaceName: string | null, reason: ProbeReason, lacks: string): Outcome {
  const finding = withoutPacket("gone", reason, `${interfaceName ?? "the interface"} ${lacks}`);
  return { address, interfaceName, finding };
}

function withoutPacket(verdict: ProbeVerdict, reason: ProbeReason, detail: string): EndpointFinding {
  return { verdict, reason, tcpAnswered: false, detail, serverGuid: null };
}

const UNRESOLVED = withoutPacket("silent", "unresolved", "no address is known");
const DISPOSED = withoutPacket("silent", "local_error", "probing has ended");

/**
 * Orders the findings about a name's addresses; the one with the highest weight is the name's finding. So a name
 * answers if one address does, and is gone only if all are.
 */
function weight(finding: EndpointFinding): number {
  if (finding.verdict === "answers") return 3;
  if (finding.verdict === "gone") return 0;
  return finding.tcpAnswered ? 2 : 1;
}

function preferred(addresses: readonly string[], first: string | undefined): readonly string[] {
  if (first === undefined || !addresses.includes(first)) return addresses;
  return [first, ...addresses.filter((address) => address !== first)];
}

function unresolved({ host, interfaceName }: ProbeTarget, tookMs: number): ProbeResult {
  const text = `${host} has no address`;
  return { ...UNRESOLVED, address: null, interfaceName, text, detail: text, tookMs };
}

/**
 * The outcome for people, such as `10.0.0.2:445: connection refused`; if the host is a name, the name comes
 * first.
 */
function textOf(target: ProbeTarget, outcome: Outcome): string {
  const { address, finding, interfaceName } = outcome;
  const shown = `${address.includes(":") ? `[${address}]` : address}:${target.port}`;
  const where = address === target.host ? shown : `${target.host} (${shown})`;
  const over = finding.verdict === "answers" && interfaceName !== null ? ` over ${interfaceName}` : "";
  return `${where}: ${finding.detail}${over}`;
}

/**
 * Resolves with the outcomes of all addresses. As soon as one address answers, resolves with the outcomes known by
 * then.
 */
function untilOneAnswers(pending: readonly Promise<Outcome>[]): Promise<readonly Outcome[]> {
  return new Promise((resolve) => {
    const outcomes: Outcome[] = [];
    for (const one of pending) {
      void one.then((outcome) => {
        outcomes.push(outcome);
        if (outcome.finding.verdict === "answers" || outcomes.length === pending.length) resolve(outcomes);
      });
    }
  });
}
