// Owns the gateway as a whole. What serves a request is one object, built from the configuration and the backends'
// answers; when either changes, the next one is built beside it and swapped.
import { settledWithin } from "../runtime/clock.ts";
import { createRedaction } from "../runtime/log-redaction.ts";
import { createBackendPool, type PoolOptions } from "./backends/backend-pool.ts";
import { openHttpLink } from "./backends/http-link.ts";
import { startBackendInstance } from "./backends/start-backend-instance.ts";
import { openStdioLink } from "./backends/stdio-link.ts";
import { startWarden } from "./backends/warden.ts";
import { buildCatalog } from "./catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "./catalog/catalog.ts";
import { catalogTransitions } from "./catalog/diff-catalogs.ts";
import { OWNER } from "./client-port.ts";
import type { FrontGateway } from "./front/front-contract.ts";
import { createHttpFront } from "./front/http-front.ts";
import { type LinesFront, serveLines } from "./front/lines.ts";
import { createGatewayConditions } from "./gateway-conditions.ts";
import type { Gateway, GatewayConfig, GatewayOptions } from "./gateway-contract.ts";
import { createRules, type GatewayRules, NO_GATEWAY } from "./gateway-rules.ts";
import { gatewayGreeting, tasksListedBy } from "./greeting.ts";
import { createListenerKeeper, type ListenAddress } from "./listener-keeper.ts";
import type { ServingSet } from "./middleware/middleware.ts";
import { createRefusalAudit } from "./middleware/refusal-audit.ts";
import { createTaskMemory } from "./middleware/task-memory.ts";
import { createOwnerCalls } from "./owner-calls.ts";
import { buildServingSet } from "./serving-set.ts";
import { createSessionRoster } from "./session-roster.ts";

const DEFAULT_SERVER = {
  host: "127.0.0.1",
  port: 9000,
  bodyLimitBytes: 64 * 1024 * 1024,
  drainTimeoutMs: 30_000,
} as const;

/** How long calls in flight may go on when the gateway ends, and then what is left of their connections, ms. */
const STOP_DRAIN_MS = 3_000;
const STOP_CUT_MS = 250;
/** The warden needs nobody to end what it still knows: beyond this it goes on alone, ms. */
const STOP_WARDEN_MS = 250;

/** How backends are reached; the real ways where it is not said. */
export type GatewayMeans = Partial<Pick<PoolOptions, "startInstance" | "openLink" | "random">>;

