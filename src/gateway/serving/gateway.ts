// The gateway as a whole: its backends, what it serves, and its listeners.
import type { Duplex } from "node:stream";
import { SERVER_DEFAULT } from "../../config/snapshot.ts";
import { createRedaction } from "../../runtime/log/log-redaction.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { startBackendInstance } from "../backends/instance/start-backend-instance.ts";
import { ListCache } from "../backends/list-cache/list-cache.ts";
import { BackendPool, type PoolOptions } from "../backends/pool/backend-pool.ts";
import { SignIns } from "../backends/server-sign-in/sign-ins.ts";
import { Warden } from "../backends/transports/stdio/warden.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { entryOf } from "../catalog/resolve.ts";
import { machinePrincipal, OWNER, type Principal } from "../client-handle.ts";
import { HttpFront } from "../frontend/http/http-front.ts";
import { ModernFront } from "../frontend/modern/modern-front.ts";
import type { FrontGateway } from "../frontend/session/front-contract.ts";
import { NO_SESSIONS } from "../frontend/session/session-memory.ts";
import { LinesFront } from "../frontend/stdio/lines.ts";
import { SuspendedCalls } from "../frontend/suspended/suspended-calls.ts";
import type { JsonObject, Reply } from "../json-rpc.ts";
import type { NoticeRecord } from "../middleware/audit.ts";
import type { OwnerQuestions } from "../middleware/owner-questions.ts";
import { NO_PIN_STORE } from "../pins/pin-store.ts";
import { type ApprovedItem, Pins, type PinsState } from "../pins/pins.ts";
import { accessSummary } from "./access-report.ts";
import { accountSignIn } from "./account-sign-in.ts";
import { backendTransports } from "./backend-transports.ts";
import { ClientGrants } from "./client-grants.ts";
import { drainGateway } from "./drain-gateway.ts";
import { createGatewayConditions } from "./gateway-conditions.ts";
import {
  closeInheritedListener,
  type GatewayConfig,
  type GatewayOptions,
  type GatewayView,
  type InheritedListener,
  type ListenAddress,
  type PreparedGateway,
} from "./gateway-contract.ts";
import { createGatewayFront } from "./gateway-front.ts";
import { beforeMcp, GatewayListener } from "./gateway-listener.ts";
import {
  accountsOf,
  closeRules,
  createRules,
  type GatewayRules,
  measuredOf,
  publicHostOf,
  scriptsFor,
  telemetryFor,
} from "./gateway-rules.ts";
import { FirstImport, type ImportedBackend, withImported } from "./imported-backends.ts";
import { NameRegistry } from "./name-registry.ts";
import { OwnerCalls } from "./owner-calls.ts";
import { exportGroup } from "./selection.ts";
import { separateOf } from "./separate-servers.ts";
import { Serving } from "./serving.ts";
import { sessionKeys } from "./session-keys.ts";
import { ContinuedSessions, SessionRoster } from "./session-roster.ts";

/**
 * When the gateway stops: the time for calls in flight to end, and then the time for their connections to close, ms.
 */
const STOP_DRAIN_MS = 3_000;
const STOP_CUT_MS = 250;
/** Longest wait for the warden to end the programs that are left, ms. */
const STOP_WARDEN_MS = 250;

/** Replaced in tests. */
export type GatewayMeans = Partial<Pick<PoolOptions, "startInstance" | "openTransport" | "random">>;

/** Nothing runs before `start`, `build` or the commit of a prepared configuration. */
export class Gateway implements AsyncDisposable {
  readonly #options: GatewayOptions;
  readonly #warden: Warden;
  readonly #roster = new SessionRoster();
  readonly #signIns: SignIns | null;
  readonly #lists: ListCache;
  readonly pool: BackendPool;
  readonly #pins: Pins;
  readonly #names: NameRegistry;
  readonly clients: ClientGrants;
  readonly serving: Serving;
  readonly #continued: ContinuedSessions;
  readonly #front: FrontGateway;
  readonly #suspended: SuspendedCalls;
  readonly #modern: ModernFront;
  readonly http: HttpFront;
  readonly #owner: OwnerCalls;
  readonly listener: GatewayListener;
  readonly #lines = new Set<LinesFront>();
  readonly #conditions: ReturnType<typeof createGatewayConditions>;
  readonly #firstImport = new FirstImport();
  #imported: readonly ImportedBackend[] = [];
  #applying = false;
  #isOpen = false;
  #ending: Promise<void> | null = null;

