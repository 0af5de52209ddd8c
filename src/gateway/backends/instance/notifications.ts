// Owns the server's notifications: each goes to whom it belongs, and to nobody else.
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject, RpcId, RpcNotification } from "../../json-rpc.ts";
import {
  LIST_CHANGED,
  LIST_KINDS,
  type ListKind,
  type McpLogLevel,
  RESOURCE_UPDATED,
} from "../../protocol.ts";
import type { Attribution, ClientCall } from "./attribution.ts";
import type { Elicitations } from "./elicitations.ts";
import { oneLine } from "./failures.ts";
import { passesLogLevel } from "./log-level.ts";
import type { PendingRequest } from "./pending.ts";
import type { InstanceTasks } from "./tasks.ts";

interface NotificationOptions {
  readonly get: (id: RpcId) => PendingRequest | undefined;
  /** Starts a call's time anew. */
  readonly restart: (request: PendingRequest) => void;
  readonly owner: ClientPort | null;
  readonly attribute: (streamOf: RpcId | null) => Attribution;
  readonly elicitations: Elicitations;
  readonly tasks: InstanceTasks;
  readonly subscribers: (uri: string) => ReadonlySet<ClientPort>;
  /** The level the server was told. */
  readonly toldLevel: () => McpLogLevel | null;
  readonly onListChanged: (kind: ListKind) => void;
  readonly onCancelled: (requestId: unknown) => void;
  /** A log message that belongs to no client's call. */
  readonly onLog: (params: JsonObject) => void;
  /** What no client may see is kept beside the protocol. */
  readonly keepLine: (line: string) => void;
  /** Takes the secrets out of a text. */
  readonly clean: (text: string) => string;
  /** A client that does not read: what the link waits for, null when it has to read on for others. */
  readonly hold: (call: ClientCall, streamOf: RpcId | null) => Promise<void> | null;
}

/** Takes one notification; the promise asks the link to read no more from its source until it settles. */
type TakeNotification = (message: RpcNotification, streamOf: RpcId | null) => Promise<void> | null;

const LIST_KIND_OF: ReadonlyMap<string, ListKind> = new Map(
  LIST_KINDS.map((kind) => [LIST_CHANGED[kind], kind]),
);

export function createNotifications(options: NotificationOptions): TakeNotification {
  const {
    get,
    restart,
    owner,
    attribute,
    elicitations,
    tasks,
    subscribers,
    toldLevel,
    onLog,
    keepLine,
    hold,
  } = options;

  const liveCallOf = (id: RpcId | null, client: ClientPort): ClientCall | null => {
    const request = id === null ? undefined : get(id);
    return request !== undefined && isOf(request, client) ? request : null;
  };
  const toClient = (client: ClientPort, call: ClientCall | null, message: RpcNotification): void => {
    if (call === null) client.notify(message.method, message.params);
    else call.port.notify(message.method, message.params);
  };
  /** What a client can do without is not piled up for one that does not read while others wait. */
  const tellLossy = (
    call: ClientCall,
    method: string,
    params: JsonObject,
    streamOf: RpcId | null,
  ): Promise<void> | null => {
    if (call.port.congested !== null) {
      const wait = hold(call, streamOf);
      if (wait === null) return null;
      call.port.notify(method, params);
      return wait;
    }
    call.port.notify(method, params);
    return call.port.congested === null ? null : hold(call, streamOf);
  };

  const takeTaskProgress: TakeNotification = ({ method, params }, streamOf) => {
    const task = tasks.ofCall(params?.["progressToken"]);
    if (task === null || task.progressToken === null) return null;
    const theirs = { ...params, progressToken: task.progressToken };
    toClient(task.client, liveCallOf(streamOf, task.client), { jsonrpc: "2.0", method, params: theirs });
    return null;
  };
  const takeTaskStatus: TakeNotification = (message, streamOf) => {
    const task = tasks.ofTask(message.params?.["taskId"]);
    const client = task?.client ?? owner;
    if (client !== null) toClient(client, liveCallOf(streamOf, client), message);
    return null;
  };
  const takeProgress: TakeNotification = (message, streamOf) => {
    const { method, params } = message;
    const token = params?.["progressToken"];
    const request = typeof token === "number" ? get(token) : undefined;
    if (request === undefined) return takeTaskProgress(message, streamOf);
    if (request.progressToken === null) return null;
    restart(request);
    if (!isClientCall(request)) return null;
    return tellLossy(request, method, { ...params, progressToken: request.progressToken }, streamOf);
  };
  const takeLog: TakeNotification = ({ method, params = {} }, streamOf) => {
    const whose = attribute(streamOf);
    if (whose.kind === "call") {
      if (!passesLogLevel(params, whose.call.port.client, toldLevel())) return null;
      return tellLossy(whose.call, method, params, streamOf);
    }
    if (whose.kind === "owner") {
      if (passesLogLevel(params, whose.client, toldLevel())) whose.client.notify(method, params);
    } else if (whose.why === "idle") onLog(params);
    else keepLine(logLine(params, options.clean));
    return null;
  };
  const takeUpdated: TakeNotification = (message, streamOf) => {
    const uri = message.params?.["uri"];
    if (typeof uri !== "string") return null;
    for (const client of subscribers(uri)) toClient(client, liveCallOf(streamOf, client), message);
    return null;
  };
  const takeElicitationComplete: TakeNotification = (message, streamOf) => {
    const record = elicitations.find(message.params?.["elicitationId"]);
    const client = record?.client ?? owner;
    if (client === null) return null;
    toClient(client, liveCallOf(streamOf, client) ?? liveCallOf(record?.call ?? null, client), message);
    return null;
  };

  return (message, streamOf) => {
    switch (message.method) {
      case "notifications/progress":
        return takeProgress(message, streamOf);
      case "notifications/tasks/status":
        return takeTaskStatus(message, streamOf);
      case "notifications/message":
        return takeLog(message, streamOf);
      case RESOURCE_UPDATED:
        return takeUpdated(message, streamOf);
      case "notifications/elicitation/complete":
        return takeElicitationComplete(message, streamOf);
      case "notifications/cancelled":
        options.onCancelled(message.params?.["requestId"]);
        return null;
      default: {
        const kind = LIST_KIND_OF.get(message.method);
        if (kind !== undefined) {
          options.onListChanged(kind);
          return null;
        }
        const whose = attribute(streamOf);
        if (whose.kind === "call") toClient(whose.call.port.client, whose.call, message);
        else if (whose.kind === "owner") toClient(whose.client, null, message);
        return null;
      }
    }
  };
}

function isClientCall(request: { readonly port: ClientCall["port"] | null }): request is ClientCall {
  return request.port !== null;
}

function isOf(
  request: { readonly port: ClientCall["port"] | null },
  client: ClientPort,
): request is ClientCall {
  return request.port?.client === client;
}

function logLine(params: JsonObject, clean: (text: string) => string): string {
  const { level, logger, data } = params;
  const from = typeof logger === "string" ? ` ${logger}` : "";
  // Cleaned before it is cut: half a secret is one, too.
  return oneLine(clean(`[${typeof level === "string" ? level : "log"}${from}] ${dataText(data)}`));
}

function dataText(data: unknown): string {
  if (typeof data === "string") return data;
  try {
    return JSON.stringify(data) ?? "";
  } catch (error) {
    // Parsing nests deeper than writing does.
    if (error instanceof RangeError) return "(nested too deep to be shown)";
    throw error;
  }
}
