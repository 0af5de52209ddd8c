// What serves requests now, and the swap to what serves the next ones: one object, built from the configuration and the
// backends' answers.
import type { Redaction } from "../../runtime/log/log-redaction.ts";
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import { buildCatalog } from "../catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../catalog/catalog.ts";
import { catalogTransitions } from "../catalog/diff-catalogs.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import { KeptResults } from "../limits/kept-results.ts";
import { PrincipalLimiter } from "../limits/principal-limits.ts";
import type { ServingSet } from "../middleware/middleware.ts";
import { RefusalAudit } from "../middleware/refusal-audit.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { TaskMemory } from "../middleware/task-memory.ts";
import type { ToolPins } from "../pins/tool-pins.ts";
import { createRules, type GatewayRules, NO_GATEWAY, type RulesTools } from "./gateway-rules.ts";
import { tasksListedBy } from "./initialize-result.ts";
import { buildServingSet } from "./serving-set.ts";
import type { SessionRoster } from "./session-roster.ts";

interface ServingOptions {
  readonly tools: RulesTools & { readonly announce: (transition: GatewayTransition) => void };
  readonly redaction: Redaction;
  readonly roster: SessionRoster;
  readonly pool: BackendPool;
  readonly pins: ToolPins;
}

export class Serving {
  rules: GatewayRules;
  catalog: Catalog;
  served: ServingSet;
  readonly refusals: RefusalAudit;
  readonly limiter: PrincipalLimiter;
  readonly kept: KeptResults;
  readonly #options: ServingOptions;
  readonly #services: RoutingServices;
  #sources: readonly CatalogSource[] = [];

  constructor(options: ServingOptions) {
    const { tools, redaction, roster, pool } = options;
    this.#options = options;
    this.rules = createRules(NO_GATEWAY, null, tools);
    this.catalog = buildCatalog(this.#sources, NO_GATEWAY.conflictResolution);
    this.refusals = new RefusalAudit({
      write: (record) => this.rules.auditFile?.write(record),
      clock: tools.clock,
      clean: redaction.clean,
    });
    this.limiter = new PrincipalLimiter(this.rules.config.limits, tools.clock);
    this.kept = new KeptResults(tools.clock);
    this.#services = {
      pool,
      hasAllLists: () => pool.unlisted.length === 0,
      catalog: () => this.catalog,
      tasks: new TaskMemory(),
      kept: this.kept,
      setLogLevel: (client, level) => {
        roster.setLogLevel(client, level);
        this.followLogLevel();
      },
      taskBackends: () => tasksListedBy(pool.initializeResults()),
    };
    this.served = this.#build();
  }

  /** How many backends are to be served. */
  get configured(): number {
    return this.#backends.length;
  }

  get #backends(): readonly string[] {
    return this.rules.config.backends.filter(({ enabled }) => enabled).map(({ name }) => name);
  }

  /** The backends log what any session asked for. */
  followLogLevel(): void {
    const { lowestLogLevel } = this.#options.roster;
    if (lowestLogLevel !== null) this.#options.pool.setLogLevel(lowestLogLevel);
  }

  /** One swap: what was published, and by which rules, changes for everybody in the same instant. */
  swap(next: GatewayRules): void {
    const { pool, pins, roster, tools } = this.#options;
    const before = this.catalog;
    const conflicts = next.config.conflictResolution;
    const sources = pins.admit(pool.published, next.config);
    if (this.#sources !== sources || conflicts !== this.rules.config.conflictResolution) {
      this.#sources = sources;
      this.catalog = buildCatalog(this.#sources, conflicts);
    }
    if (next.config.limits !== this.rules.config.limits) this.limiter.configure(next.config.limits);
    this.rules = next;
    this.served = this.#build();
    for (const transition of catalogTransitions(before, this.catalog)) tools.announce(transition);
    roster.notifyChanges(this.served);
  }

  #build(): ServingSet {
    const { tools, redaction, pool, pins } = this.#options;
    const away = [...pool.hidden, ...pins.recalled(pool.unlisted)];
    const { config, authentication, auditFile, telemetry } = this.rules;
    const { audit } = config;
    return buildServingSet({
      catalog: this.catalog,
      away: away.length === 0 ? null : buildCatalog(away, config.conflictResolution),
      authentication,
      scopes: "tokens" in config.incomingAuth ? config.incomingAuth.tokens.scopes : {},
      authorization: config.authorization,
      audit:
        audit === null || auditFile === null
          ? null
          : // A request that began before its file was replaced is written to the new one.
            { config: audit, write: (record) => (this.rules.auditFile ?? auditFile).write(record) },
      limits: { limiter: this.limiter, kept: this.kept },
      services:
        telemetry === null
          ? this.#services
          : { ...this.#services, pool: telemetry.traced(this.#services.pool) },
      between: telemetry === null ? [] : [telemetry.middleware],
      backends: this.#backends,
      callMs: new Map(config.backends.map(({ name, timeouts }) => [name, timeouts.callMs])),
      clock: tools.clock,
      logger: tools.logger,
      clean: redaction.clean,
    });
  }
}
