// The management API and the page, at the gateway's address or the page's own. They start after the service and end before it.
import { Access } from "../api/http/access.ts";
import type { HttpApi, HttpApiSettings } from "../api/http/http-api.ts";
import { OWNER_RIGHTS } from "../api/operations/operation.ts";
import type { Control } from "../api/operations/operations.ts";
import type { Events } from "../api/server/event-streams.ts";
import { MANAGEMENT_DEFAULT, type ServerConfig } from "../config/snapshot.ts";
import { isLoopback } from "../config/values/host.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { isoTime } from "../runtime/time/clock.ts";
import type { SentinelService } from "./daemon-service.ts";
import { PageListener } from "./page-listener.ts";

const NEW_HOME_MS = 5_000;

type AccessOperation = "openPage" | "grantOwner" | "offerOwner" | "makeToken" | "forgetToken";

interface ManagementParts extends RuntimeTools {
  readonly home: string;
  readonly httpApi: HttpApi;
  readonly service: Pick<SentinelService, "control" | "server">;
  /** The operations that do not grant access; this file adds the others. */
  readonly control: Omit<Control, AccessOperation>;
  readonly events: Events;
}

/** Opens the API and the page. The caller must have the home's lock. */
export async function openManagement(parts: ManagementParts) {
  const { home, httpApi, service, control, events, clock, logger } = parts;
  const grants = await Access.open({ home, clock, logger });
  const settings = (): HttpApiSettings => httpApiSettings(service.server());
  const page = new PageListener({ take: httpApi.take, access: grants, clock, logger });
  const atGateway = (): string | null => service.control.status().gateway?.url ?? null;
  const isNewHome = async (): Promise<boolean> => {
    const { shares, backends = [] } = service.control.status();
    if (shares.length > 0 || backends.length > 0) return false;
    const signal = AbortSignal.timeout(NEW_HOME_MS);
    const [{ secrets }, { waiting }] = await Promise.all([
      control.secrets(null, signal, OWNER_RIGHTS),
      control.approvals(null, signal, OWNER_RIGHTS),
    ]);
    return secrets.length === 0 && waiting.length === 0;
  };
  const access: Pick<Control, AccessOperation> = {
    async openPage({ from_terminal: isFromTerminal = false }) {
      requireServed(settings());
      const endpoint = atGateway();
      const url = endpoint === null ? await page.url() : new URL("/", endpoint).href;
      const isFirst = isFromTerminal && !grants.hasSessions && (await isNewHome());
      const { secret, untilMs } = await grants.makeLink();
      if (isFirst) httpApi.owners.offerFirst(secret);
      if (endpoint === null) page.check();
      return { url: `${url}#${secret}`, expires_at: isoTime(untilMs) };
    },
    grantOwner: ({ code }) => ({ until: isoTime(httpApi.owners.grant(code)) }),
    offerOwner() {
      const { code, untilMs } = httpApi.owners.offer();
      return { code, expires_at: isoTime(untilMs) };
    },
    makeToken: () => grants.makeToken(),
    forgetToken: () => grants.forgetToken(),
  };
  const opened = httpApi.open({ control, events, access: grants, settings, isNewHome });
  // Listens on the page's port again, because browsers that signed in with an earlier daemon return to it, even if
  // the gateway has its first server since.
  if (grants.pagePort !== null && grants.untilMs() !== null && settings().isEnabled) {
    await page
      .url()
      .catch((error: unknown) => logger.warn("the page is not served", { reason: errorText(error) }));
    page.check();
  }
  return {
    access,
    whenIdle: opened.whenIdle,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await page[Symbol.asyncDispose]();
    },
  };
}

const OWN_MACHINE = { host: "127.0.0.1", management: MANAGEMENT_DEFAULT };

function httpApiSettings(server: ServerConfig | null): HttpApiSettings {
  const { host, management } = server ?? OWN_MACHINE;
  return {
    isEnabled: management.enabled ?? isLoopback(host),
    runsCommands: management.allowCommands,
    host,
    allowed: management.allowedHosts,
  };
}

/** Throws `gateway_off` if the management API is off. */
function requireServed({ isEnabled }: HttpApiSettings): void {
  if (isEnabled) return;
  throw new MountaineerError(
    "gateway_off",
    "the page is not served: [server.management].enabled is not true",
    {
      hint: "mountaineer config set server.management.enabled true",
    },
  );
}
