// Steps that use the relay: mounting through it, and moving a mount. An attempt to mount ends early if the
// host goes away.

import { errorText } from "../../runtime/errors.ts";
import type { MountOutcome, StepLimits } from "../drivers/mount-driver.ts";
import { failed, failedBy } from "../drivers/mount-failure.ts";
import type { MoveOutcome } from "../drivers/relay-contract.ts";
import type { LoginResult, Logins } from "../logins/logins.ts";
import type { ShareObservation } from "../policy/share-observation.ts";
import type { Step } from "../policy/step.ts";
import type { ProofResult, ServerProofs } from "../server-proof/server-proofs.ts";
import { type RouteName, wantsUser } from "../share-spec.ts";
import { endpointsOf, GUARDED_PATIENCE_MS } from "./observe-relayed.ts";
import { proofEndpoint } from "./server-identities.ts";
import type { ConfiguredShare, ObserveServices } from "./share-subject.ts";

/** Interval of the host's probes during a mount, and limit of each probe, ms. */
const WATCH_EVERY_MS = 300;
const WATCH_PROBE_MS = 300;
/**
 * A host whose last answer took longer than this fraction of `WATCH_PROBE_MS` is far away; it is probed with
 * `connectTimeoutMs` instead.
 */
const FAR_FRACTION = 0.25;
const MOVE_DEADLINE_MS = 4_000;

export interface MountTools extends ObserveServices {
  /** Absent: no proofs are made. */
  readonly serverProof?: Pick<ServerProofs, "compare" | "recognise" | "begin">;
  /** Called when the server behind a route may no longer be the proved one. */
  readonly onUnproved?: (route: RouteName) => void;

  readonly logins: Logins;
}

type MountStep = Extract<Step, { kind: "mount" }>;

/** Moves the relayed mount; changes nothing if the new route does not answer. */
export async function moveRelayed(
  { relay, forceStop }: Pick<ObserveServices, "relay"> & { readonly forceStop: AbortSignal },
  { spec }: ConfiguredShare,
  observed: ShareObservation,
  { route, planned }: Extract<Step, { kind: "move" }>,
): Promise<MoveOutcome> {
  const endpoint = endpointsOf(spec, observed.configured)[route];
  if (relay === undefined || endpoint === undefined) return { ok: false, text: "address unknown" };
  const signal = AbortSignal.any([forceStop, AbortSignal.timeout(MOVE_DEADLINE_MS)]);
  const sentinel =
    route === observed.mount?.relayed?.route ? null : (observed.mount?.relayed?.witness ?? null);
  return relay.move(
    { share: spec.name, to: route, endpoint, planned, epoch: epochOf(observed), witness: sentinel },
    signal,
  );
}

/**
 * The share's epoch when it was observed: how often the relay had decided autonomously. The relay refuses requests with
 * an older epoch. null: unknown.
 */
export function epochOf({ mount }: ShareObservation): number | null {
  return (mount?.relayed ?? mount?.guarded)?.epoch ?? null;
}

/** Mounts, and gives up as soon as two probes of the host in a row have had no answer. */
export async function mountWatched(
  tools: MountTools,
  subject: ConfiguredShare,
  observed: ShareObservation,
  step: MountStep,
  limits: StepLimits,
): Promise<MountOutcome> {
  const done = new AbortController();
  const gone = new AbortController();
  const signal = AbortSignal.any([limits.signal, gone.signal]);
  // The watch rejects when the step has ended.
  void watchHost(tools, subject, observed, step, done.signal)
    .then((text) => text !== null && gone.abort(text))
    .catch(() => {});
  try {
    const mount = (): Promise<MountOutcome> =>
      mountNow(tools, subject, observed, step, { ...limits, signal });
    const { spec } = subject;
    // If the relay holds the mount's requests back until the server is proved, the proof calls `logins.attempt`
    // itself, because it uses the same login.
    const takesTurns = spec.driver !== "local" && !isGated(tools, subject, step);
    const otherwise = (text: string): MountOutcome => failed("wrong_credentials", text);
    const outcome = takesTurns
      ? await tools.logins.attempt(spec, mount, { judge: loginResult, otherwise, signal })
      : await mount();
    if (outcome.ok || !gone.signal.aborted) return outcome;
    return { ok: false, reason: "unreachable", text: String(gone.signal.reason) };
  } catch (error) {
    // The file about known servers cannot be written, for instance on a full disk.
    return failedBy(error, subject.spec.password);
  } finally {
    done.abort();
  }
}

