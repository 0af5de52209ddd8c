// The management API and the page at the gateway's address: opened when the service runs, ended before it does.
import { gatewayOff } from "../api/gateway-names.ts";
import { Access } from "../api/http/access.ts";
import type { DoorSettings, ManagementDoor } from "../api/http/management-door.ts";
import type { Control } from "../api/operations.ts";
import type { Events } from "../api/server/event-streams.ts";
import { MANAGEMENT_DEFAULT, type ServerConfig } from "../config/snapshot.ts";
import { isLoopback } from "../config/values/host.ts";
import { MountaineerError } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import { type Clock, isoTime } from "../runtime/time/clock.ts";
import type { SentinelService } from "./sentinel-service.ts";

type AccessOperation = "openPage" | "makeToken" | "forgetToken";

interface ManagementParts {
  readonly home: string;
  readonly door: ManagementDoor;
  readonly service: Pick<SentinelService, "control" | "server">;
  /** All but the ways in, which only their owner makes. */
  readonly control: Omit<Control, AccessOperation>;
  readonly events: Events;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Of a home whose lock is held. */
export async function openManagement(parts: ManagementParts) {
  const { home, door, service, control, events, clock, logger } = parts;
  const ways = await Access.open({ home, clock, logger });
  const settings = (): DoorSettings => doorSettings(service.server());
  const access: Pick<Control, AccessOperation> = {
    async openPage() {
      const url = pageUrl(service.control.status().gateway?.url ?? null, settings());
      const { secret, untilMs } = await ways.makeLink();
      return { url: `${url}#${secret}`, expires_at: isoTime(untilMs) };
    },
    makeToken: () => ways.makeToken(),
    forgetToken: () => ways.forgetToken(),
  };
  const opened = door.open({ control, events, access: ways, settings });
  return { access, settled: opened.settled, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

const OWN_MACHINE = { host: "127.0.0.1", publicUrl: null, management: MANAGEMENT_DEFAULT };

function doorSettings(server: ServerConfig | null): DoorSettings {
  const { host, publicUrl, management } = server ?? OWN_MACHINE;
  const clients = publicUrl === null ? null : new URL(publicUrl);
  return {
    isEnabled: management.enabled ?? isLoopback(host),
    runsCommands: management.allowCommands,
    host,
    allowed: management.allowedHosts,
    tlsHost: clients?.protocol === "https:" ? clients.host : null,
  };
}

/** With a slash at its end. Throws `gateway_off`. */
function pageUrl(endpoint: string | null, { isEnabled }: DoorSettings): string {
  if (endpoint === null) throw gatewayOff();
  if (isEnabled) return new URL("/", endpoint).href;
  throw new MountaineerError(
    "gateway_off",
    "the page is not served: [server.management].enabled is not true",
    {
      hint: "mountaineer config set server.management.enabled true",
    },
  );
}
