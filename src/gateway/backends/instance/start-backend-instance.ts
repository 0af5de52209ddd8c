// An instance of a backend: one connection to its server, from its start to its end.
import { assertParsed } from "../../../runtime/json/large-json.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";
import { turnGiver } from "../../../runtime/time/turns.ts";
import type { ListFreshness, Listings } from "../../catalog/catalog.ts";
import type { ClientHandle } from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  classifyMessage,
  errorReply,
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcError,
  type RpcId,
  type RpcMessage,
  rpcNotification,
} from "../../json-rpc.ts";
import { LIST_KINDS, type McpLogLevel } from "../../protocol.ts";
import {
  type BackendTransport,
  type Sender,
  type ServerQuirk,
  type TransportFailure,
  transportFailure,
} from "../transports/backend-transport.ts";
import { namesSession } from "../transports/http/refusal.ts";
import { ClientRecords, type ElicitationRecord, rememberTask, type TaskRecord } from "./attribution.ts";
import type {
  BackendCall,
  InitializeResult,
  InstanceObservation,
  InstanceOptions,
  InstanceState,
} from "./backend-instance.ts";
import { InstanceCalls } from "./calls.ts";
import { unavailable } from "./failures.ts";
import { Health } from "./health.ts";
import { IdleTracker } from "./idle-tracker.ts";
import { InstanceLists } from "./lists.ts";
import { createNotifications, type TakeNotification } from "./notifications.ts";
import type { LongWaits, PendingRequest } from "./pending.ts";
import { inputsBy, pagesBy } from "./questions-by-server.ts";
import { createServerLog, createServerLogLevel, type ServerLog, type ServerLogLevel } from "./server-log.ts";
import { ServerRequests } from "./server-requests.ts";
import { ServerSession, STOPPED } from "./session.ts";
import { createTaskWatchers, Subscriptions, type TaskWatchers } from "./subscriptions.ts";

/** How long the start waits for clients to answer the server's first questions. */
const FIRST_QUESTIONS_MS = 10_000;
const FIRST_PING_MS = 2_000;
const AFTER_ANSWER_MS = 200;
/** Minimum time between two reports that no call is in flight. */
const BETWEEN_IDLE_MS = 100;
/**
 * Minimum time between two readings of all lists after ended streams, ms. Some proxies and servers end streams all
 * the time.
 */
const BETWEEN_GAPS_MS = 30_000;

/** No callback is called before this function returns. Failures are in `observed`. */
export function startBackendInstance(options: InstanceOptions): BackendInstance {
  const instance = new RunningInstance(options);
  void instance.start();
  return instance;
}

export type BackendInstance = Omit<RunningInstance, "start">;
export type StartInstance = typeof startBackendInstance;

class RunningInstance {
  readonly id: number;
  readonly #options: InstanceOptions;
  readonly #startedAtMs: number;
  #state: InstanceState = { kind: "starting" };
  #readyAtMs: number | null = null;
  #observed: InstanceObservation | null = null;
  /** The error for all requests after the end. */
  #over: RpcError | null = null;
  #closing: Promise<void> | null = null;
  /** Why the server refuses our token. The instance ends when its last call has ended. */
  #signedOut: TransportFailure | null = null;
  #oddities: readonly ServerQuirk[] = [];
  readonly #log: ServerLog;
  readonly #elicitations = new ClientRecords<ElicitationRecord>();
  readonly #tasks = new ClientRecords<TaskRecord>();
  readonly #calls: InstanceCalls;
  readonly #session: ServerSession;
  readonly #health: Health;
  readonly #use: IdleTracker;
  readonly #lists: InstanceLists;
  readonly #level: ServerLogLevel;
  readonly #subscriptions: Subscriptions;
  readonly #watchers: TaskWatchers;
  readonly #questions: ServerRequests;
  readonly #takeNotification: TakeNotification;
  readonly #idle: ReturnType<typeof createThrottle>;
  readonly #gaps: ReturnType<typeof createThrottle>;
  readonly #transport: BackendTransport;

