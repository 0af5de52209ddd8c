// The steps that mount a share, and move its mount. An attempt to mount over one route ends early if the host goes away.
import type { MountOutcome, MountPlan, StepLimits } from "../drivers/mount-driver.ts";
import type { MoveOutcome } from "../drivers/moving-mounts.ts";
import type { ShareObservation } from "../policy/share-observation.ts";
import type { Step } from "../policy/step.ts";
import type { Contact } from "../program/sign-in.ts";
import { checkContact } from "./observe.ts";
import { mountSettings } from "./observe-moving.ts";
import type { ConfiguredShare, ObserveServices } from "./share-subject.ts";

/** Interval of the host's probes during a mount, and limit of each probe, ms. */
const WATCH_EVERY_MS = 300;
const WATCH_PROBE_MS = 300;
/**
 * A host whose last answer took longer than this fraction of `WATCH_PROBE_MS` is far away; it is probed with
 * `connectTimeoutMs` instead.
 */
const FAR_FRACTION = 0.25;

type MountStep = Extract<Step, { kind: "mount" }>;

/** Moves the mount; changes nothing if the new route does not answer. */
export async function moveMount(
  { spec, driver }: ConfiguredShare,
  { mount }: ShareObservation,
  { route }: Extract<Step, { kind: "move" }>,
  signal: AbortSignal,
): Promise<MoveOutcome> {
  const report = mount?.moving ?? null;
  if (driver.moving === undefined || report === null) return { ok: false, text: "the mount does not move" };
  return driver.moving.move(spec.name, route, report.moves.count, signal);
}

/** Mounts. Over one route, it gives up as soon as two probes of the host in a row have had no answer. */
export async function mountWatched(
  tools: ObserveServices,
  subject: ConfiguredShare,
  observed: ShareObservation,
  step: MountStep,
  limits: StepLimits,
): Promise<MountOutcome> {
  const { spec, driver } = subject;
  const contact = await checkContact(tools, subject, tools.clock.monotonicMs());
  const plan = planOf(subject, observed, step, contact);
  if (plan === null) return { ok: false, reason: "unreachable", text: `off network: ${contact.offNetwork}` };
  const done = new AbortController();
  const gone = new AbortController();
  const signal = AbortSignal.any([limits.signal, gone.signal]);
  // The watch rejects when the step has ended. A mount that moves is not given up for the loss of one route.
  if (step.moves !== true)
    void watchHost(tools, subject, observed, step, done.signal)
      .then((text) => text !== null && gone.abort(text))
      .catch(() => {});
  try {
    const outcome = await driver.mount(spec, step.route, { ...limits, signal }, plan);
    if (outcome.ok || !gone.signal.aborted) return outcome;
    return { ok: false, reason: "unreachable", text: String(gone.signal.reason) };
  } finally {
    done.abort();
  }
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

/** null: nothing may be sent to the share's hosts. */
function planOf(
  subject: ConfiguredShare,
  observed: ShareObservation,
  step: MountStep,
  contact: Contact,
): MountPlan | null {
  const { signIn, allowed, patienceMs } = mountSettings(subject, observed, contact);
  if (signIn === null) return null;
  return {
    ...{ signIn, allowed, patienceMs, moves: step.moves === true },
    onlyOn: (subject.policy.onlyOn ?? []).length > 0,
    logInNow: step.logInNow === true,
    newPassword: step.newPassword === true,
    newServer: step.newServer === true,
  };
}
