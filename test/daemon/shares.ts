// Shares as the engine sees them, for tests of how they are reported.

import { formerShare } from "../../src/config/read/normalize.ts";
import { EMPTY_SHARE_MEMORY } from "../../src/reconcile/state-store.ts";
import type { FoundMount, MountDriver } from "../../src/shares/drivers/mount-driver.ts";
import type { ShareView } from "../../src/shares/engine/share-cycle.ts";
import { mountFact } from "../../src/shares/policy/mount-fact.ts";
import { INITIAL_STATE } from "../../src/shares/policy/reconcile-state.ts";
import type { RouteProbe, ShareObservation } from "../../src/shares/policy/share-observation.ts";
import type { MountCheck } from "../../src/shares/prober/prober.ts";
import type { SharePolicy, ShareSpec } from "../../src/shares/share-spec.ts";

/** 2026-01-01T00:00:00.000Z. */
export const WALL_MS = Date.UTC(2026, 0, 1);

/** What each driver is asked for is not the business of these tests. */
export const UNASKED_DRIVER: MountDriver = {
  name: "fs",
  cacheMs: 1000,
  missingRequirement: unasked,
  find: unasked,
  mount: unasked,
  unmount: unasked,
  ownProcesses: unasked,
  openFilesPath: ({ path }) => path,
};

function unasked(): never {
  throw new Error("nobody asks the driver here");
}

export function specOf(changes: Partial<ShareSpec> = {}): ShareSpec {
  const route = { port: 445, interfaceName: null, folder: null };
  return {
    ...formerShare("CORE"),
    shareName: "core",
    username: "ada",
    password: null,
    missingVariable: null,
    driver: "fs",
    routes: { tb: { ...route, host: "10.0.0.2" }, fallback: { ...route, host: "nas.local", port: 4450 } },
    mountPath: "/home/ada/.mountaineer/volumes/CORE",
    stablePath: "/home/ada/Shares/CORE",
    ...changes,
  };
}

export function probe(verdict: RouteProbe["verdict"], text = `it ${verdict}`): RouteProbe {
  return { verdict, tcpAnswered: verdict === "answers", address: null, interfaceName: null, text };
}

export function foundMount(changes: Partial<FoundMount> = {}): FoundMount {
  return {
    id: "12:0:1",
    path: "/home/ada/.mountaineer/volumes/CORE",
    source: "//10.0.0.2/core",
    sameShare: true,
    route: "tb",
    processGone: false,
    madeByDriver: true,
    ...changes,
  };
}

export function answered(errno: string | null): MountCheck {
  return { state: "answered", startedAtMs: 900, finishedAtMs: 910, errno };
}

export function seenOf(changes: Partial<ShareObservation> = {}): ShareObservation {
  const answers = { atMs: 1000, probe: probe("answers") };
  return {
    atMs: 1000,
    wallMs: WALL_MS,
    routes: { tb: answers, fallback: answers },
    offNetwork: null,
    mount: null,
    duplicates: [],
    occupant: null,
    driverProblem: null,
    sharedAddress: null,
    openFiles: null,
    linkBlocked: null,
    lastStep: null,
    ...changes,
  };
}

export function viewOf(changes: Partial<ShareView> = {}, spec: ShareSpec = specOf()): ShareView {
  const policy: SharePolicy = {
    checkIntervalMs: 2000,
    connectTimeoutMs: 800,
    mountHangMs: 10_000,
    autoFailback: false,
    stableMs: 30_000,
    lsofRecheck: true,
    outagePatienceMs: 60_000,
    onRouteChange: "remount",
  };
  const { observed = null } = changes;
  return {
    subject: { spec, policy, driver: UNASKED_DRIVER },
    memory: EMPTY_SHARE_MEMORY,
    observed,
    conditions: [],
    explanation: null,
    mount: observed?.mount ? mountFact({ observed, policy, state: INITIAL_STATE }, observed.mount) : null,
    ...changes,
  };
}