/**
 * Whether the mount goes through the relay to a server with a known id. If so, the relay holds back the mount's
 * requests until a new proof shows the same id.
 */
function isGated(
  { relay, serverProof }: MountTools,
  { driver }: ConfiguredShare,
  { relayed, server = null }: MountStep,
): boolean {
  const isThrough = relay !== undefined && (relayed === true || driver.onlyThroughRelay === true);
  return isThrough && serverProof !== undefined && server !== null;
}

function loginResult(outcome: MountOutcome): LoginResult {
  if (outcome.ok) return outcome.adopted ? "unknown" : "accepted";
  return outcome.reason === "wrong_credentials" ? { refused: outcome.text } : "unknown";
}

/** Resolves with the reason to give up when the host has gone away; null: the route has no host. */
async function watchHost(
  { clock, hostProber }: ObserveServices,
  { spec, policy }: ConfiguredShare,
  { routes }: ShareObservation,
  { route }: MountStep,
  signal: AbortSignal,
): Promise<string | null> {
  const { host, port, interfaceName } = spec.routes[route];
  if (host === null) return null;
  const isFar = (routes[route].probe.tookMs ?? 0) > WATCH_PROBE_MS * FAR_FRACTION;
  const timeoutMs = isFar ? policy.connectTimeoutMs : Math.min(WATCH_PROBE_MS, policy.connectTimeoutMs);
  for (let misses = 0; ; ) {
    await clock.sleep(WATCH_EVERY_MS, signal);
    const request = { notBeforeMs: clock.monotonicMs(), timeoutMs };
    const probe = await hostProber.probe({ host, port, interfaceName }, request);
    signal.throwIfAborted();
    misses = probe.verdict === "answers" ? 0 : misses + 1;
    if (misses >= 2 || probe.reason === "link_down") return `the host went away: ${probe.text}`;
  }
}

