// Holds what the gateway serves now, built from the configuration and the backends' lists, and replaces it by what
// the gateway serves next.

import { errorText } from "../../runtime/errors.ts";
import type { Redaction } from "../../runtime/log/log-redaction.ts";
import { memoized } from "../../runtime/memo.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { ownTurn } from "../../runtime/time/turns.ts";
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import { buildCatalog } from "../catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../catalog/catalog.ts";
import { catalogTransitions } from "../catalog/diff-catalogs.ts";
import { type KnownNames, NO_NAMES } from "../catalog/names.ts";
import type { Principal } from "../client-handle.ts";
import { withFolders } from "../folders/folder-gate.ts";
import type { JsonObject } from "../json-rpc.ts";
import { PrincipalLimiter } from "../limits/principal-limits.ts";
import type { ServedClient, ServingSet } from "../middleware/middleware.ts";
import { NamedUris } from "../middleware/named-uris.ts";
import { RefusalAudit } from "../middleware/refusal-audit.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { TaskIds, TaskMemory } from "../middleware/task-ids.ts";
import { createOwnTools, type OwnTools } from "../optimizer/own-tools.ts";
import { ToolIndex } from "../optimizer/tool-index.ts";
import { type Pins, pinModes } from "../pins/pins.ts";
import type { SpokenVersion } from "../protocol.ts";
import type { Scripts } from "../scripts/scripts.ts";
import { CallMinutes } from "../telemetry/call-minutes.ts";
import { type AccessReport, accessReport, accessSummary, MAY_USE_NOTHING, OPEN } from "./access-report.ts";
import { ConnectedClients } from "./connected-clients.ts";
import type { GatewayOptions } from "./gateway-contract.ts";
import { createRules, type GatewayRules, NO_GATEWAY, type RulesTools } from "./gateway-rules.ts";
import {
  declaredExtensions,
  extensionBackendsOf,
  gatewayInitializeResult,
  tasksListedBy,
} from "./initialize-result.ts";
import { dueLists } from "./list-reads.ts";
import { type NameRegistry, toolKey } from "./name-registry.ts";
import { boundNames } from "./rule-bindings.ts";
import { createSelections, isSameSelection, type Selections } from "./selection.ts";
import { separateServers } from "./separate-servers.ts";
import { buildServingSet } from "./serving-set.ts";
import type { SessionRoster } from "./session-roster.ts";
import { type UnmatchedName, unmatchedNames } from "./unmatched-names.ts";

interface ServingOptions {
  readonly tools: RulesTools &
    Pick<GatewayOptions, "announce" | "environment" | "guarded" | "questions" | "resolvePaths">;
  readonly redaction: Redaction;
  readonly roster: SessionRoster;
  readonly pool: BackendPool;
  /** Returns the key that signs task ids. */
  readonly stateKey: () => string;
  readonly pins: Pins;
  readonly names: NameRegistry;
}

/** A list is answered then, though its names are not on disk. */
const SAVES_WITHIN_MS = 1_000;
const NO_TOOLS: Catalog["tools"] = new Map();

export class Serving {
  rules: GatewayRules;
  catalog: Catalog;
  served: ServingSet;
  readonly refusals: RefusalAudit;
  readonly limiter: PrincipalLimiter;
  readonly minutes: CallMinutes;
  readonly clients: ConnectedClients;
  readonly #options: ServingOptions;
  readonly #index = new ToolIndex();
  readonly #ownTools: OwnTools;
  #selections: Selections;
  /** Servers that declare an extension which another one serves. */
  readonly #second = new Set<string>();
  #scripts: Scripts | null = null;
  readonly #services: RoutingServices;
  #sources: readonly CatalogSource[] = [];
  #unmatched: { readonly by: readonly unknown[]; readonly names: readonly UnmatchedName[] } | null = null;
  /** The name owners with which the current catalog was built. `#off`: the tools that were switched off then. */
  #owners = NO_NAMES.owners;
  #off: NameRegistry["off"] = new Set();
  /** Comparing what each client sees takes as long as building the catalog, so it takes a separate turn. */
  #notifying: Promise<void> | null = null;