/** Nothing runs before `start`, or the commit of a prepared configuration. */
export function createGateway(options: GatewayOptions, means: GatewayMeans = {}): Gateway {
  const { clock, logger, environment, programEnvironment, announce, version, listens } = options;
  const redaction = createRedaction();
  const redact = (secret: string): void => {
    redaction.redact(secret);
    options.redact(secret);
  };
  const tools = { clock, logger, environment, redact };
  const clientInfo = { name: "mountaineer", version };
  const roster = createSessionRoster();
  const tasks = createTaskMemory();
  const conditions = createGatewayConditions(() => clock.wallMs());
  const lines = new Set<LinesFront>();
  const warden = startWarden({ clock, logger });
  const pool = createBackendPool({
    ...tools,
    announce,
    clientInfo,
    startInstance: startBackendInstance,
    openLink: (connection, _backend, secrets) =>
      connection.type === "stdio"
        ? openStdioLink({
            ...connection,
            env: { ...programEnvironment, ...connection.env },
            warden,
            clock,
            secrets,
          })
        : openHttpLink({ ...connection, clock, secrets }),
    random: Math.random,
    onLog: (params, backend) => roster.tellLog(params, backend, served),
    ...means,
  });

  let rules: GatewayRules = createRules(NO_GATEWAY, null, tools);
  let sources: readonly CatalogSource[] = [];
  let catalog: Catalog = buildCatalog(sources, NO_GATEWAY.conflictResolution);
  let applying = false;
  let ending: Promise<void> | null = null;

  const server = () => rules.config.server ?? DEFAULT_SERVER;

  const followLogLevel = (): void => {
    const { lowestLogLevel } = roster;
    if (lowestLogLevel !== null) pool.setLogLevel(lowestLogLevel);
  };
  const services = {
    pool,
    catalog: () => catalog,
    tasks,
    setLogLevel: (
      client: Parameters<typeof roster.setLogLevel>[0],
      level: Parameters<typeof roster.setLogLevel>[1],
    ) => {
      roster.setLogLevel(client, level);
      followLogLevel();
    },
    taskBackends: () => tasksListedBy(pool.greetings()),
  };

  const refusals = createRefusalAudit({
    write: (record) => rules.auditFile?.write(record),
    clock,
    clean: redaction.clean,
  });

  const build = (): ServingSet => {
    const { config, authentication, auditFile } = rules;
    return buildServingSet({
      catalog,
      authentication,
      authorization: config.authorization,
      audit:
        config.audit === null || auditFile === null
          ? null
          : // A request that began before its file was replaced is written to the new one.
            { config: config.audit, write: (record) => (rules.auditFile ?? auditFile).write(record) },
      services,
      backends: config.backends.filter(({ enabled }) => enabled).map(({ name }) => name),
      clock,
      logger,
      clean: redaction.clean,
    });
  };
  let served = build();

  /** One swap: what was published, and by which rules, changes for everybody in the same instant. */
  const swap = (next: GatewayRules): void => {
    const before = catalog;
    const conflicts = next.config.conflictResolution;
    if (sources !== pool.published || conflicts !== rules.config.conflictResolution) {
      sources = pool.published;
      catalog = buildCatalog(sources, conflicts);
    }
    rules = next;
    served = build();
    for (const transition of catalogTransitions(before, catalog)) announce(transition);
    roster.tellChanges(served);
  };
  pool.onPublished(() => {
    if (!applying) swap(rules);
  });

  const apply = (next: GatewayRules): void => {
    const { drainTimeoutMs } = next.config.server ?? DEFAULT_SERVER;
    applying = true;
    try {
      pool.apply(next.config.backends, { drainTimeoutMs });
    } finally {
      applying = false;
    }
    swap(next);
  };

  const front: FrontGateway = {
    get served() {
      return served;
    },
    initializeResult: () => gatewayGreeting(version, pool.greetings()),
    opened: (session) => roster.add(session, served),
    identified: (session) => roster.identified(session, served),
    closed(session) {
      roster.remove(session);
      pool.forget(session);
      followLogLevel();
    },
    notified: (session, method, params) => pool.notifyOwn(session, method, params),
    turnedAway(request) {
      if (rules.auditFile !== null) refusals.record(request);
    },
    health: () => ({
      status: "ok",
      version,
      backends: Object.fromEntries(pool.view().map(({ name, phase }) => [name, phase])),
    }),
  };
  const http = createHttpFront({
    gateway: front,
    clock,
    logger,
    bodyLimitBytes: () => server().bodyLimitBytes,
    boundHost: () => keeper.host,
  });
  const owner = createOwnerCalls({ gateway: front, clock, logger });
  const keeper = createListenerKeeper({
    handler: http.handle,
    clock,
    logger,
    announce,
    drainMs: () => server().drainTimeoutMs,
  });

  /** Null: nothing is configured that could be served, or nothing is to be heard here at all. */
  const addressOf = ({ server: configured, backends }: GatewayConfig): ListenAddress | null => {
    if (!listens || (configured === null && backends.length === 0)) return null;
    const { host, port } = configured ?? DEFAULT_SERVER;
    return { host, port };
  };

  const end = async (): Promise<void> => {
    await Promise.all([
      http.stop(STOP_DRAIN_MS),
      ...[...lines].map((client) => client.stop(STOP_DRAIN_MS)),
      owner.stop(STOP_DRAIN_MS),
      pool[Symbol.asyncDispose](),
    ]);
    await keeper.close(STOP_CUT_MS);
    await settledWithin(clock, STOP_WARDEN_MS, Promise.resolve(warden[Symbol.asyncDispose]()));
    refusals[Symbol.dispose]();
    await rules.auditFile?.[Symbol.asyncDispose]();
  };

  return {
    async start(config) {
      const address = addressOf(config);
      apply(createRules(config, rules, tools));
      if (address !== null) await keeper.open(address);
    },
    async prepare(config) {
      const listener = await keeper.prepare(addressOf(config));
      const before = rules;
      const next = createRules(config, before, tools);
      const fileOf = ({ auditFile }: GatewayRules, other: GatewayRules): AsyncDisposable | null =>
        auditFile === other.auditFile ? null : auditFile;
      return {
        commit() {
          if (fileOf(before, next) !== null) refusals.tellCounted();
          apply(next);
          listener.commit();
        },
        async retire() {
          await Promise.all([fileOf(before, next)?.[Symbol.asyncDispose](), listener.retire()]);
        },
        async rollback() {
          await Promise.all([fileOf(next, before)?.[Symbol.asyncDispose](), listener.rollback()]);
        },
      };
    },
    view() {
      const sessions = [...lines].reduce((sum, client) => sum + client.sessions, http.sessions);
      const inFlight = [...lines, owner].reduce((sum, client) => sum + client.inFlight, http.inFlight);
      return {
        url: keeper.url,
        sessions,
        inFlight,
        backends: pool.view(),
        counts: {
          tools: catalog.tools.size,
          resources: catalog.resources.size,
          resourceTemplates: catalog.templates.size,
          prompts: catalog.prompts.size,
        },
        withheldTools: catalog.withheldTools,
        conditions: conditions(rules, catalog, keeper.condition),
      };
    },
    entries: () => ({
      tools: [...catalog.tools.values()],
      prompts: [...catalog.prompts.values()],
      resources: [...catalog.resources.values()],
    }),
    restart: (backend) => pool.restart(backend),
    logLines: (backend) => pool.logLines(backend),
    ask: (method, params, signal) => owner.ask(method, params, signal),
    serveLines(stream) {
      const client = serveLines(stream, {
        gateway: front,
        clock,
        logger,
        principal: OWNER,
        bodyLimitBytes: () => server().bodyLimitBytes,
      });
      lines.add(client);
      void client.closed.then(() => lines.delete(client));
    },
    settled: (signal) => pool.settled(signal),
    [Symbol.asyncDispose]() {
      ending ??= end();
      return ending;
    },
  };
}
