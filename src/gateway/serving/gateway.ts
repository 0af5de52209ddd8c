// Owns the gateway as a whole. What serves a request is one object, built from the configuration and the backends'
// answers; when either changes, the next one is built beside it and swapped.
import type { ServerConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { createRedaction, type Redaction } from "../../runtime/log/log-redaction.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import { startBackendInstance } from "../backends/instance/start-backend-instance.ts";
import { openHttpLink } from "../backends/links/http/http-link.ts";
import { openStdioLink } from "../backends/links/stdio/stdio-link.ts";
import { startWarden } from "../backends/links/stdio/warden.ts";
import type { BackendPool } from "../backends/policy/backend-pool-contract.ts";
import { createBackendPool, type PoolOptions } from "../backends/pool/backend-pool.ts";
import { buildCatalog } from "../catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../catalog/catalog.ts";
import { catalogTransitions } from "../catalog/diff-catalogs.ts";
import { OWNER } from "../client-port.ts";
import { HttpFront } from "../front/http/http-front.ts";
import type { FrontGateway } from "../front/session/front-contract.ts";
import { LinesFront } from "../front/stdio/lines.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { ServingSet } from "../middleware/middleware.ts";
import { createRefusalAudit } from "../middleware/refusal-audit.ts";
import { createTaskMemory, type TaskMemory } from "../middleware/task-memory.ts";
import { createGatewayConditions } from "./gateway-conditions.ts";
import type { Gateway, GatewayConfig, GatewayOptions, GatewayView } from "./gateway-contract.ts";
import { createRules, type GatewayRules, NO_GATEWAY } from "./gateway-rules.ts";
import { gatewayInitializeResult, tasksListedBy } from "./initialize-result.ts";
import { createListenerKeeper, type ListenAddress } from "./listener-keeper.ts";
import { OwnerCalls } from "./owner-calls.ts";
import { buildServingSet } from "./serving-set.ts";
import { createSessionRoster, type SessionRoster } from "./session-roster.ts";

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
  const lines = new Set<LinesFront>();
  const { pool, warden } = createPool({
    means,
    clock,
    logger,
    programEnvironment,
    announce,
    tools,
    clientInfo,
    roster,
    served: () => serving.served,
  });
  let applying = false;
  let ending: Promise<void> | null = null;

  const server = () => serving.rules.config.server ?? DEFAULT_SERVER;

  const followLogLevel = (): void => {
    const { lowestLogLevel } = roster;
    if (lowestLogLevel !== null) pool.setLogLevel(lowestLogLevel);
  };
  const serving = createServing({
    clock,
    logger,
    announce,
    redaction,
    tools,
    roster,
    tasks,
    pool,
    followLogLevel,
  });
  pool.onPublished(() => {
    if (!applying) serving.swap(serving.rules);
  });

  const apply = (next: GatewayRules): void => {
    const { drainTimeoutMs } = next.config.server ?? DEFAULT_SERVER;
    applying = true;
    try {
      pool.apply(next.config.backends, { drainTimeoutMs });
    } finally {
      applying = false;
    }
    serving.swap(next);
  };
  const entrances = createEntrances({
    clock,
    logger,
    announce,
    version,
    roster,
    pool,
    server,
    followLogLevel,
    serving,
  });

  /** Null: nothing is configured that could be served, or nothing is to be heard here at all. */
  const addressOf = ({ server: configured, backends }: GatewayConfig): ListenAddress | null => {
    if (!listens || (configured === null && backends.length === 0)) return null;
    const { host, port } = configured ?? DEFAULT_SERVER;
    return { host, port };
  };

  const end = async (): Promise<void> => {
    await Promise.all([
      entrances.http.stop(STOP_DRAIN_MS),
      ...[...lines].map((client) => client.stop(STOP_DRAIN_MS)),
      entrances.owner.stop(STOP_DRAIN_MS),
      pool[Symbol.asyncDispose](),
    ]);
    await entrances.keeper.close(STOP_CUT_MS);
    await settledWithin(clock, STOP_WARDEN_MS, Promise.resolve(warden[Symbol.asyncDispose]()));
    serving.refusals[Symbol.dispose]();
    await serving.rules.auditFile?.[Symbol.asyncDispose]();
  };
  const view = createView({ clock, lines, pool, serving, entrances });

  return {
    async start(config) {
      const address = addressOf(config);
      apply(createRules(config, serving.rules, tools));
      if (address !== null) await entrances.keeper.open(address);
    },
    async prepare(config) {
      const listener = await entrances.keeper.prepare(addressOf(config));
      const before = serving.rules;
      const next = createRules(config, before, tools);
      const fileOf = ({ auditFile }: GatewayRules, other: GatewayRules): AsyncDisposable | null =>
        auditFile === other.auditFile ? null : auditFile;
      return {
        commit() {
          if (fileOf(before, next) !== null) serving.refusals.tellCounted();
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
    view,
    entries: () => ({
      tools: [...serving.catalog.tools.values()],
      prompts: [...serving.catalog.prompts.values()],
      resources: [...serving.catalog.resources.values()],
    }),
    restart: (backend) => pool.restart(backend),
    logLines: (backend) => pool.logLines(backend),
    ask: (method, params, signal) => entrances.owner.ask(method, params, signal),
    serveLines(stream) {
      const client = new LinesFront(stream, {
        gateway: entrances.front,
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

interface ViewParts {
  readonly clock: Clock;
  readonly lines: Set<LinesFront>;
  readonly pool: BackendPool;
  readonly serving: ReturnType<typeof createServing>;
  readonly entrances: ReturnType<typeof createEntrances>;
}

/** What people are shown of the gateway. */
function createView({ clock, lines, pool, serving, entrances }: ViewParts) {
  const conditions = createGatewayConditions(() => clock.wallMs());

  const view = (): GatewayView => {
    const sessions = [...lines].reduce((sum, client) => sum + client.sessions, entrances.http.sessions);
    const inFlight = [...lines, entrances.owner].reduce(
      (sum, client) => sum + client.inFlight,
      entrances.http.inFlight,
    );
    return {
      url: entrances.keeper.url,
      sessions,
      inFlight,
      backends: pool.view(),
      counts: {
        tools: serving.catalog.tools.size,
        resources: serving.catalog.resources.size,
        resourceTemplates: serving.catalog.templates.size,
        prompts: serving.catalog.prompts.size,
      },
      withheldTools: serving.catalog.withheldTools,
      conditions: conditions(serving.rules, serving.catalog, entrances.keeper.condition),
    };
  };

  return view;
}

interface PoolParts {
  readonly means: GatewayMeans;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly programEnvironment: Readonly<Record<string, string>> | undefined;
  readonly announce: (transition: GatewayTransition) => void;
  readonly tools: {
    clock: Clock;
    logger: Logger;
    environment: Readonly<Record<string, string | undefined>>;
    redact: (secret: string) => void;
  };
  readonly clientInfo: { name: string; version: string };
  readonly roster: SessionRoster;
  readonly served: () => ServingSet;
}

/** The backends, and where their questions and messages go. */
function createPool({
  means,
  clock,
  logger,
  programEnvironment,
  announce,
  tools,
  clientInfo,
  roster,
  served,
}: PoolParts) {
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
    onLog: (params, backend) => roster.tellLog(params, backend, served()),
    ...means,
  });

  return { pool, warden };
}

interface EntrancesParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (transition: GatewayTransition) => void;
  readonly version: string;
  readonly roster: SessionRoster;
  readonly pool: BackendPool;
  readonly server: () => ServerConfig;
  readonly followLogLevel: () => void;
  readonly serving: ReturnType<typeof createServing>;
}

/** Where clients come in: HTTP, and the streams that the daemon hands over. */
function createEntrances({
  clock,
  logger,
  announce,
  version,
  roster,
  pool,
  server,
  followLogLevel,
  serving,
}: EntrancesParts) {
  const front: FrontGateway = {
    get served() {
      return serving.served;
    },
    initializeResult: () => gatewayInitializeResult(version, pool.initializeResults()),
    opened: (session) => roster.add(session, serving.served),
    identified: (session) => roster.identified(session, serving.served),
    closed(session) {
      roster.remove(session);
      pool.forget(session);
      followLogLevel();
    },
    notified: (session, method, params) => pool.notifyOwn(session, method, params),
    turnedAway(request) {
      if (serving.rules.auditFile !== null) serving.refusals.record(request);
    },
    health: () => ({
      status: "ok",
      version,
      backends: Object.fromEntries(pool.view().map(({ name, phase }) => [name, phase])),
    }),
  };
  const http = new HttpFront({
    gateway: front,
    clock,
    logger,
    bodyLimitBytes: () => server().bodyLimitBytes,
    boundHost: () => keeper.host,
  });
  const owner = new OwnerCalls({ gateway: front, clock, logger });
  const keeper = createListenerKeeper({
    handler: http.handle,
    clock,
    logger,
    announce,
    drainMs: () => server().drainTimeoutMs,
  });

  return { http, owner, keeper, front };
}

interface ServingParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (transition: GatewayTransition) => void;
  readonly redaction: Redaction;
  readonly tools: {
    clock: Clock;
    logger: Logger;
    environment: Readonly<Record<string, string | undefined>>;
    redact: (secret: string) => void;
  };
  readonly roster: SessionRoster;
  readonly tasks: TaskMemory;
  readonly pool: BackendPool;
  readonly followLogLevel: () => void;
}

/** What serves requests now, and the swap to what serves the next ones. */
function createServing({
  clock,
  logger,
  announce,
  redaction,
  tools,
  roster,
  tasks,
  pool,
  followLogLevel,
}: ServingParts) {
  let rules: GatewayRules = createRules(NO_GATEWAY, null, tools);
  let sources: readonly CatalogSource[] = [];
  let catalog: Catalog = buildCatalog(sources, NO_GATEWAY.conflictResolution);
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
    taskBackends: () => tasksListedBy(pool.initializeResults()),
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

  return {
    get served() {
      return served;
    },
    get rules() {
      return rules;
    },
    swap,
    refusals,
    get catalog() {
      return catalog;
    },
  };
}
