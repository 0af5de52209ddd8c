// Owns one instance of a backend: connects, initializes, reads the lists, and then carries calls and what belongs to
// them, until it ends or is closed.
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";
import type { ClientPort } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  classifyMessage,
  errorReply,
  isError,
  isJsonObject,
  type Reply,
  type RpcError,
  type RpcId,
  type RpcMessage,
} from "../../json-rpc.ts";
import { LIST_KINDS } from "../../protocol.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import { isInstallerLine } from "../links/stdio/last-words.ts";
import { createBackPressure } from "./back-pressure.ts";
import type { BackendInstance, InstanceSeen, InstanceState, StartInstance } from "./backend-instance.ts";
import { createInstanceCalls } from "./calls.ts";
import { createElicitations } from "./elicitations.ts";
import { isFailure, unavailable } from "./failures.ts";
import { createGarbageLog } from "./garbage.ts";
import { type Greeting, initializeParams, readGreeting } from "./handshake.ts";
import { createHealth } from "./health.ts";
import { createServerLogLevel } from "./log-level.ts";
import { createNotifications } from "./notifications.ts";
import type { Ask } from "./pending.ts";
import { createQuestions } from "./questions.ts";
import { createInstanceLists } from "./refresh.ts";
import { createRenewal } from "./renewal.ts";
import { createSubscriptions } from "./subscriptions.ts";
import { createInstanceTasks } from "./tasks.ts";

const PING_MS = 5_000;
/** One call after the other must not become one notice after the other. */
const BETWEEN_IDLE_MS = 100;
/** Some proxies cut each idle stream, and some servers end it with each event: lists and resources are read again. */
const BETWEEN_GAPS_MS = 30_000;
const MOST_LINES = 200;

