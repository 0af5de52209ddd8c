// What passes between clients, this machine, its shares and its servers: counters for each edge, told while somebody looks.
import type { FlowEvent, StatusReport } from "../../api/contract.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** At most four messages a second, however much passes. */
const BETWEEN_MS = 250;

interface FlowOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly read: () => Promise<FlowEvent>;
}

/** Hears the counters at once, then whenever they differ. Nothing is read while nobody listens. */
export function createFlow({ clock, logger, read }: FlowOptions) {
  const listeners = new Set<(flow: FlowEvent) => void>();
  let isRunning = false;
  let told = "";
  const look = async (): Promise<void> => {
    const flow = await read();
    const text = JSON.stringify(flow);
    if (text === told) return;
    told = text;
    for (const listener of listeners) listener(flow);
  };
  const run = async (): Promise<void> => {
    isRunning = true;
    while (listeners.size > 0) {
      await look().catch((error: unknown) => logger.debug("no flow", { reason: errorText(error) }));
      await clock.sleep(BETWEEN_MS);
    }
    isRunning = false;
  };
  return (listener: (flow: FlowEvent) => void): (() => void) => {
    listeners.add(listener);
    told = "";
    if (!isRunning) void run();
    return () => void listeners.delete(listener);
  };
}

export function flowOf(
  { shares, backends = [] }: Pick<StatusReport, "shares" | "backends">,
  clients: readonly { readonly name: string; readonly calls: number }[],
): FlowEvent {
  const names = Map.groupBy(clients, ({ name }) => name);
  return {
    kind: "flow",
    shares: shares.flatMap(({ name, carried }) =>
      carried === undefined
        ? []
        : [{ name, to_server: carried.bytes_to_server, from_server: carried.bytes_from_server }],
    ),
    backends: backends.map(({ name, calls = 0 }) => ({ name, calls })),
    clients: [...names].map(([name, all]) => ({
      name,
      sessions: all.length,
      calls: all.reduce((sum, { calls }) => sum + calls, 0),
    })),
  };
}
