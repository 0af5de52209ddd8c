// Steps that concern routes while they are taken: mounting through the carrier, moving, and giving up on a host that goes.

import type { MoveOutcome } from "../drivers/carriage.ts";
import type { MountOutcome, StepLimits } from "../drivers/mount-driver.ts";
import type { ShareSeen } from "../policy/share-seen.ts";
import type { Step } from "../policy/step.ts";
import { endpointsOf } from "./observe-carried.ts";
import type { LookTools, Subject } from "./share-subject.ts";

/** How often the host is asked while a mount over it is under way, and how long it may take to answer, ms. */
const WATCH_EVERY_MS = 300;
const WATCH_PROBE_MS = 300;
/** A host whose last answer took more of that than this share is far away, and has the usual time. */
const FAR_SHARE = 0.25;
const MOVE_DEADLINE_MS = 4_000;

type MountStep = Extract<Step, { kind: "mount" }>;

/** Moves what is carried; nothing is changed when the new route does not answer. */
export async function moveCarried(
  { carriage, forceStop }: Pick<LookTools, "carriage"> & { readonly forceStop: AbortSignal },
  { spec }: Subject,
  seen: ShareSeen,
  { route, planned }: Extract<Step, { kind: "move" }>,
): Promise<MoveOutcome> {
  const endpoint = endpointsOf(spec, seen.routes)[route];
  if (carriage === undefined || endpoint === undefined)
    return { ok: false, text: "its address is not known" };
  const signal = AbortSignal.any([forceStop, AbortSignal.timeout(MOVE_DEADLINE_MS)]);
  return carriage.move({ share: spec.name, to: route, endpoint, planned }, signal);
}

/** Mounts, and gives up at once when the host goes away meanwhile: two probes in a row without an answer. */
export async function mountWatched(
  tools: LookTools,
  subject: Subject,
  seen: ShareSeen,
  step: MountStep,
  limits: StepLimits,
): Promise<MountOutcome> {
  const done = new AbortController();
  const gone = new AbortController();
  const signal = AbortSignal.any([limits.signal, gone.signal]);
  void watchHost(tools, subject, seen, step, done.signal).then(
    (text) => {
      if (text !== null) gone.abort(text);
    },
    () => {
      // The watch ended with the step.
    },
  );
  try {
    const outcome = await mountNow(tools, subject, seen, step, { ...limits, signal });
    if (outcome.ok || !gone.signal.aborted) return outcome;
    return { ok: false, reason: "unreachable", text: String(gone.signal.reason) };
  } finally {
    done.abort();
  }
}

/** Resolves with why the host is given up. */
async function watchHost(
  { clock, hostProber }: LookTools,
  { spec, policy }: Subject,
  { routes }: ShareSeen,
  { route }: MountStep,
  signal: AbortSignal,
): Promise<string | null> {
  const { host, port, interfaceName } = spec.routes[route];
  if (host === null) return null;
  const isFar = (routes[route].probe.tookMs ?? 0) > WATCH_PROBE_MS * FAR_SHARE;
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
  { carriage }: Pick<LookTools, "carriage">,
  { spec, policy, driver }: Subject,
  seen: ShareSeen,
  { route, carried }: MountStep,
  limits: StepLimits,
): Promise<MountOutcome> {
  if (!carried || carriage === undefined) return driver.mount(spec, route, limits);
  const { carries } = driver;
  const wantedPort = carries?.can === true ? ((await carries.fixedPort?.(spec)) ?? null) : null;
  const opened = await carriage.open(
    {
      share: spec.name,
      driver: spec.driver,
      route,
      endpoints: endpointsOf(spec, seen.routes),
      patienceMs: policy.outagePatienceMs,
      wantedPort,
    },
    limits.signal,
  );
  // A share without a carrier is better than none: it is mounted over its route, and carried from its next mount on.
  if (!opened.ok) return driver.mount(spec, route, limits);
  const through = { port: opened.port, patienceMs: policy.outagePatienceMs };
  const outcome = await driver.mount(spec, route, limits, through);
  if (!outcome.ok || (outcome.mount.carriedPort ?? null) !== opened.port) {
    await carriage.close(spec.name);
    return outcome;
  }
  await carriage.bind(spec.name, outcome.mount, await driver.ownProcesses(spec, outcome.mount));
  return outcome;
}
