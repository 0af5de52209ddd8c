// Counters of the traffic between clients, this machine, its shares and its backends, for user interfaces
// that draw it.
import type { FlowEvent, StatusReport } from "../../api/contract/contract.ts";
import { errorText } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";

/** Shortest time between two messages, ms. */
const BETWEEN_MS = 250;

interface FlowOptions extends RuntimeTools {
  readonly read: () => Promise<FlowEvent>;
}

/** A listener gets the counters at once, then whenever they change. Nothing is read without listeners. */
export function createFlow({ clock, logger, read }: FlowOptions) {
  const listeners = new Set<(flow: FlowEvent) => void>();
  let isRunning = false;
  let sent = "";
  const check = async (): Promise<void> => {
    const flow = await read();
    const text = JSON.stringify(flow);
    if (text === sent) return;
    sent = text;
    for (const listener of listeners) listener(flow);
  };
  const run = async (): Promise<void> => {
    isRunning = true;
    while (listeners.size > 0) {
      await check().catch((error: unknown) => logger.debug("no flow", { reason: errorText(error) }));
      await clock.sleep(BETWEEN_MS);
    }
    isRunning = false;
  };
  return (listener: (flow: FlowEvent) => void): (() => void) => {
    listeners.add(listener);
    sent = "";
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
    shares: shares.flatMap(({ name, moves }) =>
      moves === undefined
        ? []
        : [{ name, to_server: moves.bytes_to_server, from_server: moves.bytes_from_server }],
    ),
    backends: backends.map(({ name, calls }) => ({ name, calls })),
    clients: [...names].map(([name, all]) => ({
      name,
      sessions: all.length,
      calls: all.reduce((sum, { calls }) => sum + calls, 0),
    })),
  };
}
