// The server's notifications: each goes only to the clients that it belongs to.
import type { CallPort, ClientPort } from "../../client-port.ts";
import { type JsonObject, type RpcId, type RpcNotification, rpcNotification } from "../../json-rpc.ts";
import { LIST_CHANGED, LIST_KINDS, type ListKind, RESOURCE_UPDATED, TASK_NOTICE } from "../../protocol.ts";
import { type ClientRecords, type ElicitationRecord, type TaskRecord, taskOfCall } from "./attribution.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { InstanceCalls } from "./calls.ts";
import { oneLine } from "./failures.ts";
import type { InstanceLists } from "./lists.ts";
import type { Questions } from "./questions.ts";
import { passesLogLevel, type ServerLog, type ServerLogLevel } from "./server-log.ts";
import type { Subscriptions, TaskWatchers } from "./subscriptions.ts";

interface NotificationParts {
  readonly options: InstanceOptions;
  readonly calls: InstanceCalls;
  readonly questions: Questions;
  readonly elicitations: ClientRecords<ElicitationRecord>;
  readonly tasks: ClientRecords<TaskRecord>;
  readonly subscriptions: Subscriptions;
  readonly watchers: TaskWatchers;
  readonly lists: InstanceLists;
  readonly level: ServerLogLevel;
  readonly log: ServerLog;
}

/** A promise that pauses the link's source until it settles; null: no pause. */
type Wait = Promise<void> | null;

/** Prefix of the gateway's own notifications to its bridge, such as `notifications/mountaineer/handover`. */
const OWN_NOTIFICATIONS = "notifications/mountaineer/";

const LIST_KIND_OF: ReadonlyMap<string, ListKind> = new Map(
  LIST_KINDS.map((kind) => [LIST_CHANGED[kind], kind]),
);

export class Notifications {
  readonly #parts: NotificationParts;

  constructor(parts: NotificationParts) {
    this.#parts = parts;
  }

  take(message: RpcNotification, streamOf: RpcId | null): Wait {
    const { method, params } = message;
    switch (method) {
      case "notifications/progress":
        return this.#progress(message, streamOf);
      case "notifications/message":
        return this.#log(message, streamOf);
      case "notifications/tasks/status":
        this.#taskStatus(message, streamOf);
        return null;
      case TASK_NOTICE:
        this.#parts.watchers.notify(params);
        return null;
      case RESOURCE_UPDATED:
        this.#updated(message, streamOf);
        return null;
      case "notifications/elicitation/complete":
        this.#elicitationComplete(message, streamOf);
        return null;
      case "notifications/cancelled":
        this.#parts.questions.cancelled(params?.["requestId"]);
        return null;
    }
    const kind = LIST_KIND_OF.get(method);
    if (kind !== undefined) this.#parts.lists.changed(kind);
    else this.#other(message, streamOf);
    return null;
  }

  #progress(message: RpcNotification, streamOf: RpcId | null): Wait {
    const { method, params } = message;
    const token = params?.["progressToken"];
    const request = typeof token === "number" ? this.#parts.calls.pending.get(token) : undefined;
    if (request === undefined) {
      this.#taskProgress(message, streamOf);
      return null;
    }
    if (request.progressToken === null) return null;
    this.#parts.calls.pending.restart(request);
    if (request.port === null) return null;
    const forClient = { ...params, progressToken: request.progressToken };
    return this.#forwardLossy(request.port, method, forClient, streamOf);
  }

  #taskProgress({ method, params }: RpcNotification, streamOf: RpcId | null): void {
    const task = taskOfCall(this.#parts.tasks, params?.["progressToken"]);
    if (task === null || task.progressToken === null) return;
    const forClient = { ...params, progressToken: task.progressToken };
    this.#forward(task.client, [streamOf], rpcNotification(method, forClient));
  }

  #taskStatus(message: RpcNotification, streamOf: RpcId | null): void {
    const { options, tasks } = this.#parts;
    const client = tasks.find(message.params?.["taskId"])?.client ?? options.owner;
    if (client !== null) this.#forward(client, [streamOf], message);
  }

  #log({ method, params = {} }: RpcNotification, streamOf: RpcId | null): Wait {
    const { calls, level, log, options } = this.#parts;
    const addressee = calls.attribute(streamOf);
    if (addressee.kind === "call") {
      const { port } = addressee.call;
      if (!passesLogLevel(params, port.client, level.raised)) return null;
      return this.#forwardLossy(port, method, params, streamOf);
    }
    if (addressee.kind === "owner") {
      if (passesLogLevel(params, addressee.client, level.raised)) addressee.client.notify(method, params);
    } else if (addressee.why === "idle") options.onLog(params);
    // It is unclear which client the message belongs to, so no client may see it.
    else log.keep(logLine(params, log));
    return null;
  }

  #updated(message: RpcNotification, streamOf: RpcId | null): void {
    const uri = message.params?.["uri"];
    if (typeof uri !== "string") return;
    for (const client of this.#parts.subscriptions.subscribers(uri))
      this.#forward(client, [streamOf], message);
  }

  #elicitationComplete(message: RpcNotification, streamOf: RpcId | null): void {
    const { options, elicitations } = this.#parts;
    const record = elicitations.find(message.params?.["elicitationId"]);
    const client = record?.client ?? options.owner;
    if (client !== null) this.#forward(client, [streamOf, record?.call ?? null], message);
  }

  #other(message: RpcNotification, streamOf: RpcId | null): void {
    const { method, params } = message;
    // A server that sends our bridge's own notifications could only mislead the bridge.
    if (method.startsWith(OWN_NOTIFICATIONS)) return;
    const addressee = this.#parts.calls.attribute(streamOf);
    if (addressee.kind === "call") addressee.call.port.notify(method, params);
    else if (addressee.kind === "owner") addressee.client.notify(method, params);
  }

  /**
   * Sends the notification within the first of `calls` that is in flight and the client's; otherwise outside
   * of calls.
   */
  #forward(client: ClientPort, calls: readonly (RpcId | null)[], { method, params }: RpcNotification): void {
    for (const id of calls) {
      const port = id === null ? undefined : this.#parts.calls.pending.get(id)?.port;
      if (port?.client !== client) continue;
      port.notify(method, params);
      return;
    }
    client.notify(method, params);
  }

  /** Drops the notification if the client does not read and the link cannot be paused because others wait for it. */
  #forwardLossy(port: CallPort, method: string, params: JsonObject, streamOf: RpcId | null): Wait {
    const { calls } = this.#parts;
    const before = calls.hold(port, streamOf);
    if (before === null && port.congested !== null) return null;
    port.notify(method, params);
    return before ?? calls.hold(port, streamOf);
  }
}

function logLine(params: JsonObject, log: ServerLog): string {
  const { level, logger, data } = params;
  const from = typeof logger === "string" ? ` ${logger}` : "";
  // The text is redacted before it is cut, so that no part of a secret remains.
  return oneLine(log.clean(`[${typeof level === "string" ? level : "log"}${from}] ${dataText(data)}`));
}

function dataText(data: unknown): string {
  if (typeof data === "string") return data;
  try {
    return JSON.stringify(data) ?? "";
  } catch (error) {
    // JSON can be parsed with deeper nesting than can be written.
    if (error instanceof RangeError) return "(nested too deep to be shown)";
    throw error;
  }
}