async function mountNow(
  tools: MountTools,
  subject: ConfiguredShare,
  observed: ShareObservation,
  step: MountStep,
  limits: StepLimits,
): Promise<MountOutcome> {
  const { relay, serverProof, logins } = tools;
  const { spec, policy, driver } = subject;
  const { route, relayed: isRelayed, server: known = null } = step;
  const { onlyThroughRelay = false } = driver;
  const server = known ?? (onlyThroughRelay ? await serverProof?.begin(spec, route) : undefined) ?? null;
  if (relay === undefined || (!isRelayed && !onlyThroughRelay))
    return driver.mount(spec, route, limits, null, server ?? undefined);
  const patienceMs = isRelayed === true ? policy.outagePatienceMs : GUARDED_PATIENCE_MS;
  const configured = observed.configured;
  const gate = isGated(tools, subject, step)
    ? createGate(tools, subject, observed, step, limits.signal)
    : null;
  /**
   * A mount whose requests the relay holds back does not go through `logins.attempt`, so a refused login is
   * noted here.
   */
  const recorded = (outcome: MountOutcome, atMs = tools.clock.monotonicMs()): MountOutcome => {
    if (gate !== null && !outcome.ok && outcome.reason === "wrong_credentials")
      logins.refused(spec, logins.idOf(spec), outcome.text, atMs);
    return outcome;
  };
  const opened = await relay.open(
    {
      share: spec.name,
      driver: spec.driver,
      route,
      // The relay gets the other route's endpoint later, once that route is proved to lead to this server.
      endpoints: endpointsOf(spec, configured, [route]),
      patienceMs,
      wantedPort: null,
      server,
      unproved: gate !== null,
      login: logins.nameOf(spec),
      wantsUser: wantsUser(spec),
    },
    limits.signal,
  );
  if (!opened.ok) {
    gate?.end();
    // Without the relay, writes might go to another server at this address.
    if (onlyThroughRelay) return { ok: false, reason: "other", text: opened.text };
    // A direct mount is better than none; the next mount may be relayed.
    return recorded(await driver.mount(spec, route, limits));
  }
  const through = { port: opened.port, patienceMs: policy.outagePatienceMs, guarded: isRelayed !== true };
  const signal = gate === null ? limits.signal : AbortSignal.any([limits.signal, gate.shut]);
  const mounted = await driver
    .mount(spec, route, { ...limits, signal }, through, server ?? undefined)
    .finally(() => gate?.end());
  const outcome: MountOutcome =
    gate?.shut.aborted === true && !mounted.ok
      ? { ok: false, reason: "other", text: String(gate.shut.reason) }
      : mounted;
  if (!outcome.ok || (outcome.mount.relayPort ?? null) !== opened.port) {
    await relay.recount();
    const refused = relay.of(spec.name)?.refusedLogon ?? null;
    await relay.close(spec.name);
    // The relay saw the server refuse the login; the driver may have reported another failure.
    return refused === null || outcome.ok || outcome.reason === "wrong_credentials"
      ? recorded(outcome, refused?.atMs)
      : recorded(failed("wrong_credentials", refused.text), refused.atMs);
  }
  await relay.bind(spec.name, outcome.mount, await driver.ownProcesses(spec, outcome.mount));
  return outcome;
}

/**
 * Proves the server again while the relay holds the mount's requests back, because another server may have come since
 * the last proof. The proof is valid only if the relay's connection lasted during the whole proof. The signal `shut`
 * aborts if the server may be another one; the requests are still held back then.
 */
function createGate(
  { relay, serverProof, onUnproved }: MountTools,
  { spec }: ConfiguredShare,
  observed: ShareObservation,
  { route, server = null }: MountStep,
  signal: AbortSignal,
) {
  const ended = new AbortController();
  const shut = new AbortController();
  const prove = async (): Promise<void> => {
    const { probe } = observed.configured[route];
    const endpoint = proofEndpoint(probe, spec.routes[route]);
    if (relay === undefined || serverProof === undefined || endpoint === null) return;
    const outage = relay.of(spec.name)?.outage ?? null;
    const isSteady = (): boolean => (relay.of(spec.name)?.outage ?? null) === outage;
    const until = AbortSignal.any([signal, ended.signal]);
    const verdict = await serverProof
      .recognise(spec, route, endpoint, { server, isSteady }, until)
      .catch((error: unknown): ProofResult => {
        until.throwIfAborted();
        // The files about known servers cannot be read or written.
        return { kind: "unproved", text: errorText(error) };
      });
    if (!isSteady()) return;
    // For a server that was never proved, nothing is recorded to compare with, so the relay lets the
    // mount's requests pass. Unsent files for a proved server are kept in that server's own cache, so this
    // mount does not send them.
    const isBlank = verdict.kind === "unproved" && verdict.isBlank === true;
    if (isBlank || (verdict.kind === "same" && verdict.server === server)) {
      await relay.confirm(spec.name, outage);
      return;
    }
    onUnproved?.(route);
    const why = verdict.kind === "same" ? "it is a different known server" : verdict.text;
    shut.abort(`the server may not be the one that was proved: ${why}`);
  };
  let proving: Promise<void> = Promise.resolve();
  // After a `unconfirmed` notice, the server has to be proved again.
  const unregister = relay?.onNotice((share, notice) => {
    if (share !== spec.name || notice !== "unconfirmed") return;
    // A proof rejects only when the step has ended.
    proving = proving.then(prove).catch(() => {});
  });
  return {
    shut: shut.signal,
    end(): void {
      unregister?.();
      ended.abort();
    },
  };
}
