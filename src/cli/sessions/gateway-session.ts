// What commands about the gateway say where no daemon runs, or no gateway is configured.
import { gatewayOff } from "../../api/operations/gateway-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandContext, Terminal } from "../input/command.ts";
import type { DaemonPurpose } from "./control-session.ts";

export const RUNNING_BACKENDS: DaemonPurpose = {
  intent: "look",
  so: "so no MCP server does either",
  hint: "mountaineer up starts one; mountaineer call starts the servers for one call",
};

/** Notes on stderr that no gateway is configured, and what to do. */
export function notifyNoGateway(
  { notify }: Pick<CommandContext, "notify">,
  { message, hint }: Pick<MountaineerError, "message" | "hint"> = gatewayOff(),
): void {
  notify(`${message}; ${hint}`);
}

/** Resolves with the list. If no gateway is configured, resolves with null, and says so on stderr. */
export async function listedOr<T>(context: Terminal, listed: Promise<T>): Promise<T | null> {
  try {
    return await listed;
  } catch (error) {
    if (!(error instanceof MountaineerError) || error.code !== "gateway_off") throw error;
    notifyNoGateway(context, error);
    return null;
  }
}