  constructor(options: InstanceOptions) {
    const { clock } = options;
    const send = (message: RpcMessage, sender?: Sender | null): void => this.#send(message, sender);
    const changed = (): void => this.#changed();
    this.id = options.id;
    this.#options = options;
    this.#startedAtMs = clock.monotonicMs();
    this.#use = new IdleTracker(clock);
    this.#idle = createThrottle(clock, BETWEEN_IDLE_MS, () => {
      if (this.#calls.pending.calls === 0) this.#changed();
    });
    this.#gaps = createThrottle(clock, BETWEEN_GAPS_MS, () => this.#catchUp());
    this.#log = createServerLog(options);
    this.#calls = new InstanceCalls(options, {
      send,
      session: () => this.#session.number,
      isOpen: () => this.#isOpen(),
      sendsOnce: () => this.#transport.sendsOnce === true,
      before: ({ logLevel }) => this.#level.before(logLevel),
      onIdle: () => {
        this.#use.ended();
        this.#endIfSignedOut();
        this.#idle.due();
      },
    });
    this.#session = new ServerSession(options, this.#calls, {
      isOver: () => this.#over !== null,
      established: (version) => {
        this.#transport.established(version);
        this.#send({ jsonrpc: "2.0", method: "notifications/initialized" });
      },
      lost: () => this.#sessionLost(),
      renewed: () => this.#sessionRenewed(),
      failed: (failure) => this.#fail(failure),
    });
    this.#health = new Health(clock, this.#calls, changed);
    const toolFault = (tool: JsonObject): string | null => this.#transport.toolFault?.(tool) ?? null;
    this.#lists = new InstanceLists(options, this.#session, toolFault, {
      onStale: changed,
      onUndeclared: () => this.#isOdd("undeclared_lists"),
      onSteadiness: (isUnsteady) => {
        if (isUnsteady) this.#isOdd("unsteady_lists");
        else this.#oddities = this.#oddities.filter((one) => one !== "unsteady_lists");
        changed();
      },
    });
    this.#level = createServerLogLevel(options, this.#session, () => this.#transport.pid === null);
    this.#subscriptions = new Subscriptions(options, this.#session, () => this.#state.kind === "ready");
    this.#watchers = createTaskWatchers(options, this.#session);
    this.#questions = new ServerRequests(options, this.#calls, send, this.#elicitations, changed);
    this.#takeNotification = createNotifications({
      options,
      calls: this.#calls,
      questions: this.#questions,
      elicitations: this.#elicitations,
      tasks: this.#tasks,
      subscriptions: this.#subscriptions,
      watchers: this.#watchers,
      lists: this.#lists,
      level: this.#level,
      log: this.#log,
    });
    this.#transport = options.open({
      onMessage: (message, streamOf) => this.#take(message, streamOf),
      onRequestFailed: (id, failure) => this.#requestFailed(id, failure),
      onReceived: (id, bytes) => this.#calls.received(id, bytes),
      // Finds a lost session before a client's call fails because of it.
      onSuspect: () => this.check(),
      onGap: () => {
        if (this.#over === null) this.#gaps.due();
      },
      onClosed: (failure) => this.#fail(failure),
      onRetryAfter: (ms) => this.#lists.pause(ms),
      onQuirk: (oddity) => this.#isOdd(oddity),
      onLogLine: (line) => this.#keepLine(line),
    });
  }

  async start(): Promise<void> {
    let failure = await this.#session.initialize();
    if (failure === null) [failure] = await Promise.all([this.#lists.readFirst(), this.#level.send()]);
    if (failure !== null) return this.#fail(failure);
    if (this.#options.owner !== null) await this.#firstQuestions();
    if (this.#over !== null) return;
    this.#state = { kind: "ready" };
    this.#readyAtMs = this.#options.clock.monotonicMs();
    // The log level may have changed since it was first sent.
    void this.#level.send();
    this.#subscriptions.resume();
    this.#calls.release();
    this.#changed();
  }

  /** Some servers ask for the client's roots, and refuse calls until they have the answer. */
  async #firstQuestions(): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + FIRST_QUESTIONS_MS;
    while (this.#over === null) {
      const remainingMs = untilMs - clock.monotonicMs();
      if (remainingMs <= 0 || !(await this.#questions.answered(remainingMs))) return;
      // A server that answers the ping has read the answers before it.
      await settlesWithin(clock, FIRST_PING_MS, this.#calls.send("ping", undefined, FIRST_PING_MS));
      await clock.sleep(AFTER_ANSWER_MS);
    }
  }

  get observed(): InstanceObservation {
    const inFlight = this.#calls.pending.calls;
    if (this.#observed === null || this.#observed.inFlight !== inFlight) {
      this.#observed = {
        id: this.id,
        key: this.#options.key,
        state: this.#state,
        startedAtMs: this.#startedAtMs,
        readyAtMs: this.#readyAtMs,
        inFlight,
        missedChecks: this.#health.missedChecks,
        checkedAtMs: this.#health.checkedAtMs,
        isUnreachable: this.#health.isUnreachable,
        listsStaleBecause: this.#lists.staleBecause,
        withheldEntries: this.#lists.withheld,
        requestsRoots: this.#questions.requestsRoots,
        oddities: this.#oddities,
      };
    }
    return this.#observed;
  }

  /** Since when there has been no call, open question, task or subscription, monotonic ms; null: there is one. */
  get idleSinceMs(): number | null {
    const isBusy = this.#calls.pending.calls > 0 || this.#questions.isOpen || this.#subscriptions.isUsed;
    return isBusy || this.#readyAtMs === null ? null : this.#use.idleSince(this.#readyAtMs);
  }

  /** It has had a call. */
  get isUsed(): boolean {
    return this.#use.hasEnded || this.#calls.pending.calls > 0;
  }

  get longWaits(): LongWaits | null {
    return this.#calls.pending.longWaits();
  }

  /** Null until the instance is ready. */
  get listings(): Listings | null {
    return this.#readyAtMs === null ? null : this.#lists.listings;
  }

  /** Returns the same object until the freshness changes. */
  get freshness(): ListFreshness {
    return this.#lists.freshness;
  }

  get initializeResult(): InitializeResult | null {
    return this.#session.result;
  }

  get pid(): number | null {
    return this.#transport.pid;
  }

  /** Oldest first. */
  get logLines(): readonly string[] {
    return [...this.#log.lines];
  }

  /** Passed to `adopt` of the instance that replaces this one. */
  get subscriptions(): ReadonlyMap<string, ReadonlySet<ClientHandle>> {
    return this.#subscriptions.clients;
  }

  /** Never rejects. */
  request(call: BackendCall): Promise<Reply> {
    return this.#calls.request(call);
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (this.#session.number === 0) return;
    this.#send(rpcNotification(method, params));
  }

  /** Starts a health check. The outcome appears in `observed`. */
  check(): void {
    if (this.#isOpen()) void this.#health.check();
  }

  /** The outcome is in `listings` and `observed`. */
  refresh(): void {
    this.#lists.refresh();
  }

  /** As `InstanceLists.readDue`. */
  readDueLists(...due: Parameters<InstanceLists["readDue"]>): Promise<unknown> | null {
    return this.#lists.readDue(...due);
  }

  /** As `InstanceLists.remainingMs`. */
  remainingMs(list: keyof Listings): number {
    return this.#lists.remainingMs(list);
  }

  /** The lowest level that any client wants; null: none. It also holds in a renewed session. */
  setLogLevel(wanted: McpLogLevel | null): void {
    this.#level.want(wanted);
    if (this.#state.kind === "ready") void this.#level.send();
  }

  async subscribe(uri: string, client: ClientHandle): Promise<Reply> {
    return this.#over === null ? this.#subscriptions.subscribe(uri, client) : { error: this.#over };
  }

  async unsubscribe(uri: string, client: ClientHandle): Promise<Reply> {
    return this.#over === null ? this.#subscriptions.unsubscribe(uri, client) : { error: this.#over };
  }

  /** Resolves when the task has ended or the client is forgotten. */
  async watchTask(...args: Parameters<TaskWatchers["watch"]>): Promise<Reply> {
    return this.#over === null ? this.#watchers.watch(...args) : { error: this.#over };
  }

  /**
   * Takes over another instance's subscriptions, and never fails. If the server refuses a subscription, this is
   * logged; the subscription's clients are not told, and still count as subscribed.
   */
  adopt(others: ReadonlyMap<string, ReadonlySet<ClientHandle>>): void {
    if (this.#over === null) this.#subscriptions.adopt(others);
  }

  hasTaskOf(client: ClientHandle): boolean {
    return this.#tasks.all().some((task) => task.client === client);
  }

  forget(client: ClientHandle): void {
    if (this.#over !== null) return;
    this.#subscriptions.forget(client);
    this.#watchers.forget(client);
    this.#calls.forget(client);
    this.#questions.forget(client);
    this.#elicitations.forget(client);
    this.#tasks.forget(client);
  }

  /** Calls in flight get this error. */
  close({ code, message }: { readonly code: number; readonly message: string }): Promise<void> {
    if (this.#over === null) {
      this.#state = { kind: "closing" };
      this.#end({ code, message }, STOPPED);
    }
    this.#closing ??= this.#transport.close();
    return this.#closing;
  }

  #isOpen(): boolean {
    return this.#state.kind === "ready" && this.#session.renewal === null;
  }

  #send(message: RpcMessage, sender?: Sender | null): void {
    if (this.#over === null) this.#transport.send(message, sender);
  }

  #changed(): void {
    if (this.#over !== null) return;
    this.#observed = null;
    this.#options.onObserved();
  }

  #fail(failure: TransportFailure): void {
    if (this.#over !== null) return;
    const wasIdle = failure.isOrderly === true && this.idleSinceMs !== null;
    this.#state = { kind: "ended", wasReady: this.#readyAtMs !== null, failure, ...(wasIdle && { wasIdle }) };
    this.#end(unavailable(this.#options.backend, failure).error, failure);
    this.#closing ??= this.#transport.close();
  }

  #end(error: RpcError, failure: TransportFailure): void {
    this.#over = error;
    for (const part of [this.#lists, this.#idle, this.#gaps]) part[Symbol.dispose]();
    this.#questions.end();
    this.#watchers.lost();
    this.#calls.end(error, failure);
    this.#observed = null;
    this.#options.onObserved();
  }

  #sessionLost(): void {
    this.#questions.sessionLost();
    this.#level.forgotten();
    this.#watchers.lost();
    this.#subscriptions.forgotten();
  }

  #sessionRenewed(): void {
    void this.#level.send();
    this.#calls.release();
    this.#subscriptions.resume();
    this.#lists.refresh();
  }

  /** Treats lists and subscribed items as changed, because notifications about them may have been lost. */
  #catchUp(): void {
    for (const kind of LIST_KINDS) {
      const declared = this.#session.result?.capabilities[kind];
      if (isJsonObject(declared) && declared["listChanged"] === true) this.#lists.changed(kind);
    }
    this.#subscriptions.notifyAll();
    this.#watchers.lost();
  }

  #isOdd(oddity: ServerQuirk): void {
    if (this.#oddities.includes(oddity)) return;
    this.#oddities = [...this.#oddities, oddity];
    this.#changed();
  }

  #keepLine(line: string): void {
    this.#session.onLine();
    this.#log.keep(line);
  }

  #take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    if (this.#over !== null) return null;
    this.#session.onOutput();
    this.#health.onMessage();
    return Array.isArray(message) ? this.#takeBatch(message, streamOf) : this.#takeOne(message, streamOf);
  }

  /** Servers of 2025-03-26 may send batches. */
  async #takeBatch(messages: readonly unknown[], streamOf: RpcId | null): Promise<void> {
    const turn = turnGiver(this.#options.clock);
    for (const one of messages) {
      await turn();
      if (this.#over === null) await this.#takeOne(one, streamOf);
    }
  }

  #takeOne(value: unknown, streamOf: RpcId | null): Promise<void> | null {
    const classified = classifyMessage(value);
    // A response belongs to its own request, so it says nothing about other calls.
    if (classified.kind !== "response") this.#calls.heard();
    if (classified.kind === "notification") return this.#takeNotification(classified.message, streamOf);
    if (classified.kind === "response") {
      const { id, reply } = classified;
      const client = id === null ? undefined : this.#calls.pending.get(id)?.handle?.client;
      this.#takeResponse(id, reply);
      if (streamOf === null && client !== undefined) return this.#calls.afterAnswer(client);
    } else if (classified.kind === "request") this.#questions.take(classified.message, streamOf);
    else this.#takeInvalid(value, classified.id, classified.reason);
    return null;
  }

  #takeResponse(id: RpcId | null, reply: Reply): void {
    if (id === null) return;
    const request = this.#calls.pending.get(id);
    if (request === undefined) {
      this.#calls.answeredLate(id);
      return;
    }
    if (isError(reply) && namesSession(reply.error.message)) this.#suspectSession(request);
    if (request.own && !isError(reply)) assertParsed(reply.result);
    if (request.method === "tools/call") {
      rememberTask(this.#tasks, request, reply);
      this.#use.answered(reply);
    }
    this.#calls.complete(
      request,
      request.own ? this.#withoutSecrets(reply) : this.#named(reply, request),
      null,
    );
  }

  #named(reply: Reply, { handle }: PendingRequest): Reply {
    const { backend } = this.#options;
    if (!isError(reply)) return { result: inputsBy(backend, reply.result) };
    if (handle === null) return reply;
    return { error: pagesBy(backend, reply.error, this.#elicitations, handle.client) };
  }

  /** The server may have forgotten the session, or a tool has its own sessions: a ping in the old session decides. */
  #suspectSession({ method, sentIn }: { readonly method: string; readonly sentIn: number | null }): void {
    if (this.#transport.pid !== null) return;
    if (method !== "ping") this.check();
    else if (this.#state.kind === "ready" && sentIn === this.#session.number) this.#session.renew();
  }

  /** Conditions show the errors of the gateway's own requests to people, so secrets are removed from them. */
  #withoutSecrets(reply: Reply): Reply {
    if (!isError(reply)) return reply;
    return { error: { ...reply.error, message: this.#log.clean(reply.error.message) } };
  }

  /** Fails the request with this `id` at once if the invalid message seems to be the response to that request. */
  #takeInvalid(value: unknown, id: RpcId | null, reason: string): void {
    this.#log.invalid(reason);
    if (id === null || !isJsonObject(value) || value["method"] !== undefined) return;
    const request = this.#calls.pending.get(id);
    if (request === undefined) return;
    const failure = transportFailure("protocol", "its answer is not a JSON-RPC response");
    this.#calls.complete(request, unavailable(this.#options.backend, failure), failure);
  }

  #requestFailed(id: RpcId, failure: TransportFailure): void {
    const request = this.#calls.pending.get(id);
    if (request === undefined) return;
    // A server that is working on calls is not given up for a list that cannot be read.
    const isSpared = request.own && request.method !== "ping" && this.#calls.pending.calls > 0;
    // The request never left this machine.
    if (failure.kind === "unreachable") request.sentIn = null;
    if (failure.kind === "unreachable" && !isSpared) {
      this.#health.isUnreachable = true;
      if (request.method !== "ping") this.#health.missed(request.id);
    }
    const { backend } = this.#options;
    const isLost = failure.kind === "session_lost";
    const isUnclear = failure.kind === "protocol" || failure.status === 503;
    if (isUnclear && namesSession(failure.message)) this.#suspectSession(request);
    else if ((failure.status ?? 0) >= 500 && !request.own) this.check();
    // The session is renewed before the reply, so that a client that repeats its call at once waits for the new
    // session.
    if (isLost && this.#state.kind === "ready" && request.sentIn === this.#session.number) {
      this.#session.renew();
    }
    if (isLost && this.#state.kind === "ready" && this.#calls.repeat(request)) return;
    this.#calls.complete(request, isLost ? lostSession(backend) : unavailable(backend, failure), failure);
    if (failure.kind === "unauthorized") {
      this.#signedOut = failure;
      this.#endIfSignedOut();
    }
  }

  /** Waits until no call is in flight, because the calls may still be answered. */
  #endIfSignedOut(): void {
    if (this.#signedOut !== null && this.#calls.pending.calls === 0) this.#fail(this.#signedOut);
  }
}

function lostSession(backend: string): Reply {
  const text = `server ${backend} lost its session; the call was not repeated, as it may have taken effect. The session is new, without the settings of the old one`;
  return errorReply(BACKEND_UNAVAILABLE, text);
}
