// Clients of protocol 2026-07-28 that listen: each subscriptions/listen is a stream of its own, which is told of the
// changes that it asked for, as far as its principal may see them.
import { randomBytes } from "node:crypto";
import { MountaineerError } from "../../../runtime/errors.ts";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import { type CallPort, named, type Principal, principalKey } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
  type RpcId,
} from "../../json-rpc.ts";
import { missingTasks } from "../../middleware/extension-tasks.ts";
import {
  LIST_CHANGED,
  LIST_KINDS,
  LISTEN_ACKNOWLEDGED,
  LISTEN_FLAGS,
  type ListKind,
  META,
  MODERN_VERSION,
  RESOURCE_UPDATED,
  TASK_NOTICE,
  TASKS_LOST,
  WATCH_TASK,
} from "../../protocol.ts";
import type { FrontGateway, SessionPort } from "../session/front-contract.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { messageJson } from "../session/questions.ts";
import type { ModernRequest } from "./request.ts";

/** Of all principals together. */
const MOST_LISTENERS = 1_000;
/** Of one stream. */
const MOST_URIS = 1_000;
const MOST_TASKS = 100;
/** Asked of servers at a time, ahead of the others. */
const AT_A_TIME = 8;
/** How long the acknowledgement waits for servers: what takes longer is not honoured, ms. */
const SUBSCRIBES_MS = 10_000;

/** What a client wants to hear of. */
interface Wanted {
  readonly lists: ReadonlySet<ListKind>;
  readonly uris: readonly string[];
  /** Ids of tasks. */
  readonly taskIds: readonly string[];
}

const NOTHING: Wanted = { lists: new Set(), uris: [], taskIds: [] };

export class Listeners {
  readonly #gateway: FrontGateway;
  readonly #clock: Clock;
  readonly #open = new Set<Listener>();
  #isEnding = false;

