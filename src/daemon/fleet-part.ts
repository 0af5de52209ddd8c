// The fleet within the service, and its part in a reload. Its code is loaded only if a fleet is configured.
import { type Duplex, duplexPair } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { StatusReport } from "../api/contract/contract.ts";
import { fleetOff } from "../api/operations/gateway-names.ts";
import type { Control } from "../api/operations/operations.ts";
import type { FleetConfig, MountaineerConfig } from "../config/snapshot.ts";
import type { Calls, CallsOptions } from "../fleet/calls/calls.ts";
import type { FleetCondition } from "../fleet/conditions/condition-rows.ts";
import type { Fleet, FleetEnd, FleetOptions } from "../fleet/fleet.ts";
import type { OpenMachine } from "../gateway/serving/imported-backends.ts";
import type { Bus } from "../runtime/bus.ts";
import type { ServiceTransition } from "./events/service-transitions.ts";
import type { GatewayPart } from "./gateway-part.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";

/**
 * Longest wait for calls at a stop, ms. It is slightly longer than the gateway's wait, so that the gateway's answers
 * still arrive.
 */
const DRAIN_MS = 3_500;

interface FleetPartOptions extends Pick<FleetOptions, "values" | "clock" | "logger" | "redact"> {
  readonly gateway: Pick<GatewayPart, "machines">;
  readonly bus: Pick<Bus<ServiceTransition>, "subscribe">;
}

async function load() {
  const [{ Fleet }, { Calls }] = await Promise.all([
    import("../fleet/fleet.ts"),
    import("../fleet/calls/calls.ts"),
  ]);
  return { Fleet, Calls };
}
type Loaded = Awaited<ReturnType<typeof load>>;

export function createFleetPart({ bus, gateway, ...options }: FleetPartOptions) {
  let config: FleetConfig | null = null;
  let fleet: Fleet | null = null;
  /** The calls between machines; null if nothing is exported, imported or shared. */
  let calls: Calls | null = null;
  let status: (() => StatusReport) | null = null;
  /** Replaced fleets and their calls, while they are still ending. */
  const retiring = new Set<Promise<void>>();
  const unsubscribe = bus.subscribe(() => {
    fleet?.scheduleSummary();
    calls?.scheduleOffer();
  });

  const begin = ({ Fleet }: Loaded, wanted: FleetConfig, ofMachine: () => StatusReport): Fleet =>
    new Fleet({ ...options, config: wanted, status: ofMachine });
  const beginCalls = ({ Calls }: Loaded, wanted: FleetConfig): Calls | null =>
    acrossMachines(wanted) ? new Calls({ ...options, config: wanted, ...lendingOf(gateway) }) : null;

  /** Calls in flight continue if the connection to the fleet stays the same. */
  const followCalls = (before: FleetConfig | null, loaded: Loaded | null): Promise<void> | null => {
    if (config !== null && calls !== null && acrossMachines(config) && isSameLink(before, config)) {
      calls.configure(config);
      return null;
    }
    const ended = calls?.end(0) ?? null;
    calls = config === null || loaded === null || status === null ? null : beginCalls(loaded, config);
    return ended;
  };

  const followFleet = (before: FleetConfig | null, loaded: Loaded | null): Promise<void> | null => {
    if (fleet !== null && isSameLink(before, config)) return null;
    const last = fleet;
    fleet = config === null || loaded === null || status === null ? null : begin(loaded, config, status);
    // With the same name and servers there is no goodbye: the new fleet keeps publishing for this machine.
    const goesOn = config?.name === before?.name && isDeepStrictEqual(config?.servers, before?.servers);
    return last?.end(goesOn ? "handed_over" : "left") ?? null;
  };

  const end = async (how: FleetEnd): Promise<void> => {
    unsubscribe();
    status = null;
    if (how === "handed_over") calls?.leave();
    await Promise.all([fleet?.end(how), how === "handed_over" ? null : calls?.end(DRAIN_MS), ...retiring]);
  };

  const control = {
    async fleet() {
      const report = await fleet?.query();
      if (report === undefined) throw fleetOff();
      return { ...report, conditions: [...report.conditions, ...(calls?.conditions() ?? [])] };
    },
    async fleetCheck(_, signal) {
      if (config === null) throw fleetOff();
      const { checkFleet } = await import("../fleet/fleet-check.ts");
      return checkFleet({ ...options, config }, signal);
    },
  } satisfies Partial<Control>;
  const applier: ConfigApplier = {
    name: "fleet",
    async prepare({ after }) {
      if (isDeepStrictEqual(after.fleet, config)) {
        return {
          commit() {},
        };
      }
      const loaded = after.fleet === null ? null : await load();
      return {
        commit() {
          const before = config;
          config = after.fleet;
          const ended = followCalls(before, loaded);
          const ending = Promise.all([followFleet(before, loaded), ended]).then(() => {});
          retiring.add(ending);
          void ending.finally(() => retiring.delete(ending));
        },
      };
    },
  };
  return {
    control,
    applier,
    /** Empty while no fleet is configured. */
    conditions: (): FleetCondition[] => [...(fleet?.conditions() ?? []), ...(calls?.conditions() ?? [])],
    openMachine: (...[backend, onEnd]: Parameters<OpenMachine>): Duplex =>
      calls === null ? closedStream(onEnd) : calls.open(backend, onEnd),
    /** Starts with the first configuration; resolves when all code is loaded, whether or not a server answers. */
    async start(first: MountaineerConfig, ofMachine: () => StatusReport): Promise<void> {
      status = ofMachine;
      if (first.fleet === null) return;
      const loaded = await load();
      config = first.fleet;
      calls = beginCalls(loaded, config);
      fleet = begin(loaded, config, ofMachine);
    },
    /** Call after each observation of a share. */
    shareObserved: (): void => calls?.scheduleOffer(),
    /**
     * Stops publishing without saying goodbye, because the next daemon represents this machine in the fleet.
     * Disposing then waits for the connection's end.
     */
    handOver: (): void => void end("handed_over"),
    /** Tells the fleet that this machine stops, and resolves when the connection has ended. */
    [Symbol.asyncDispose]: (): Promise<void> => end("stopped"),
  };
}

type Lending = Pick<CallsOptions, "exported" | "serve" | "onImported">;

/** The parts of this machine's gateway that calls between machines use. */
function lendingOf({ machines }: Pick<GatewayPart, "machines">): Lending {
  return {
    exported: () => machines.exported(),
    serve: (machine, backend, stream) => machines.serveMachine(stream, machine, backend),
    onImported: (backends) => machines.setImported(backends),
  };
}

function isSameLink(one: FleetConfig | null, other: FleetConfig | null): boolean {
  const link = (config: FleetConfig | null): unknown =>
    config && [config.name, config.servers, config.credentials, config.tlsCa];
  return isDeepStrictEqual(link(one), link(other));
}

function acrossMachines(config: FleetConfig): boolean {
  const lists = [config.export, config.import];
  return lists.some((list) => (list ?? []).length > 0);
}

/** A stream that ends at once, for a call after this machine has left the fleet. */
function closedStream(onEnd: Parameters<OpenMachine>[1]): Duplex {
  const [ours, theirs] = duplexPair();
  setImmediate(() => {
    onEnd({ message: "this machine is in no fleet", hint: null, wasReached: false });
    theirs.destroy();
    ours.destroy();
  });
  return ours;
}
