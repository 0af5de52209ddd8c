// Passes each notification of the server to the clients that it belongs to.
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import type { CallHandle, ClientHandle } from "../../client-handle.ts";
import {
  type JsonObject,
  jsonLength,
  type RpcId,
  type RpcNotification,
  rpcNotification,
} from "../../json-rpc.ts";
import { LIST_CHANGED, LIST_KINDS, RESOURCE_UPDATED, TASK_NOTICE } from "../../protocol.ts";
import { type ClientRecords, type ElicitationRecord, type TaskRecord, taskOfCall } from "./attribution.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { InstanceCalls } from "./calls.ts";
import { oneLine } from "./failures.ts";
import type { InstanceLists } from "./lists.ts";
import { passesLogLevel, type ServerLog, type ServerLogLevel } from "./server-log.ts";
import type { ServerRequests } from "./server-requests.ts";
import { subscriptionIn, withSubscription } from "./subscription-id.ts";
import type { Subscriptions, TaskWatchers } from "./subscriptions.ts";

interface NotificationParts {
  readonly options: InstanceOptions;
  readonly calls: InstanceCalls;
  readonly questions: ServerRequests;
  readonly elicitations: ClientRecords<ElicitationRecord>;
  readonly tasks: ClientRecords<TaskRecord>;
  readonly subscriptions: Subscriptions;
  readonly watchers: TaskWatchers;
  readonly lists: InstanceLists;
  readonly level: ServerLogLevel;
  readonly log: ServerLog;
}

/** The link pauses until this promise settles; null: no pause. */
type Wait = Promise<void> | null;

/** The prefix of notifications that the gateway itself sends to its bridge (`mountaineer mcp`). */
const OWN_NOTIFICATIONS = "notifications/mountaineer/";

/** Some servers give the token, which is a number, back as a text. */
function tokenOf(params: JsonObject | undefined): unknown {
  const token = params?.["progressToken"];
  return typeof token === "string" && /^[1-9]\d{0,14}$/.test(token) ? Number(token) : token;
}

/** `streamOf`: the request whose HTTP response delivered the message. */
export type TakeNotification = ReturnType<typeof createNotifications>;