  constructor(gateway: FrontGateway, clock: Clock) {
    this.#gateway = gateway;
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Returns what is to be called when the client has gone. */
  listen(request: ModernRequest, outlet: CallOutlet): () => void {
    const wanted = wantedBy(request.params["notifications"]);
    const refusal =
      typeof wanted === "string"
        ? errorReply(INVALID_PARAMS, wanted)
        : ((wanted.taskIds.length > 0 ? missingTasks(request.declared) : null) ??
          this.#refusal(request.principal));
    if (refusal !== null || typeof wanted === "string") {
      if (refusal !== null) outlet.answer(request.id, refusal);
      return () => {};
    }
    const listener = new Listener(request, outlet, this.#gateway, () => this.#open.delete(listener));
    this.#open.add(listener);
    void listener.begin(this.#isEnding ? NOTHING : wanted, this.#clock);
    return () => listener.close(null);
  }

  /** Streams that open from now on end at once, too, so that their clients listen where they will be served. */
  end(): void {
    this.#isEnding = true;
    for (const listener of [...this.#open]) listener.finish();
  }

  #refusal(principal: Principal): Reply | null {
    const key = principalKey(principal);
    const own = [...this.#open].filter((listener) => principalKey(listener.principal) === key).length;
    const allowed = Math.min(MOST_LISTENERS, this.#gateway.sessionsAllowed(principal));
    if (own < allowed && this.size < MOST_LISTENERS) return null;
    const data = { limit: "[limits].sessions", allowed, retryAfterMs: 10_000 };
    const message = `${named(principal)} listens on ${own} streams, the most that it may have at the moment`;
    return errorReply(LIMIT_REACHED, message, data);
  }
}

class Listener implements SessionPort {
  readonly sessionId = randomBytes(24).toString("base64url");
  readonly protocolVersion = MODERN_VERSION;
  readonly capabilities: JsonObject = {};
  readonly clientInfo: JsonObject;
  readonly group: string | null;
  readonly logLevel = null;
  readonly busy = true;
  readonly principal: Principal;
  readonly #id: RpcId;
  readonly #outlet: CallOutlet;
  readonly #gateway: FrontGateway;
  readonly #onClosed: () => void;
  readonly #ended = new AbortController();
  /** Null until it is acknowledged; what changes before is owed. */
  #honoured: Wanted | null = null;
  readonly #owedLists = new Set<ListKind>();
  readonly #owedUris = new Map<string, JsonObject>();
  readonly #owedTasks: JsonObject[] = [];

  constructor(
    { id, principal, clientInfo, group }: ModernRequest,
    outlet: CallOutlet,
    gateway: FrontGateway,
    onClosed: () => void,
  ) {
    this.#id = id;
    this.principal = principal;
    this.clientInfo = clientInfo;
    this.group = group;
    this.#outlet = outlet;
    this.#gateway = gateway;
    this.#onClosed = onClosed;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  async begin({ lists, uris, taskIds }: Wanted, clock: Clock): Promise<void> {
    this.#gateway.opened(this);
    const subscribed = new Set<string>();
    const followed = new Set<string>();
    const left = [
      ...uris.map((uri) => async () => (await this.#subscribe(uri)) && subscribed.add(uri)),
      ...taskIds.map((id) => async () => (await this.#follow(id)) && followed.add(id)),
    ].values();
    const inTurn = async (): Promise<void> => {
      for (const next of left) {
        if (this.ended.aborted) return;
        await next();
      }
    };
    if (uris.length + taskIds.length > 0) {
      const all = Promise.all(Array.from({ length: AT_A_TIME }, inTurn));
      await settledWithin(clock, SUBSCRIBES_MS, all);
    }
    if (this.ended.aborted) return;
    const honoured = uris.filter((uri) => subscribed.has(uri));
    const tasks = taskIds.filter((id) => followed.has(id));
    this.#honoured = { lists, uris: honoured, taskIds: tasks };
    const told: JsonObject = {
      ...Object.fromEntries([...lists].map((kind) => [LISTEN_FLAGS[kind], true])),
      ...(honoured.length === 0 ? {} : { resourceSubscriptions: honoured }),
      ...(tasks.length === 0 ? {} : { taskIds: tasks }),
    };
    this.#send(LISTEN_ACKNOWLEDGED, { notifications: told });
    if (lists.size === 0 && honoured.length === 0 && tasks.length === 0) this.finish();
    for (const kind of this.#owedLists) this.listChanged(kind);
    for (const params of this.#owedUris.values()) this.notify(RESOURCE_UPDATED, params);
    for (const params of this.#owedTasks.splice(0)) this.notify(TASK_NOTICE, params);
  }

  listChanged(kind: ListKind): void {
    if (this.#honoured === null) this.#owedLists.add(kind);
    else if (this.#honoured.lists.has(kind)) this.#send(LIST_CHANGED[kind], {});
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (method === TASK_NOTICE && params !== undefined) this.#toldOfTask(params);
    // It listens anew, and hears what can still be heard.
    if (method === TASKS_LOST) this.finish();
    const uri = params?.["uri"];
    if (method !== RESOURCE_UPDATED || params === undefined || typeof uri !== "string") return;
    if (this.#honoured === null) this.#owedUris.set(uri, params);
    // A subscription outlives the rules under which it was made.
    else if (this.#honours(uri) && this.#gateway.served.forClient(this).mayBeNotified(this.principal, uri)) {
      this.#send(method, params);
    }
  }

  request(): Promise<Reply> {
    return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "a stream that listens cannot be asked"));
  }

  setLogLevel(): void {}

  /** A client whose token is not accepted any more finds that out by listening anew. */
  admit(isAdmitted: boolean): void {
    if (!isAdmitted) this.finish();
  }

  withdraw(): void {
    this.finish();
  }

  /** Ends it as agreed: with its result. */
  finish(): void {
    this.close({ result: { resultType: "complete", _meta: this.#meta(this.#gateway.serverInfo) } });
  }

  /** Once. `reply` null: its client has gone. */
  close(reply: Reply | null): void {
    if (this.ended.aborted) return;
    this.#ended.abort(new MountaineerError("aborted", "nobody listens any more"));
    this.#onClosed();
    this.#gateway.closed(this);
    if (reply !== null) this.#outlet.answer(this.#id, reply);
  }

  /** Also when only a part of what is subscribed to has changed (`a/b` of `a`). */
  #honours(uri: string): boolean {
    return this.#honoured?.uris.some((one) => one === uri || isPart(uri, one)) === true;
  }

  /** Subscribes by a request of its own, so that all rules for requests hold. */
  #subscribe(uri: string): Promise<boolean> {
    return this.#isDone("resources/subscribe", { uri });
  }

  async #isDone(method: string, params: JsonObject): Promise<boolean> {
    await this.#gateway.awaited(this, { method, params });
    const served = this.#gateway.served.forClient(this);
    const port: CallPort = {
      client: this,
      id: this.#id,
      declared: {},
      congested: null,
      notify() {},
      request: () => this.request(),
    };
    const task = served.taskOf(this.principal, method, params);
    const request = { method, params, port, signal: this.ended, served };
    return !isError(await served.handle(task === null ? request : { ...request, task }));
  }

  #follow(taskId: string): Promise<boolean> {
    return this.#isDone(WATCH_TASK, { taskId });
  }

  #toldOfTask(params: JsonObject): void {
    const { taskId } = params;
    const served = this.#gateway.served.forClient(this);
    const task = served.taskOf(this.principal, WATCH_TASK, { taskId });
    if (this.#honoured === null) {
      if (this.#owedTasks.length < MOST_TASKS) this.#owedTasks.push(params);
    } else if (task !== null && served.mayFollow(this.principal, task)) {
      // A larger one is for tasks/get, where it is kept to be read in pieces.
      if (!this.#gateway.isSmall(this.principal, params)) return;
      this.#send(TASK_NOTICE, params);
    }
  }

  #meta(serverInfo?: JsonObject): JsonObject {
    const said = serverInfo === undefined ? {} : { [META.serverInfo]: serverInfo };
    return { [META.subscriptionId]: this.#id, ...said };
  }

  #send(method: string, params: JsonObject): void {
    if (this.ended.aborted) return;
    const given = isJsonObject(params["_meta"]) ? params["_meta"] : {};
    const told = { ...params, _meta: { ...given, ...this.#meta() } };
    const json = messageJson({ jsonrpc: "2.0", method, params: told });
    if (json !== null && !this.#outlet.send(json)) this.close(null);
  }
}

function isPart(uri: string, of: string): boolean {
  return uri.startsWith(of.endsWith("/") ? of : `${of}/`);
}

/** What is wrong with it, where something is. */
function wantedBy(filter: unknown): Wanted | string {
  if (!isJsonObject(filter)) return "subscriptions/listen needs an object `notifications`";
  const wrong = LIST_KINDS.find(
    (kind) => !["boolean", "undefined"].includes(typeof filter[LISTEN_FLAGS[kind]]),
  );
  if (wrong !== undefined) return `\`notifications.${LISTEN_FLAGS[wrong]}\` must be a boolean`;
  const { resourceSubscriptions: uris = [] } = filter;
  if (!Array.isArray(uris) || !uris.every((uri) => typeof uri === "string")) {
    return "`notifications.resourceSubscriptions` must be an array of strings";
  }
  const different = [...new Set<string>(uris)];
  if (different.length > MOST_URIS) {
    return `\`notifications.resourceSubscriptions\` may have ${MOST_URIS} URIs at most`;
  }
  const { taskIds = [] } = filter;
  if (!Array.isArray(taskIds) || !taskIds.every((id) => typeof id === "string")) {
    return "`notifications.taskIds` must be an array of strings";
  }
  const tasks = [...new Set<string>(taskIds)];
  if (tasks.length > MOST_TASKS) return `\`notifications.taskIds\` may have ${MOST_TASKS} ids at most`;
  return {
    lists: new Set(LIST_KINDS.filter((kind) => filter[LISTEN_FLAGS[kind]] === true)),
    uris: different,
    taskIds: tasks,
  };
}