/** Starts one; nothing is called back before it returns. Whatever goes wrong is in `seen`. */
export const startBackendInstance: StartInstance = (options) => {
  const { backend, owner, clock, logger, listMs } = options;
  let state: InstanceState = { kind: "starting" };
  let readyAtMs: number | null = null;
  let greeting: Greeting | null = null;
  let snapshot: InstanceSeen | null = null;
  /** What requests get from now on; null: it lives. */
  let over: RpcError | null = null;
  let closing: Promise<void> | null = null;
  /** Counts sessions; 0: not initialized yet. */
  let session = 0;
  /** The server itself has written something. */
  let heard = false;
  let greetingId = 0;
  const startedAtMs = clock.monotonicMs();
  const lines: string[] = [];
  const redaction = createRedaction();
  options.secrets?.forEach(redaction.redact);
  const onGarbage = createGarbageLog(backend, clock, logger);
  const elicitations = createElicitations();
  const tasks = createInstanceTasks();
  const backPressure = createBackPressure();

  const changed = (): void => {
    snapshot = null;
    options.onSeen();
  };
  const isReady = (): boolean => state.kind === "ready";
  const isOpen = (): boolean => isReady() && renewal.underWay === null;
  const declares = (capability: string): boolean => isJsonObject(greeting?.capabilities[capability]);
  const send = (message: RpcMessage): void => {
    if (over === null) link.send(message);
  };
  /** Its time to answer `initialize` begins. */
  const heardFirst = (): void => {
    if (heard) return;
    heard = true;
    const request = calls.get(greetingId);
    if (request !== undefined) calls.restart(request);
  };
  const keepLine = (line: string): void => {
    if (!isInstallerLine(line)) heardFirst();
    lines.push(line);
    if (lines.length > MOST_LINES) lines.shift();
    logger.debug("a backend writes", { backend, line });
  };

  const idle = createThrottle(clock, BETWEEN_IDLE_MS, () => {
    if (over === null && calls.inFlight === 0) changed();
  });
  const calls = createInstanceCalls({
    backend,
    owner,
    clock,
    send,
    session: () => session,
    isOpen,
    onIdle: () => idle.due(),
    onWaiting: () => backPressure.release(),
  });
  /** Waits for a renewal that is under way. */
  const ask: Ask = async (method, params, timeoutMs) => {
    while (renewal.underWay !== null) await renewal.underWay;
    return calls.ask(method, params, timeoutMs);
  };
  const health = createHealth({
    clock,
    ping: () => calls.ask("ping", undefined, PING_MS),
    onChanged() {
      if (over === null) changed();
    },
  });
  const lists = createInstanceLists({
    backend,
    ask,
    clock,
    logger,
    timeoutMs: listMs,
    declared: declares,
    onListings: options.onListings,
    onStale: changed,
  });
  const supported = (): boolean => declares("logging");
  const level = createServerLogLevel(options.logLevel, { ask, timeoutMs: listMs, supported });
  const subscriptions = createSubscriptions({ backend, ask, logger, timeoutMs: listMs, open: isReady });
  const gaps = createThrottle(clock, BETWEEN_GAPS_MS, () => {
    for (const kind of LIST_KINDS) {
      const declared = greeting?.capabilities[kind];
      if (isJsonObject(declared) && declared["listChanged"] === true) lists.changed(kind);
    }
    subscriptions.tellAll();
  });
  const questions = createQuestions({
    backend,
    send,
    attribute: calls.attribute,
    elicitations,
    restart: calls.restart,
  });
  const takeNotification = createNotifications({
    get: calls.get,
    restart: calls.restart,
    owner,
    attribute: calls.attribute,
    elicitations,
    tasks,
    subscribers: subscriptions.subscribers,
    toldLevel: () => level.told,
    onListChanged: lists.changed,
    onCancelled: questions.cancelled,
    onLog: options.onLog,
    clean: redaction.clean,
    keepLine,
    // A response of HTTP carries one call alone; a process carries everybody's.
    hold: ({ port }, streamOf) =>
      streamOf === null ? backPressure.hold(port, calls.isAlone()) : port.congested,
  });

  const endedFailure = (): LinkFailure =>
    state.kind === "ended" ? state.failure : { kind: "closed", message: "it is being stopped", hint: null };
  const end = (error: RpcError, failure: LinkFailure): void => {
    over = error;
    lists[Symbol.dispose]();
    idle[Symbol.dispose]();
    gaps[Symbol.dispose]();
    questions.end();
    calls.end(error, failure);
    snapshot = null;
    options.onSeen();
  };
  const fail = (failure: LinkFailure): void => {
    if (over !== null) return;
    state = { kind: "ended", wasReady: readyAtMs !== null, failure };
    end(unavailable(backend, failure).error, failure);
    closing ??= link.close();
  };

  const greet = async (): Promise<LinkFailure | null> => {
    const params = initializeParams(options.clientInfo, owner);
    const asking = calls.ask("initialize", params, options.initMs, heard ? 0 : (options.downloadMs ?? 0));
    greetingId = calls.newestId;
    const asked = await asking;
    if (over !== null) return endedFailure();
    if (asked.kind === "failed") return asked.failure;
    const answer = readGreeting(asked.reply, backend);
    if (isFailure(answer)) return answer;
    greeting = answer;
    session++;
    link.established(answer.version);
    send({ jsonrpc: "2.0", method: "notifications/initialized" });
    return null;
  };
  const renewal = createRenewal({
    backend,
    clock,
    logger,
    begin() {
      questions.sessionLost();
      level.forgotten();
      subscriptions.forgotten();
      return greet();
    },
    renewed() {
      void level.tell();
      calls.release();
      subscriptions.resume();
      lists.refresh();
    },
    failed: fail,
  });

  const takeResponse = (id: RpcId | null, reply: Reply): void => {
    if (id === null) return;
    const request = calls.get(id);
    if (request === undefined) {
      calls.answeredLate(id);
      return;
    }
    if (request.port !== null && isError(reply)) {
      elicitations.rememberError(reply.error, { client: request.port.client, call: null });
    }
    if (request.method === "tools/call") tasks.answered(request, reply);
    calls.settle(request, request.own ? withoutSecrets(reply) : reply, null);
  };
  /** Errors of the gateway's own requests become conditions. */
  const withoutSecrets = (reply: Reply): Reply =>
    isError(reply) ? { error: { ...reply.error, message: redaction.clean(reply.error.message) } } : reply;
  /** What was meant as an answer is one: better an error now than none until the deadline. */
  const takeInvalid = (value: unknown, id: RpcId | null, reason: string): void => {
    onGarbage(reason);
    if (id === null || !isJsonObject(value) || value["method"] !== undefined) return;
    const request = calls.get(id);
    if (request === undefined) return;
    const message = "its answer is no JSON-RPC response";
    const failure: LinkFailure = { kind: "protocol", message, hint: null };
    calls.settle(request, unavailable(backend, failure), failure);
  };
  const takeMessage = (value: unknown, streamOf: RpcId | null): Promise<void> | null => {
    const classified = classifyMessage(value);
    if (classified.kind === "notification") return takeNotification(classified.message, streamOf);
    if (classified.kind === "response") takeResponse(classified.id, classified.reply);
    else if (classified.kind === "request") questions.take(classified.message, streamOf);
    else takeInvalid(value, classified.id, classified.reason);
    return null;
  };

  const check = (): void => {
    if (isOpen()) health.check();
  };
  const link = options.open({
    onMessage(message, streamOf) {
      if (over !== null) return null;
      heardFirst();
      health.heard();
      if (!Array.isArray(message)) return takeMessage(message, streamOf);
      // Servers of 2025-03-26 may gather messages.
      const waits = message.map((one) => takeMessage(one, streamOf)).filter((wait) => wait !== null);
      return waits.length === 0 ? null : Promise.all(waits).then(() => undefined);
    },
    onRequestFailed(id, failure) {
      const request = calls.get(id);
      if (over !== null || request === undefined) return;
      if (failure.kind === "unreachable" && request.method !== "ping") {
        health.missed(request.id, calls.newestId);
      }
      const lost = failure.kind === "session_lost";
      // Calls wait for the new session before the reply is out: who asks again at once gets there.
      if (lost && isReady() && request.sentIn === session) renewal.begin();
      calls.settle(request, lost ? lostSession(backend) : unavailable(backend, failure), failure);
    },
    // Found out now, a server that was deployed anew costs no client a call.
    onDoubt: check,
    onGap() {
      if (over === null) gaps.due();
    },
    onClosed: fail,
    onLogLine: keepLine,
  });

  const start = async (): Promise<void> => {
    let failure = await greet();
    if (failure === null) [failure] = await Promise.all([lists.readFirst(), level.tell()]);
    if (over !== null) return;
    if (failure !== null) {
      fail(failure);
      return;
    }
    state = { kind: "ready" };
    readyAtMs = clock.monotonicMs();
    // What was wanted meanwhile.
    void level.tell();
    subscriptions.resume();
    calls.release();
    changed();
  };
  void start();

  const whileAlive = (work: () => Promise<Reply>): Promise<Reply> =>
    over === null ? work() : Promise.resolve({ error: over });

  const instance: BackendInstance = {
    id: options.id,
    get seen() {
      if (snapshot === null || snapshot.inFlight !== calls.inFlight) {
        snapshot = {
          id: options.id,
          key: options.key,
          state,
          startedAtMs,
          readyAtMs,
          inFlight: calls.inFlight,
          missedChecks: health.missedChecks,
          checkedAtMs: health.checkedAtMs,
          listsStaleBecause: lists.staleBecause,
        };
      }
      return snapshot;
    },
    get listings() {
      return readyAtMs === null ? null : lists.listings;
    },
    get serverInfo() {
      return greeting?.serverInfo ?? null;
    },
    get protocolVersion() {
      return greeting?.version ?? null;
    },
    get capabilities() {
      return greeting?.capabilities ?? {};
    },
    get instructions() {
      return greeting?.instructions ?? null;
    },
    get pid() {
      return link.pid;
    },
    get logLines() {
      return [...lines];
    },
    request: calls.request,
    notify(method, params) {
      if (session === 0) return;
      send(params === undefined ? { jsonrpc: "2.0", method } : { jsonrpc: "2.0", method, params });
    },
    check,
    refresh() {
      if (isOpen()) lists.refresh();
    },
    setLogLevel(wanted) {
      level.want(wanted);
      if (isReady()) void level.tell();
    },
    subscribe: (uri, client) => whileAlive(() => subscriptions.subscribe(uri, client)),
    unsubscribe: (uri, client) => whileAlive(() => subscriptions.unsubscribe(uri, client)),
    subscriptions: subscriptions.clients,
    adopt(others) {
      if (over === null) subscriptions.adopt(others);
    },
    forget(client: ClientPort) {
      if (over !== null) return;
      subscriptions.forget(client);
      calls.forget(client);
      questions.forget(client);
      elicitations.forget(client);
      tasks.forget(client);
    },
    close(error) {
      if (over === null) {
        state = { kind: "closing" };
        end({ code: error.code, message: error.message }, endedFailure());
      }
      closing ??= link.close();
      return closing;
    },
  };
  return instance;
};

function lostSession(backend: string): Reply {
  const text = `backend ${backend} lost its session; the call was not repeated, as it may have taken effect`;
  return errorReply(BACKEND_UNAVAILABLE, text);
}
