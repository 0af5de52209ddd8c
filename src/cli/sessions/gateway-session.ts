// Finds the gateway for a command: the running daemon's, or one that runs once in this process.
import type { DaemonClient } from "../../api/client/client.ts";
import type { BackendStatus } from "../../api/contract.ts";
import type { GatewayControl, InProcessGateway } from "../../api/control.ts";
import { gatewayOff } from "../../api/gateway-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandContext } from "../input/command.ts";
import { onceOpened, withDaemonOr } from "./control-session.ts";

interface AskedGateway {
  readonly control: GatewayControl;
  /** Rejects with `gateway_off`. */
  backends(signal: AbortSignal): Promise<readonly BackendStatus[]>;
}

/**
 * Runs `use` with the gateway of this home; without a daemon its backends are started for it, and ended. Rejects with
 * what `use` rejects with, as `withControl` does, and with `gateway_off` when none is configured.
 */
export function withGateway<T>(
  context: CommandContext,
  command: string,
  use: (gateway: AskedGateway) => Promise<T>,
): Promise<T> {
  return withDaemonOr(
    context,
    "look",
    (daemon) => use(ofDaemon(daemon)),
    () => withOwnGateway(context, command, (gateway) => use(ofProcess(gateway))),
  );
}

/** What is listed, or `nothing` where no gateway is configured: then a line on stderr says what to do. */
export async function listedOr<T>(context: CommandContext, nothing: T, listed: Promise<T>): Promise<T> {
  try {
    return await listed;
  } catch (error) {
    if (!(error instanceof MountaineerError) || error.code !== "gateway_off") throw error;
    context.note(`${error.message}; ${error.hint}`);
    return nothing;
  }
}

/** The gateway in process alone. */
export async function withOwnGateway<T>(
  { home, configPath, signal }: CommandContext,
  command: string,
  use: (gateway: InProcessGateway) => Promise<T>,
) {
  const { openGateway } = await import("../in-process/open.ts");
  return onceOpened(openGateway({ home, configPath, signal, command, intent: "look" }), use);
}

/** Runs `use` with the running daemon's gateway; rejects with `daemon_unreachable` when there is no daemon. */
export function withDaemonsGateway<T>(
  context: CommandContext,
  use: (gateway: AskedGateway) => Promise<T>,
): Promise<T> {
  return withDaemonOr(
    context,
    "look",
    (daemon) => use(ofDaemon(daemon)),
    () => {
      throw new MountaineerError("daemon_unreachable", "no daemon runs for this home, so no backend does", {
        hint: "mountaineer monitor starts one; mountaineer call starts the backends for one call",
      });
    },
  );
}

function ofDaemon(daemon: DaemonClient): AskedGateway {
  return {
    control: daemon.gateway,
    async backends(signal) {
      const { gateway, backends = [] } = await daemon.status(signal);
      if (gateway === undefined) throw gatewayOff();
      return backends;
    },
  };
}

function ofProcess(gateway: InProcessGateway): AskedGateway {
  return {
    control: gateway.control,
    backends: async (signal) => (await gateway.status(signal)).backends ?? [],
  };
}