export function createNotifications(parts: NotificationParts) {
  const { options, calls, questions, elicitations, tasks, subscriptions, watchers, lists, level, log } =
    parts;

  /**
   * Sends the notification to `client`, as part of the first request in `within` that is a call of `client`. If there
   * is no such request, the notification belongs to no call.
   */
  const forward = (
    client: ClientHandle,
    within: readonly (RpcId | null)[],
    { method, params }: RpcNotification,
  ): void => {
    for (const id of within) {
      const handle = id === null ? undefined : calls.pending.get(id)?.handle;
      if (handle?.client !== client) continue;
      handle.notify(method, params);
      return;
    }
    client.notify(method, params);
  };

  /**
   * Pauses the link while the client does not read. A link that several clients share cannot be paused, so
   * the notification is dropped.
   */
  const forwardLossy = (
    handle: CallHandle,
    method: string,
    params: JsonObject,
    streamOf: RpcId | null,
  ): Wait => {
    const before = calls.pause(handle, streamOf);
    if (before === null && handle.congested !== null) return null;
    handle.notify(method, params);
    return before ?? calls.pause(handle, streamOf);
  };

  const takeTaskProgress = ({ method, params }: RpcNotification, streamOf: RpcId | null): void => {
    const task = taskOfCall(tasks, tokenOf(params));
    if (task === null || task.progressToken === null) return;
    const forClient = { ...params, progressToken: task.progressToken };
    forward(task.client, [streamOf], rpcNotification(method, forClient));
  };

  const takeProgress = (message: RpcNotification, streamOf: RpcId | null): Wait => {
    const { method, params } = message;
    const token = tokenOf(params);
    const request = typeof token === "number" ? calls.pending.get(token) : undefined;
    if (request === undefined) {
      takeTaskProgress(message, streamOf);
      return null;
    }
    if (request.progressToken === null) return null;
    calls.pending.restart(request);
    if (request.handle === null) return null;
    const forClient = { ...params, progressToken: request.progressToken };
    return forwardLossy(request.handle, method, forClient, streamOf);
  };

  const takeTaskStatus = (message: RpcNotification, streamOf: RpcId | null): void => {
    const client = tasks.of(message.params?.["taskId"])[0]?.client ?? options.owner;
    if (client !== null) forward(client, [streamOf], message);
  };

  const takeLog = ({ method, params = {} }: RpcNotification, streamOf: RpcId | null): Wait => {
    const addressee = calls.attribute(streamOf);
    if (addressee.kind === "call") {
      const { handle } = addressee.call;
      if (!passesLogLevel(params, handle.client, level.raised)) return null;
      return forwardLossy(handle, method, params, streamOf);
    }
    if (addressee.kind === "owner") {
      if (passesLogLevel(params, addressee.client, level.raised)) addressee.client.notify(method, params);
    } else if (addressee.why === "idle" && jsonLength(params) <= TEXT_BOUNDS.broadcast.most)
      options.onLog(params);
    // It is for too many, or it is unclear which client the message belongs to, so no client may see it.
    else log.keep(logLine(params, log));
    return null;
  };

  const takeUpdate = (message: RpcNotification, streamOf: RpcId | null): void => {
    const uri = message.params?.["uri"];
    if (typeof uri !== "string" || uri.length > TEXT_BOUNDS.uri.most) return;
    const isShort = jsonLength(message.params ?? {}) <= TEXT_BOUNDS.broadcast.most;
    const params = { ...(isShort && message.params), uri: options.publishedUri(uri) };
    for (const client of subscriptions.subscribers(uri)) forward(client, [streamOf], { ...message, params });
  };

  const takeElicitationComplete = (message: RpcNotification, streamOf: RpcId | null): void => {
    const records = elicitations.of(message.params?.["elicitationId"]);
    for (const { client, call } of records) forward(client, [streamOf, call], message);
    if (records.length === 0 && options.owner !== null) forward(options.owner, [streamOf], message);
  };

  const takeOther = ({ method, params }: RpcNotification, streamOf: RpcId | null): void => {
    // Only the gateway may send its own notifications: one from a server would mislead `mountaineer mcp`.
    if (method.startsWith(OWN_NOTIFICATIONS)) return;
    const named = subscriptionIn(params);
    const stream = streamOf ?? calls.pending.sentId(named);
    if (stream === null) calls.refuseTwins(method);
    // The stream has ended.
    else if (named !== undefined && calls.pending.get(stream) === undefined) return;
    const addressee = calls.attribute(stream);
    if (addressee.kind === "owner") addressee.client.notify(method, params);
    if (addressee.kind !== "call") return;
    const { call, calls: possible } = addressee;
    // A stream has no end while it sends.
    if (possible.length === 1) calls.pending.restart(call);
    const isNamed = stream !== null && calls.pending.get(stream) === call;
    call.handle.notify(method, isNamed ? withSubscription(params, call.handle.id) : params);
  };

  const byMethod = new Map<string, (message: RpcNotification, streamOf: RpcId | null) => Wait | void>([
    ["notifications/progress", takeProgress],
    ["notifications/message", takeLog],
    ["notifications/tasks/status", takeTaskStatus],
    [TASK_NOTICE, ({ params }) => watchers.notify(params)],
    [RESOURCE_UPDATED, takeUpdate],
    ["notifications/elicitation/complete", takeElicitationComplete],
    ["notifications/cancelled", ({ params }) => questions.cancelled(params?.["requestId"])],
    ...LIST_KINDS.map((kind) => [LIST_CHANGED[kind], () => lists.changed(kind)] as const),
  ]);
  return (message: RpcNotification, streamOf: RpcId | null): Wait =>
    (byMethod.get(message.method) ?? takeOther)(message, streamOf) ?? null;
}

function logLine(params: JsonObject, log: ServerLog): string {
  const { level, logger, data } = params;
  const from = typeof logger === "string" ? ` ${logger}` : "";
  // Redacts before cutting, so that no part of a secret remains.
  return oneLine(log.clean(`[${typeof level === "string" ? level : "log"}${from}] ${dataText(data)}`));
}

function dataText(data: unknown): string {
  if (typeof data === "string") return data;
  try {
    return JSON.stringify(data) ?? "";
  } catch (error) {
    // JSON can be read with deeper nesting than can be written.
    if (error instanceof RangeError) return "(nested too deep to be shown)";
    throw error;
  }
}
