// Owns the gateway run once inside a command, when no daemon runs. Loads it when it is needed.
import type { InProcessGateway, InProcessOptions } from "../../api/control.ts";

/** Rejects with `config_…` and `gateway_off`. */
export async function openGateway(options: InProcessOptions): Promise<InProcessGateway> {
  const { openGatewayInProcess } = await import("../../daemon/in-process-gateway.ts");
  return openGatewayInProcess(options);
}