  constructor(given: GatewayOptions, means: GatewayMeans = {}) {
    const { clock, logger } = given;
    const redaction = createRedaction();
    const redact = (secret: string): void => {
      redaction.redact(secret);
      given.redact(secret);
    };
    const options = { ...given, redact };
    this.#options = options;
    if (options.questions !== undefined) options.questions.announce = options.announce;
    this.#warden = new Warden({ clock, logger });
    this.#signIns =
      options.signIn === undefined
        ? null
        : new SignIns({
            ...options.signIn,
            clock,
            logger,
            random: means.random ?? Math.random,
            onNotice: (backend) => this.pool.recheck(backend),
          });
    const onChanged = (): void => {
      if (this.#ending === null) this.serving.swap(this.serving.rules);
    };
    this.#lists = new ListCache(options);
    this.#names = new NameRegistry({ ...options, onChanged });
    this.#pins = new Pins({ ...options, store: options.pinStore ?? NO_PIN_STORE, onChanged });
    this.pool = this.#createPool(options, means);
    this.#suspended = options.suspended ?? new SuspendedCalls(clock);
    this.clients = new ClientGrants({
      ...{ clock, logger, store: options.grantStore },
      rules: () => this.serving.rules,
      hasGroup: (name) => this.serving.hasGroup(name),
      accessOf: (principal) => accessSummary(this.serving.access(principal)),
      refused: (request) => this.#front.requestRefused(request),
      begin: accountSignIn(options.signIn, clock, () => this.pool),
      connected: ({ backend, user }) => void this.pool.restart(backend, user),
    });
    this.clients.grants.onChanged = () => {
      if (this.#ending === null) this.#apply(this.serving.rules);
    };
    this.serving = new Serving({
      tools: { ...options, grants: this.clients.grants },
      stateKey: () => this.#suspended.stateKey.key,
      redaction,
      roster: this.#roster,
      pool: this.pool,
      pins: this.#pins,
      names: this.#names,
    });
    this.#continued = new ContinuedSessions({
      roster: this.#roster,
      served: () => this.serving.served,
      clock,
      random: means.random ?? Math.random,
      whenStarted: (signal) => {
        const first = { whenStarted: (until: AbortSignal) => this.pool.listed(until) };
        return this.#firstImport.whenStarted(first, this.serving.rules, clock, signal);
      },
      isComing: (backend) => this.pool.isComing(backend),
      firstList: (backend) => this.pool.firstList(backend),
      dueLists: (session, request) => this.serving.dueLists(session, request),
      runsInPrevious: options.runsInPrevious,
    });
    const { version } = options;
    const [roster, pool, serving, continued] = [this.#roster, this.pool, this.serving, this.#continued];
    const parts = { roster, pool, serving, continued, signIn: this.clients.signIn };
    this.#front = createGatewayFront(version, parts);
    this.#modern = new ModernFront({ gateway: this.#front, clock, logger, suspension: this.#suspended });
    this.http = new HttpFront({
      gateway: this.#front,
      modern: this.#modern,
      sessionKeys: sessionKeys(() => this.serving.rules, options.sessionSecret),
      others: options.others,
      clock,
      logger,
      bodyLimitBytes: () => this.#server.bodyLimitBytes,
      boundHost: () => this.listener.host,
      publicHost: () => publicHostOf(this.#server),
      pages: () => ({
        origins: this.#server.allowedOrigins,
        hasSignIn: this.serving.rules.config.incomingAuth.type !== "anonymous",
      }),
    });
    this.http.store.follow(options.handedSessions?.() ?? NO_SESSIONS);
    this.#owner = new OwnerCalls({ gateway: this.#front, clock, logger });
    this.listener = new GatewayListener({
      handler: beforeMcp(options.handleFirst, this.http.handle),
      clock,
      logger,
      announce: options.announce,
      ...(options.homeOf !== undefined && { homeOf: options.homeOf }),
      drainMs: () => this.#server.drainTimeoutMs,
      openQuestions: () => this.http.store.openQuestions + this.#suspended.openQuestions,
    });
    this.#conditions = createGatewayConditions(clock);
    this.pool.onPublished(() => {
      if (this.#applying) return;
      this.serving.swap(this.serving.rules);
      this.#continued.startReady();
    });
  }

  /**
   * Resolves after the first attempt to listen, and never waits for a backend. A busy port becomes a condition, and
   * listening is tried again.
   */
  async start(config: GatewayConfig): Promise<void> {
    await this.build(config);
    await this.open(config);
  }

  /** The first half of `start`: no client can connect yet. */
  async build(config: GatewayConfig): Promise<void> {
    await this.#load(config);
    this.#apply(await this.#rulesFor(config));
  }

  /** The second half of `start`: accepts clients, on the previous daemon's socket (`handed`) if there is one. */
  async open(config: GatewayConfig, handed: InheritedListener | null = null): Promise<void> {
    const address = this.#addressOf(config);
    this.#isOpen = true;
    this.#continued.begin();
    if (address === null) closeInheritedListener(handed);
    else await this.listener.open(address, handed);
  }

  /** Saves what the next daemon needs. Resolves when pins, names and lists are written. */
  async save(): Promise<void> {
    await Promise.all(this.#books.map((book) => book.flush()));
  }

  /**
   * Takes over the home: reads the pins, names and lists that the previous daemon wrote last. `begin` allows writing, and is
   * called before these pins are used.
   */
  async takeHome(begin: () => void): Promise<void> {
    await Promise.all([
      this.#pins.storedBook.reload(begin),
      this.#names.storedNames.reload(),
      this.#lists.storedBook.reload(),
      this.clients.grants.reload(),
    ]);
    this.#lists.storedBook.save();
  }

  /**
   * Hands the clients over to the next daemon. `onEnded` is called when backends that cannot run twice have
   * ended. Resolves when all clients have moved, or after `graceMs`.
   */
  leave(graceMs: number, onEnded: () => Promise<void>): Promise<void> {
    const { http, listener, pool } = this;
    const [lines, modern, suspended] = [this.#lines, this.#modern, this.#suspended];
    const draining = { clock: this.#options.clock, http, listener, pool, lines, modern, suspended };
    return drainGateway(draining, graceMs, onEnded);
  }

  /** Rejects with `listen_failed` if a new address cannot be bound. */
  async prepare(config: GatewayConfig): Promise<PreparedGateway> {
    await this.#load(config);
    const listener = await this.listener.prepare(this.#addressOf(config));
    const before = this.serving.rules;
    const next = await this.#rulesFor(config).catch(async (error: unknown) => {
      await listener.rollback();
      throw error;
    });
    const isOtherFile = before.auditFile !== next.auditFile;
    return {
      commit: () => {
        this.#isOpen = true;
        if (isOtherFile && before.auditFile !== null) this.serving.refusals.writeCounts();
        this.#apply(next);
        listener.commit();
      },
      async retire() {
        await Promise.all([closeRules(before, next), listener.retire()]);
      },
      async rollback() {
        await Promise.all([closeRules(next, before), listener.rollback()]);
      },
    };
  }

  /** The questions to the owner; absent: the owner cannot be asked. */
  get questions(): OwnerQuestions | undefined {
    return this.#options.questions;
  }

  view(): GatewayView {
    const { catalog, rules } = this.serving;
    const fronts = [this.http, ...this.#lines];
    const serving = [...fronts, this.#modern, this.#owner];
    const { condition, url } = this.listener;
    const unsaved = this.#options.sessionSecret?.().unsavedBecause ?? null;
    return {
      url,
      sessions: fronts.reduce((sum, { sessions }) => sum + sessions, 0),
      inFlight: serving.reduce((sum, { inFlight }) => sum + inFlight, 0),
      backends: this.pool.view(),
      counts: {
        tools: catalog.tools.size,
        resources: catalog.resources.size,
        resourceTemplates: catalog.templates.size,
        prompts: catalog.prompts.size,
      },
      conditions: this.#conditions(rules, catalog, condition, this.#pins.state, url, {
        sessionKeyUnsavedBecause: unsaved,
        namesLost: this.#names.lost,
        questions: this.questions?.list ?? [],
        ruleOwners: this.#names.rules,
        unmatched: this.serving.unmatched,
      }),
    };
  }

  /** As a client's list request does. Resolves when the tools of servers are as they are now, or after the longest wait. */
  async currentTools(): Promise<void> {
    await this.pool.readDueLists(["tools"]);
  }

  /** All entries of the catalog, in its order. Policies hide none of them. */
  entries() {
    const { tools, prompts, resources } = this.serving.catalog;
    return { tools: [...tools.values()], prompts: [...prompts.values()], resources: [...resources.values()] };
  }

  /**
   * Switches tools on or off; the change survives restarts. Resolves with the names that changed. If a name is unknown,
   * resolves with the first unknown name and changes nothing. Rejects with `secret_unavailable`.
   */
  async switchTools(names: readonly string[], on: boolean) {
    const { catalog } = this.serving;
    const tools = names.map((name) => ({ name, found: entryOf(catalog, { kind: "tool", name }) }));
    const unknown = tools.find(({ found }) => found === null || found.status === "unapproved");
    if (unknown !== undefined) return { unknown: unknown.name };
    const other = tools.flatMap(({ name, found }) =>
      found === null || (found.status !== "off") === on ? [] : [{ ...found, name }],
    );
    if (other.length > 0) await this.#names.switchTools(other, on);
    return { switched: other.map(({ name }) => name) };
  }

  trust(): Pick<PinsState, "pending" | "lost" | "isUnread"> & Pick<Catalog, "unseen"> {
    const { pending, lost, isUnread } = this.#pins.state;
    return { pending, lost, isUnread, unseen: this.serving.catalog.unseen };
  }

  /**
   * Items that have changed since they were shown are `left`. `all` also accepts the loss of the pins.
   * Resolves when the pins are written, or a condition says why not.
   */
  async approveTools(items: readonly ApprovedItem[], all: boolean): Promise<ReturnType<Pins["approve"]>> {
    const outcome = this.#pins.approve(items, all);
    this.serving.swap(this.serving.rules);
    await this.#pins.storedBook.flush();
    return outcome;
  }

  /** Writes a record of an event that is not a client's request. */
  record(record: NoticeRecord): void {
    this.serving.rules.auditFile?.write(record);
  }

  /** The request is audited, but no authentication and no policies apply to it. Never rejects. */
  request(method: string, params: JsonObject | undefined, signal: AbortSignal): Promise<Reply> {
    return this.#owner.request(method, params, signal);
  }

  /**
   * Serves one client over lines of JSON-RPC, as the owner, until the stream ends. `folder`: where the client was started;
   * absent: it may tell.
   */
  serveLines(stream: Duplex, folder?: string): void {
    this.#serve(stream, OWNER, folder === undefined ? {} : { folder });
  }

  /** Serves one exported backend to another machine over lines of JSON-RPC. The principal is `fleet:MACHINE`. */
  serveMachine(stream: Duplex, machine: string, backend: string): void {
    this.#serve(stream, machinePrincipal(machine), { group: exportGroup(backend) });
  }

  /** Exported backends that publish something now. */
  exported(): readonly string[] {
    const { exports = [] } = this.serving.rules.config;
    const published = new Set(this.pool.published.map(({ backend }) => backend));
    return exports.filter((name) => published.has(name));
  }

  /** Other machines' backends that are not in `backends` end at once. */
  setImported(backends: readonly ImportedBackend[]): void {
    this.#imported = backends;
    this.#firstImport.record(backends);
    this.#apply(this.serving.rules);
  }

  #serve(stream: Duplex, principal: Principal, opening: { group?: string; folder?: string }): void {
    const { clock, logger } = this.#options;
    const client = new LinesFront(stream, {
      gateway: this.#front,
      modern: this.#modern,
      clock,
      logger,
      principal,
      ...opening,
      bodyLimitBytes: () => this.#server.bodyLimitBytes,
    });
    this.#lines.add(client);
    void client.closed.then(() => this.#lines.delete(client));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  get #books() {
    return [this.#pins.storedBook, this.#names.storedNames, this.#lists.storedBook];
  }

  get #server(): NonNullable<GatewayConfig["server"]> {
    return this.serving.rules.config.server ?? SERVER_DEFAULT;
  }

  async #rulesFor(config: GatewayConfig): Promise<GatewayRules> {
    const { rules } = this.serving;
    const { measured = () => [], listens } = this.#options;
    const tools = { ...this.#options, measured: () => [...measuredOf(this.view()), ...measured()] };
    // A single-shot command sends no telemetry.
    const telemetry = await telemetryFor(listens ? config.telemetry : null, rules, tools);
    const { grants } = this.clients;
    return createRules(config, rules, { ...this.#options, grants }, telemetry, await scriptsFor(config));
  }

  async #load(config: GatewayConfig): Promise<void> {
    const names = this.#names.storedNames.load();
    await Promise.all([this.#pins.load(config), names, this.#lists.load(), this.clients.load(config)]);
  }

  #createPool(options: GatewayOptions, means: GatewayMeans): BackendPool {
    return new BackendPool({
      ...options,
      clientInfo: { name: "mountaineer", version: options.version },
      startInstance: startBackendInstance,
      extensions: () => this.#roster.commonExtensions,
      answers: {
        reading: (principal) => this.serving.limiter.reading(principal),
        untilRead: (principal) => this.serving.limiter.untilRead(principal),
      },
      remembered: this.#lists,
      routeOverrides: this.#names.routeOverrides,
      signIn: (...whose) => this.#signIns?.notice(...whose) ?? null,
      connectAt: (...whose) => this.clients.connectAt(...whose),
      openTransport: backendTransports({
        ...options,
        warden: this.#warden,
        signIns: () => this.#signIns,
        hashSeed: (backend) => this.#lists.hashSeed(backend),
      }),
      random: Math.random,
      publishedUri: (backend, uri) => this.serving.catalog.publishedUri(backend, uri),
      onLog: (params, backend) =>
        this.#roster.emitLog(params, backend, this.serving.served, separateOf(this.serving.rules.config)),
      ...means,
    });
  }

  /** null: there is nothing to serve, or this process must not listen. */
  #addressOf({ server, backends, importsBackends = false }: GatewayConfig): ListenAddress | null {
    const isServed = server !== null || backends.length > 0 || importsBackends;
    if (!this.#options.listens || !isServed) return null;
    const { host, port } = server ?? SERVER_DEFAULT;
    return { host, port };
  }

  #apply(rules: GatewayRules): void {
    const config = withImported(rules.config, this.#imported);
    const next = config === rules.config ? rules : { ...rules, config };
    const { drainTimeoutMs } = next.config.server ?? SERVER_DEFAULT;
    const { backends, failback } = next.config;
    this.#applying = true;
    this.#lists.configure(backends.map(({ name }) => name));
    try {
      const accounts = accountsOf(next.authentication.users, this.#options.clock.wallMs());
      this.pool.apply(backends, { drainTimeoutMs, failback, accounts });
    } finally {
      this.#applying = false;
    }
    this.serving.swap(next);
    this.http.endWithdrawn();
    this.#modern.endWithdrawn();
    this.#roster.endForbidden(this.serving.served, (session, uri) => {
      const found = this.serving.served.ownerOf(session.principal, { kind: "resource", name: uri });
      if (found !== null) void this.pool.unsubscribe(found.backend, found.originalName, session);
    });
    this.clients.endOrphans();
    if (this.#isOpen) this.#continued.begin();
    this.#continued.startReady();
  }

  async #end(): Promise<void> {
    const { clock } = this.#options;
    const fronts = [this.http, ...this.#lines, this.#owner];
    this.#continued[Symbol.dispose]();
    await Promise.all([
      ...fronts.map((front) => front.stop(STOP_DRAIN_MS)),
      this.#modern.end(STOP_DRAIN_MS, "the gateway is stopping"),
      this.pool[Symbol.asyncDispose](),
      this.#signIns?.[Symbol.asyncDispose](),
    ]);
    await this.listener.close(STOP_CUT_MS);
    await settlesWithin(clock, STOP_WARDEN_MS, Promise.resolve(this.#warden[Symbol.asyncDispose]()));
    this.clients[Symbol.dispose]();
    this.serving[Symbol.dispose]();
    this.serving.refusals.writeCounts();
    await this.save();
    await Promise.all(this.#books.map((book) => book[Symbol.asyncDispose]()));
    await closeRules(this.serving.rules, null);
  }
}
