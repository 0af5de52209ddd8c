// A configured share with its policy and driver, and the services to observe it.

import type { NetworkLocation } from "../../network/location/network-location.ts";
import type { HostProber } from "../../network/probe/probe-result.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountDriver } from "../drivers/mount-driver.ts";
import type { ProgramAccess } from "../policy/decide.ts";
import type { LinkBlocked, RouteObservation, ServerCheckObservation } from "../policy/share-observation.ts";
import type { Prober } from "../prober/prober.ts";
import type { Contact } from "../program/sign-in.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../share-spec.ts";

/** The programs that this daemon runs on shares. They have to end before a share is remounted. */
export interface SharePrograms {
  /** Returns the process ids of the leaders of all process groups that run on the share. */
  running(share: string): readonly number[];
  /**
   * Ends the programs on the share or starts them again, as `access` requires (`ProgramAccess` in decide.ts). Cheap if nothing
   * changes.
   */
  setAccess(share: string, access: ProgramAccess): void;
}

export interface ObserveServices {
  readonly clock: Clock;
  readonly hostProber: HostProber;
  /** Absent: hosts are probed on every network. */
  readonly location?: Pick<NetworkLocation, "offNetworkReason" | "macOf" | "networkOf">;
  readonly prober: Prober;
  /** Absent: the daemon runs no programs on shares. */
  readonly programs?: SharePrograms;
  /** The share's memory; absent: none. */
  readonly recalled?: () => Pick<ShareMemory, "provedNetworks">;
}

export type ProbeTimeouts = Readonly<Partial<Record<RouteName, number>>>;

export interface CycleObserveServices extends ObserveServices {
  /**
   * Makes or repairs the stable link to `target`, and resolves with the obstacle, if any. Returns null if the
   * link needs no check.
   */
  readonly ensureLink: (spec: ShareSpec, target: string) => Promise<LinkBlocked | null> | null;
  /** The comparison of the servers behind the routes; null: the share needs none, or none is possible. */
  readonly checkServer?: (
    subject: ConfiguredShare,
    routes: Readonly<Record<RouteName, RouteObservation>>,
    contact: Contact,
  ) => ServerCheckObservation | null;
  /** Shorter limits for the probes, ms, while programs or the rules wait for a verdict. */
  readonly probeTimeouts?: ProbeTimeouts;
}

export interface ConfiguredShare {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  readonly driver: MountDriver;
}

interface ProbeTimeoutInput {
  /** Whether programs wait for a route; null: the mount does not move. */
  readonly phase: "waiting" | "serving" | null;
  /** The route that the mount uses. */
  readonly route: RouteName | null;
  /** True: a suspected loss of the route is not confirmed yet. */
  readonly isSuspected: boolean;
  /** How long each host took to answer at the last check, ms; null: no answer. */
  readonly tookMs: Readonly<Record<RouteName, number | null>>;
}

const SHORT_MS = 300;
/**
 * While programs wait for a route, probes have a short time limit. Every `PATIENT_CHECK`-th probe uses the configured
 * limit instead, so that slow hosts are also found.
 */
const PATIENT_CHECK = 4;
/** Stands for "no shorter limit": the configured limit applies. */
const USUAL_MS = Number.POSITIVE_INFINITY;
/**
 * A host whose last answer took more than this part of the short limit gets the configured limit. Within the short
 * limit, the host might seem gone.
 */
const SLOW_SHARE = 0.5;

/** Returns a function for one share. Call that function before each probe of the share's hosts. */
export function createProbeTimeouts(): (input: ProbeTimeoutInput) => ProbeTimeouts {
  let checksWaiting = 0;
  return ({ phase, route, isSuspected, tookMs }) => {
    if (phase === "waiting") {
      checksWaiting++;
      const isPatient = checksWaiting % PATIENT_CHECK === 0;
      const within = (name: RouteName): number =>
        isPatient || (tookMs[name] ?? 0) > SHORT_MS * SLOW_SHARE ? USUAL_MS : SHORT_MS;
      return { tb: within("tb"), fallback: within("fallback") };
    }
    checksWaiting = 0;
    return route === null || !isSuspected ? {} : { [route]: SHORT_MS };
  };
}