  constructor(options: ServingOptions) {
    const { tools, redaction, roster, pool } = options;
    this.#options = options;
    this.rules = createRules(NO_GATEWAY, null, tools);
    this.#selections = createSelections(this.rules.config);
    this.catalog = buildCatalog(this.#sources, NO_GATEWAY.conflictResolution);
    this.refusals = new RefusalAudit({
      write: (record) => this.rules.auditFile?.write(record),
      clock: tools.clock,
      clean: redaction.clean,
    });
    this.limiter = new PrincipalLimiter(this.rules.config.limits, tools.clock);
    this.minutes = new CallMinutes(tools.clock);
    this.clients = new ConnectedClients(tools.clock, redaction.clean);
    this.#ownTools = createOwnTools({ index: this.#index, clock: tools.clock, logger: tools.logger });
    this.#services = {
      pool: this.minutes.counting(pool),
      hasAllLists: () => pool.unlisted.length === 0,
      remainingMs: (list) => pool.remainingMs(list),
      catalog: () => this.catalog,
      inUse: ({ freshNames }) => this.#use(freshNames),
      tasks: new TaskMemory(),
      taskIds: new TaskIds(options.stateKey),
      named: new NamedUris(tools.clock),
      blocksChanges: (backend) => pinModes(this.rules.config)(backend) === "block",
      setLogLevel: (client, level) => {
        roster.setLogLevel(client, level);
        this.followLogLevel();
      },
      taskBackends: () => tasksListedBy(pool.initializeResults()),
      extensionBackends: () => extensionBackendsOf(pool.initializeResults()),
    };
    this.served = this.#build();
  }

