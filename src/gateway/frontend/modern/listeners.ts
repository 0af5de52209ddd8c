// Listening streams of protocol 2026-07-28: each subscriptions/listen opens one, which gets the notifications that the
// client asked for, as far as its principal may see them.
import { randomBytes } from "node:crypto";
import { ofLargest } from "../../../runtime/bounded-map.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { type Clock, settlesWithin } from "../../../runtime/time/clock.ts";
import { type CallHandle, named, type Principal, principalKey } from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  jsonOf,
  LIMIT_REACHED,
  type Reply,
  type RpcId,
} from "../../json-rpc.ts";
import { missingTasks } from "../../middleware/extension-tasks.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
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
import type { CallStream } from "../session/client-stream.ts";
import type { FrontGateway, SessionPort } from "../session/front-contract.ts";
import type { ModernRequest } from "./request.ts";

/** Maximum number of streams of all principals. */
const MOST_LISTENERS = 1_000;
/** Bounds of one stream. */
const MOST_URIS = 1_000;
const MOST_TASKS = 100;
/** Number of subscriptions that are requested from servers at a time. */
const AT_A_TIME = 8;
/** How long the acknowledgement waits for servers, ms. It lists the subscriptions that are made by then. */
const SUBSCRIBES_MS = 10_000;

interface Subscription {
  readonly lists: ReadonlySet<ListKind>;
  readonly uris: readonly string[];
  readonly taskIds: readonly string[];
}

const NOTHING: Subscription = { lists: new Set(), uris: [], taskIds: [] };

export class Listeners {
  readonly #gateway: FrontGateway;
  readonly #clock: Clock;
  readonly #open = new Set<ListeningStream>();
  #isEnding = false;

