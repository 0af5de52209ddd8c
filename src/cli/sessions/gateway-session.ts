// The gateway for a command: the running daemon's, else a temporary gateway in this process.
import type { BackendStatus } from "../../api/contract/contract.ts";
import type { InProcessGateway, ToolOperation } from "../../api/in-process.ts";
import { gatewayOff } from "../../api/operations/gateway-names.ts";
import type { Ask } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { openGateway } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";
import { type DaemonPurpose, onceOpened, withDaemonOr } from "./control-session.ts";

export const RUNNING_BACKENDS: DaemonPurpose = {
  intent: "look",
  so: "so no backend does",
  hint: "mountaineer up starts one; mountaineer call starts the backends for one call",
};

interface AskedGateway {
  readonly ask: Ask<ToolOperation>;
  /** Rejects with `gateway_off`. */
  backends(signal: AbortSignal): Promise<readonly BackendStatus[]>;
}

/**
 * Runs `use` with the gateway of this home; without a daemon, starts its backends in this process and stops them
 * afterwards. Rejects as `use` and `withAsk` do, and with `gateway_off` if no gateway is configured.
 */
export function withGateway<T>(
  context: CommandContext,
  use: (gateway: AskedGateway) => Promise<T>,
): Promise<T> {
  return withDaemonOr(
    context,
    "look",
    ({ ask }) =>
      use({
        ask,
        async backends(signal) {
          const { gateway, backends = [] } = await ask("status", null, signal);
          if (gateway === undefined) throw gatewayOff();
          return backends;
        },
      }),
    () =>
      withOwnGateway(context, ({ ask, status }) =>
        use({ ask, backends: async (signal) => (await status(signal)).backends ?? [] }),
      ),
  );
}

/**
 * Resolves with the list. If no gateway is configured, resolves with `nothing`, and notes on stderr what to
 * do.
 */
export async function listedOr<T>(context: CommandContext, nothing: T, listed: Promise<T>): Promise<T> {
  try {
    return await listed;
  } catch (error) {
    if (!(error instanceof MountaineerError) || error.code !== "gateway_off") throw error;
    context.note(`${error.message}; ${error.hint}`);
    return nothing;
  }
}

export function withOwnGateway<T>(context: CommandContext, use: (gateway: InProcessGateway) => Promise<T>) {
  return onceOpened(openGateway({ ...context, intent: "look" }), use);
}