  /** Logs once for each server that declares an extension after another server. */
  #logTwins(): void {
    const servers = this.#options.pool.initializeResults();
    const owners = extensionBackendsOf(servers);
    for (const [extension, backend] of declaredExtensions(servers)) {
      const servedBy = owners.get(extension);
      if (servedBy === backend || this.#second.has(backend)) continue;
      this.#second.add(backend);
      const fields = { extension: safeLine(extension, 200), backend, served_by: servedBy };
      this.#options.tools.logger.warn(
        "an extension is declared by two servers; the first one serves it",
        fields,
      );
    }
  }

  hasGroup(name: string): boolean {
    return this.#selections.hasGroup(name);
  }

  /** The result contains only the servers in this client's part of the catalog, and instructions of those that it may use. */
  initializeResult(version: string, spoken: SpokenVersion, client: ServedClient): JsonObject {
    const { catalog, serves, viewFor, sole, introduction, extensions } = this.served.forClient(client);
    const view = viewFor(client.principal);
    // Takes the instructions that were approved; the instructions in `initializeResults` may be newer.
    const approved = new Map(
      this.#sources.map(({ backend, instructions = null }) => [backend, instructions]),
    );
    const servers = this.#options.pool
      .initializeResults()
      .filter(({ backend }) => serves(backend))
      .map((server) => {
        const { backend } = server;
        return { ...server, instructions: view.sees(backend) ? (approved.get(backend) ?? null) : null };
      });
    const isShut = !servers.some(({ backend }) => view.sees(backend)) && this.#shutsOut(client.principal);
    const shown = { catalog, passesAll: sole !== null, extensions: extensions() };
    return gatewayInitializeResult(
      version,
      servers,
      { ...shown, introduction: isShut ? MAY_USE_NOTHING : introduction },
      spoken,
    );
  }

  followLogLevel(): void {
    const { lowestLogLevel } = this.#options.roster;
    if (lowestLogLevel !== null) this.#options.pool.setLogLevel(lowestLogLevel);
  }

  swap(next: GatewayRules): void {
    const { roster, tools } = this.#options;
    const before = this.catalog;
    const conflicts = next.config.conflictResolution;
    const sources = this.#offered(next.config);
    const { owners, off } = this.#options.names;
    const isSame =
      this.#sources === sources &&
      this.#owners === owners &&
      this.#off === off &&
      conflicts === this.rules.config.conflictResolution;
    if (!isSame) {
      this.#sources = sources;
      this.#owners = owners;
      this.#off = off;
      this.catalog = buildCatalog(this.#sources, conflicts, knownNames(this.#options.names, next.config));
      this.#logTwins();
    }
    if (next.config.limits !== this.rules.config.limits) this.limiter.configure(next.config.limits);
    const bound = this.#options.names.rules;
    this.#options.names.bind(boundNames(next.config, bound, this.catalog, sources));
    if (bound !== this.#options.names.rules || !isSameSelection(next.config, this.rules.config))
      this.#selections = createSelections(next.config, this.#options.names.rules);
    this.rules = next;
    this.served = this.#build();
    for (const transition of catalogTransitions(before, this.catalog)) tools.announce(transition);
    this.#notifying ??= ownTurn()
      .then(() => {
        this.#notifying = null;
        roster.notifyChanges(this.served);
      })
      .catch((error: unknown) =>
        tools.logger.error("changes of lists were not announced", { error: errorText(error) }),
      );
  }

  /**
   * Notes that a client has seen `fresh`, the names that the catalog gave for the first time. From now on these names
   * stay with their owners: also over a crash, once the returned promise has resolved; null: they are not fresh.
   */
  #use(fresh: Catalog["freshNames"]): Promise<unknown> | null {
    const { names, tools } = this.#options;
    const isUsed = this.#owners !== names.owners || fresh !== this.catalog.freshNames;
    if (fresh.size === 0 || isUsed) return null;
    names.use(fresh, knownNames(names, this.rules.config).isConfigured);
    return settlesWithin(tools.clock, SAVES_WITHIN_MS, names.storedNames.flush());
  }

  /**
   * The approved lists of all backends, in the approved order, also of those whose required share or folder is missing,
   * whose server is down, or whose server has listed nothing yet.
   */
  #offered(config: GatewayRules["config"]): readonly CatalogSource[] {
    const { pool, pins } = this.#options;
    const admitted = pins.admit([...pool.published, ...pool.unavailable.map(asUnavailable)], config);
    const order = new Map(config.backends.map(({ name }, at) => [name, at]));
    const rankOf = ({ backend }: CatalogSource): number => order.get(backend) ?? order.size;
    const sources = [...admitted, ...pins.recalled(pool.unlisted)].sort(
      (one, other) => rankOf(one) - rankOf(other),
    );
    const before = this.#sources;
    const isSame =
      sources.length === before.length && sources.every((one, at) => isSameMembers(one, before[at] ?? {}));
    return isSame ? before : sources;
  }

  /** The same object for all serving sets, as scripts outlive a set. Null: scripts are not allowed. */
  #scriptsNow(): Scripts | null {
    const { createScripts } = this.rules;
    if (createScripts === null) return null;
    const { tools, redaction } = this.#options;
    this.#scripts ??= createScripts({
      ...{ clock: tools.clock, logger: tools.logger, clean: redaction.clean, limiter: this.limiter },
      served: () => this.served,
      dueLists: (client, request) => this.dueLists(client, request),
      config: () => this.rules.config.scripts,
    });
    return this.#scripts;
  }

  /** Reads the lists of servers that the request is about; null: it needs not wait for any. */
  dueLists(client: ServedClient, request: Parameters<typeof dueLists>[2]): Promise<void> | null {
    const { pool, names } = this.#options;
    const backends = this.rules.config.backends.map(({ name }) => name);
    const parts = { pool, served: this.served.forClient(client), names: names.owners, backends };
    return dueLists(parts, client, request);
  }

  /** The principal's rights by the rules that are in use. */
  access(principal: Principal): AccessReport {
    const { config } = this.rules;
    return accessReport({
      principal,
      catalog: this.catalog,
      authorization: config.authorization,
      owners: this.#options.names.rules,
      separate: separateServers(config, this.#options.pool),
      backends: config.backends.filter(({ enabled }) => enabled).map(({ name }) => name),
    });
  }

  /** Whether servers have listed something, and the principal may use nothing of it. */
  #shutsOut(principal: Principal): boolean {
    const report = this.access(principal);
    return report.servers.some(({ entries }) => entries.length > 0) && accessSummary(report).length === 0;
  }

  /** What the rules in use name, and no server has. Looked for once for each catalog and configuration. */
  get unmatched(): readonly UnmatchedName[] {
    const { catalog } = this;
    const { config } = this.rules;
    const owners = this.#options.names.rules;
    const by = [catalog, config, owners];
    if (this.#unmatched === null || by.some((one, at) => one !== this.#unmatched?.by[at]))
      this.#unmatched = { by, names: unmatchedNames(config, owners, this.served, this.#sources) };
    return this.#unmatched.names;
  }

  /** Ends threads that wait for scripts. */
  [Symbol.dispose](): void {
    this.#scripts?.[Symbol.dispose]();
  }

  /** Whether a client has fewer rights than its user. Rules then also apply without `[authorization]`. */
  get #limitsClients(): boolean {
    const { grants } = this.#options.tools;
    return grants?.list.some(({ backends, read_only }) => backends !== null || read_only) === true;
  }

  #build(): ServingSet {
    // Only clients that search tools need the index.
    this.#index.follow(this.#selections.mayOptimize ? this.catalog.tools : NO_TOOLS);
    const { tools, redaction } = this.#options;
    const { config, authentication, auditFile, telemetry } = this.rules;
    const { audit } = config;
    const separate = separateServers(config, this.#options.pool);
    const pool = telemetry === null ? this.#services.pool : telemetry.traced(this.#services.pool);
    return buildServingSet({
      catalog: this.catalog,
      authentication,
      scopes: "tokens" in config.incomingAuth ? config.incomingAuth.tokens.scopes : {},
      authorization: config.authorization ?? (this.#limitsClients || separate.size > 0 ? OPEN : null),
      ruleOwners: this.#options.names.rules,
      separate,
      audit:
        audit === null || auditFile === null
          ? null
          : // A request that began before the file was replaced is written to the new file.
            {
              config: audit,
              write: (record) => (this.rules.auditFile ?? auditFile).write(record),
              writeDenied: (record, rule) => this.refusals.denied(record, rule),
            },
      limiter: this.limiter,
      selections: this.#selections,
      ownTools: this.#ownTools,
      scripts: this.#scriptsNow(),
      questions: tools.questions ?? null,
      answered: (request, reply) => this.clients.answered(request, reply),
      current: () => this.served,
      services: {
        ...this.#services,
        pool: withFolders(pool, {
          backends: config.backends,
          userHome: tools.guarded?.userHome ?? tools.environment["HOME"] ?? "/",
          resolvePaths: tools.resolvePaths ?? (async () => null),
          catalog: this.#services.catalog,
          clock: tools.clock,
        }),
      },
      between: telemetry === null ? [] : [telemetry.middleware],
      backends: config.backends.filter(({ enabled }) => enabled).map(({ name }) => name),
      callMs: new Map(
        config.backends.map(({ name, timeouts }) => [name, timeouts.otherMs ?? timeouts.callMs]),
      ),
      clock: tools.clock,
      logger: tools.logger,
      clean: redaction.clean,
    });
  }
}

/** Always the same object for the same source. */
const asUnavailable = memoized(
  (source: CatalogSource): CatalogSource => ({ ...source, isUnavailable: true }),
);

function knownNames(
  { owners, off }: Pick<NameRegistry, "owners" | "off">,
  { backends }: GatewayRules["config"],
): KnownNames {
  const configured = new Set(backends.map(({ name }) => name));
  return {
    owners,
    isConfigured: (backend) => configured.has(backend),
    isOff: (backend, tool) => off.size > 0 && off.has(toolKey(backend, tool)),
  };
}

/** Whether both have the same members, compared by identity. */
function isSameMembers(one: object, other: object): boolean {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].every((key) => Reflect.get(one, key) === Reflect.get(other, key));
}