  constructor(gateway: FrontGateway, clock: Clock) {
    this.#gateway = gateway;
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Returns a function to call when the client has closed the connection. */
  listen(request: ModernRequest, stream: CallStream): () => void {
    const refuse = (reply: Reply): (() => void) => {
      stream.answer(request.id, reply);
      return () => {};
    };
    const wanted = subscriptionIn(request.params["notifications"]);
    if (typeof wanted === "string") return refuse(errorReply(INVALID_PARAMS, wanted));
    const missing = wanted.taskIds.length > 0 ? missingTasks(request.capabilities) : null;
    const refusal = missing ?? this.#refusal(request.principal);
    if (refusal !== null) return refuse(refusal);
    const listener = new ListeningStream(request, stream, this.#gateway, () => this.#open.delete(listener));
    this.#open.add(listener);
    void listener.begin(this.#isEnding ? NOTHING : wanted, this.#clock);
    return () => listener.close(null);
  }

  /**
   * Ends all streams, and from now on each new one at once; clients then open new ones at the next daemon.
   */
  end(): void {
    this.#isEnding = true;
    for (const listener of [...this.#open]) listener.finish();
  }

  /** Beyond the bound of all, the principal with most streams loses its oldest, to one that has fewer. */
  #refusal(principal: Principal): Reply | null {
    const ownerOf = (one: Pick<ListeningStream, "principal">): string => principalKey(one.principal);
    const own = [...this.#open].filter((one) => ownerOf(one) === ownerOf({ principal })).length;
    const allowed = Math.min(MOST_LISTENERS, this.#gateway.sessionsAllowed());
    const most = this.size < MOST_LISTENERS ? [] : ofLargest(this.#open, ownerOf);
    if (own < allowed && (most.length === 0 || most.length > own + 1)) {
      most[0]?.finish();
      return null;
    }
    const data = { limit: "[limits].sessions", allowed, retryAfterMs: 10_000 };
    const message = `${named(principal)} listens on ${own} streams, the most that it may have at the moment`;
    return errorReply(LIMIT_REACHED, message, data);
  }
}

class ListeningStream implements SessionPort {
  readonly sessionId = randomBytes(24).toString("base64url");
  readonly protocolVersion = MODERN_VERSION;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  readonly group: string | null;
  readonly logLevel = null;
  readonly busy = true;
  readonly principal: Principal;
  readonly #id: RpcId;
  readonly #stream: CallStream;
  readonly #gateway: FrontGateway;
  readonly #onClosed: () => void;
  readonly #ended = new AbortController();
  /** The subscription as acknowledged; null: the acknowledgement is not sent yet. */
  #acknowledged: Subscription | null = null;
  /**
   * Change notices that arrived before the acknowledgement, and are sent after the acknowledgement. The key says what
   * has changed.
   */
  readonly #early = new Map<unknown, () => void>();

  constructor(
    { id, principal, clientInfo, capabilities, group }: ModernRequest,
    stream: CallStream,
    gateway: FrontGateway,
    onClosed: () => void,
  ) {
    this.#id = id;
    this.principal = principal;
    this.clientInfo = clientInfo;
    this.capabilities = capabilities;
    this.group = group;
    this.#stream = stream;
    this.#gateway = gateway;
    this.#onClosed = onClosed;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  async begin({ lists, uris, taskIds }: Subscription, clock: Clock): Promise<void> {
    this.#gateway.opened(this);
    const subscribed = new Set<string>();
    const followed = new Set<string>();
    const remaining = [
      ...uris.map(
        (uri) => async () => (await this.#request("resources/subscribe", { uri })) && subscribed.add(uri),
      ),
      ...taskIds.map(
        (taskId) => async () => (await this.#request(WATCH_TASK, { taskId })) && followed.add(taskId),
      ),
    ].values();
    const inTurn = async (): Promise<void> => {
      for (const next of remaining) {
        if (this.ended.aborted) return;
        await next();
      }
    };
    if (uris.length + taskIds.length > 0) {
      const all = Promise.all(Array.from({ length: AT_A_TIME }, inTurn));
      await settlesWithin(clock, SUBSCRIBES_MS, all);
    }
    if (this.ended.aborted) return;
    const honoured = uris.filter((uri) => subscribed.has(uri));
    const tasks = taskIds.filter((id) => followed.has(id));
    this.#acknowledged = { lists, uris: honoured, taskIds: tasks };
    const notifications: JsonObject = {
      ...Object.fromEntries([...lists].map((kind) => [LISTEN_FLAGS[kind], true])),
      ...(honoured.length === 0 ? {} : { resourceSubscriptions: honoured }),
      ...(tasks.length === 0 ? {} : { taskIds: tasks }),
    };
    this.#send(LISTEN_ACKNOWLEDGED, { notifications });
    if (lists.size === 0 && honoured.length === 0 && tasks.length === 0) this.finish();
    for (const repeat of this.#early.values()) repeat();
    this.#early.clear();
  }

  listChanged(kind: ListKind): void {
    if (this.#acknowledged === null) this.#early.set(kind, () => this.listChanged(kind));
    else if (this.#acknowledged.lists.has(kind)) this.#send(LIST_CHANGED[kind], {});
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (method === TASK_NOTICE && params !== undefined) this.#taskChanged(params);
    // The client then listens again, to the tasks that still exist.
    if (method === TASKS_LOST) this.finish();
    const uri = params?.["uri"];
    if (method !== RESOURCE_UPDATED || params === undefined || typeof uri !== "string") return;
    if (this.#acknowledged === null) this.#early.set(`uri ${uri}`, () => this.notify(method, params));
    // The principal's rights may have changed since it subscribed.
    else if (
      this.#acknowledged.uris.some((one) => one === uri || isPart(uri, one)) &&
      this.#gateway.served.forClient(this).mayBeNotified(this.principal, uri)
    ) {
      this.#send(method, params);
    }
  }

  request(): Promise<Reply> {
    return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "a listening stream takes no requests"));
  }

  setLogLevel(): void {}

  /** Ends the stream if the client is no longer admitted. The client learns of it when it listens again. */
  admit(isAdmitted: boolean): void {
    if (!isAdmitted) this.finish();
  }

  withdraw(): void {
    this.finish();
  }

  /** Ends the whole stream: the client listens again to what is left. */
  endForbidden(served: ServingSet, principal: Principal): readonly string[] {
    const { uris, taskIds } = this.#acknowledged ?? NOTHING;
    const isForbidden = (method: string, params: JsonObject): boolean => {
      const task = served.taskOf(principal, method, params);
      const request = { method, params, served, handle: { client: this }, ...(task !== null && { task }) };
      return served.forbidden(request, principal) !== null;
    };
    const isOver =
      uris.some((uri) => isForbidden("resources/subscribe", { uri })) ||
      taskIds.some((taskId) => isForbidden(WATCH_TASK, { taskId }));
    if (isOver) this.finish();
    return [];
  }

  finish(): void {
    const _meta = { [META.subscriptionId]: this.#id, [META.serverInfo]: this.#gateway.serverInfo };
    this.close({ result: { resultType: "complete", _meta } });
  }

  /** `reply` null: the client has closed the connection. */
  close(reply: Reply | null): void {
    if (this.ended.aborted) return;
    this.#ended.abort(new MountaineerError("aborted", "the client no longer listens"));
    this.#onClosed();
    this.#gateway.closed(this);
    if (reply !== null) this.#stream.answer(this.#id, reply);
  }

  /**
   * Sends a request like a client's, so that all rules for requests apply. Resolves with true if the request has
   * succeeded.
   */
  async #request(method: string, params: JsonObject): Promise<boolean> {
    await this.#gateway.awaited(this, { method, params });
    const served = this.#gateway.served.forClient(this);
    const handle: CallHandle = {
      client: this,
      id: this.#id,
      declared: {},
      congested: null,
      notify() {},
      request: () => this.request(),
    };
    const task = served.taskOf(this.principal, method, params);
    const request = { method, params, handle, signal: this.ended, served };
    return !isError(await served.handle(task === null ? request : { ...request, task }));
  }

  #taskChanged(params: JsonObject): void {
    if (this.#acknowledged === null) {
      this.#early.set(`task ${params["taskId"]}`, () => this.#taskChanged(params));
      return;
    }
    const served = this.#gateway.served.forClient(this);
    const task = served.taskOf(this.principal, WATCH_TASK, { taskId: params["taskId"] });
    if (task === null || !served.mayFollow(this.principal, task)) return;
    // A result that is too large is left for tasks/get, which splits it.
    if (this.#gateway.isSmall(params)) this.#send(TASK_NOTICE, params);
  }

  #send(method: string, params: JsonObject): void {
    if (this.ended.aborted) return;
    const given = isJsonObject(params["_meta"]) ? params["_meta"] : {};
    const _meta = { ...given, [META.subscriptionId]: this.#id };
    const json = jsonOf({ jsonrpc: "2.0", method, params: { ...params, _meta } });
    if (json !== null && !this.#stream.send(json)) this.close(null);
  }
}

/** True if `uri` lies below `of`, because a change of `a/b` counts as a change of `a`. */
function isPart(uri: string, of: string): boolean {
  return uri.startsWith(of.endsWith("/") ? of : `${of}/`);
}

/** Returns the requested subscription, or a text that says what is wrong with `filter`. */
function subscriptionIn(filter: unknown): Subscription | string {
  if (!isJsonObject(filter)) return "subscriptions/listen needs an object `notifications`";
  const wrong = LIST_KINDS.find(
    (kind) => !["boolean", "undefined"].includes(typeof filter[LISTEN_FLAGS[kind]]),
  );
  if (wrong !== undefined) return `\`notifications.${LISTEN_FLAGS[wrong]}\` must be a boolean`;
  const uris = distinctIn(filter, "resourceSubscriptions", MOST_URIS);
  if (typeof uris === "string") return uris;
  const taskIds = distinctIn(filter, "taskIds", MOST_TASKS);
  if (typeof taskIds === "string") return taskIds;
  const lists = new Set(LIST_KINDS.filter((kind) => filter[LISTEN_FLAGS[kind]] === true));
  return { lists, uris, taskIds };
}

/** Returns the strings under `key` without duplicates, or a text that says what is wrong with them. */
function distinctIn(filter: JsonObject, key: string, most: number): readonly string[] | string {
  const { [key]: names = [] } = filter;
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    return `\`notifications.${key}\` must be an array of strings`;
  }
  const distinct = [...new Set<string>(names)];
  return distinct.length > most ? `\`notifications.${key}\` may have ${most} entries at most` : distinct;
}
