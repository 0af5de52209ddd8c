// The fleet inside the service: loaded when one is configured, and its part in a reload.
import { isDeepStrictEqual } from "node:util";
import type { Condition, StatusReport } from "../api/contract.ts";
import type { FleetControl } from "../api/control.ts";
import type { FleetConfig, MountaineerConfig } from "../config/snapshot.ts";
import type { Fleet, FleetEnd, FleetOptions } from "../fleet/fleet.ts";
import type { Bus } from "../runtime/bus.ts";
import { MountaineerError } from "../runtime/errors.ts";
import type { ServiceTransition } from "./events/service-transitions.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";

/** Disposing says farewell, soon. */
export interface FleetPart extends AsyncDisposable {
  readonly applier: ConfigApplier;
  readonly control: FleetControl;
  /** Empty while no fleet is configured. */
  conditions(): Condition[];
  /** Begins with the first configuration; resolves when all is loaded, whether or not a server answers. */
  start(config: MountaineerConfig, status: () => StatusReport): Promise<void>;
  /** The next daemon is this machine from now on: nothing is told any more. Disposing waits for the connection's end. */
  handOver(): void;
}

interface FleetPartOptions extends Pick<FleetOptions, "values" | "clock" | "logger" | "redact"> {
  /** Mountaineer's own folder, absolute: the fleet's server may be in it. */
  readonly home: string;
  readonly bus: Pick<Bus<ServiceTransition>, "subscribe">;
}

async function load() {
  const [{ startFleet }, { keepServer }] = await Promise.all([
    import("../fleet/fleet.ts"),
    import("../fleet/way-in/keep-server.ts"),
  ]);
  return { startFleet, keepServer };
}
type Loaded = Awaited<ReturnType<typeof load>>;

export function createFleetPart({ bus, home, ...options }: FleetPartOptions): FleetPart {
  let config: FleetConfig | null = null;
  let fleet: Fleet | null = null;
  let status: (() => StatusReport) | null = null;
  /** Ends what a change of the configuration replaced. */
  const retiring = new Set<Promise<void>>();
  const unsubscribe = bus.subscribe(() => fleet?.note());
  let keeping = new AbortController();

  /** A fleet that begins anew, too, looks whether the server is here. */
  const begin = (
    { startFleet, keepServer }: Loaded,
    wanted: FleetConfig,
    ofMachine: () => StatusReport,
  ): Fleet => {
    keeping = new AbortController();
    const { clock, logger } = options;
    void keepServer({ home, clock, logger, signal: keeping.signal });
    return startFleet({ ...options, config: wanted, status: ofMachine });
  };

  const end = async (how: FleetEnd): Promise<void> => {
    unsubscribe();
    keeping.abort();
    status = null;
    await Promise.all([fleet?.end(how), ...retiring]);
  };

  return {
    control: {
      async fleet() {
        if (fleet !== null) return fleet.look();
        throw new MountaineerError("fleet_off", "this machine is in no fleet: [fleet] is not configured", {
          hint: "mountaineer fleet init begins one, mountaineer fleet join joins one: see docs/fleet-join.md",
        });
      },
    },
    conditions: () => fleet?.conditions() ?? [],
    async start(first, ofMachine) {
      status = ofMachine;
      if (first.fleet === null) return;
      const loaded = await load();
      config = first.fleet;
      fleet = begin(loaded, config, ofMachine);
    },
    applier: {
      name: "fleet",
      async prepare({ after }) {
        if (isDeepStrictEqual(after.fleet, config)) return { commit() {} };
        const loaded = after.fleet === null ? null : await load();
        return {
          commit() {
            const [before, last] = [config, fleet];
            keeping.abort();
            config = after.fleet;
            fleet =
              loaded === null || config === null || status === null ? null : begin(loaded, config, status);
            if (last === null) return;
            // Under the same name at the same place the new one goes on with what the old one told.
            const goesOn =
              config?.name === before?.name && isDeepStrictEqual(config?.servers, before?.servers);
            const ending = last.end(goesOn ? "handed_over" : "left");
            retiring.add(ending);
            void ending.finally(() => retiring.delete(ending));
          },
        };
      },
    },
    handOver: () => void end("handed_over"),
    [Symbol.asyncDispose]: () => end("stopped"),
  };
}
