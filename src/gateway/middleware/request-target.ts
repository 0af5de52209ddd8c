// The target of a request, and the reply if there is no such target or the client may not know of it.
import type { Catalog, CatalogEntry, EntryKind, Resolved } from "../catalog/catalog.ts";
import type { RuleTarget } from "../catalog/rule-names.ts";
import {
  errorReply,
  INVALID_PARAMS,
  isJsonObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  RESOURCE_NOT_FOUND,
  type Reply,
} from "../json-rpc.ts";
import type { GatewayRequest } from "./middleware.ts";
import { sanitise } from "./sanitise.ts";
import type { TaskOrigin } from "./task-ids.ts";

/** A `template` of completion/complete may also be the URI of a resource. */
export type RequestTarget = RuleTarget;

/** The backend that gave a reply, where another one was asked first. */
export const answeredInstead = new WeakMap<Reply, string>();

/** null: the method has no target, or the target's name is missing. */
export function targetOf(method: string, params: JsonObject | undefined): RequestTarget | null {
  if (params === undefined) return null;
  switch (method) {
    case "tools/call":
      return target("tool", params["name"]);
    case "prompts/get":
      return target("prompt", params["name"]);
    case "resources/read":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return target("resource", params["uri"]);
    case "completion/complete": {
      const reference = params["ref"];
      if (!isJsonObject(reference)) return null;
      if (reference["type"] === "ref/prompt") return target("prompt", reference["name"]);
      return reference["type"] === "ref/resource" ? target("template", reference["uri"]) : null;
    }
    default:
      return null;
  }
}

/** The target of the request. For a request about a task, the tool whose call began the task. */
export function subjectOf({
  method,
  params,
  task,
  served,
}: Omit<GatewayRequest, "handle">): RequestTarget | null {
  if (task === undefined) return targetOf(method, params);
  return toolOfTask(served.catalog, task) ?? { kind: "tool", name: task.tool };
}

/** The tool that began the task, under the tool's current name; null: that tool is neither listed nor away. */
export function toolOfTask(
  { tools, entries }: Pick<Catalog, "tools" | "entries">,
  { backend, tool, originalTool }: TaskOrigin,
): CatalogEntry | null {
  const isIt = (entry: CatalogEntry): boolean =>
    entry.originalName === originalTool && entry.backend === backend;
  const named = tools.get(tool);
  if (named !== undefined && isIt(named)) return named;
  // Listed entries come before those that are away.
  const isServed = ({ status }: CatalogEntry): boolean => status === "listed" || status === "away";
  return entries.find((entry) => entry.kind === "tool" && isServed(entry) && isIt(entry)) ?? null;
}

function target(kind: EntryKind, name: unknown): RequestTarget | null {
  return typeof name === "string" ? { kind, name } : null;
}

/** The target with the backend that is asked for it, and the name that it has there. */
export function targetAt(target: RequestTarget, found: Resolved | null): RequestTarget {
  return found === null ? target : { ...target, backend: found.backend, originalName: found.originalName };
}

/** `tool:NAME`, `prompt:NAME`, `resource:URI`: the target's name in policies and the audit. */
export function targetLabel({ kind, name }: RequestTarget): string {
  return `${kind === "tool" || kind === "prompt" ? kind : "resource"}:${name}`;
}

/**
 * The error for a missing or forbidden target. The text is the same in both cases, so it reveals no name.
 * `withheldBy`: the backend of a target that waits for a person's approval.
 */
export function unknownTarget({ kind, name }: RequestTarget, withheldBy: string | null = null) {
  const shown = sanitise(name);
  const why =
    withheldBy === null
      ? ""
      : `. Server ${withheldBy} offers it, but it is new or was changed, and waits for approval (mountaineer tools diff)`;
  if (kind === "tool") return errorReply(INVALID_PARAMS, `Unknown tool: ${shown}${why}`);
  if (kind === "prompt") return errorReply(INVALID_PARAMS, `Unknown prompt: ${shown}${why}`);
  return errorReply(RESOURCE_NOT_FOUND, `Resource not found${why}`, { uri: shown });
}

/** The same error for a missing task, another principal's task, and a task whose tool is forbidden now. */
export function unknownTask(params: JsonObject | undefined): Reply {
  return errorReply(INVALID_PARAMS, `Unknown task: ${sanitise(String(params?.["taskId"]))}`);
}

export function unknownMethod(method: string): Reply {
  return errorReply(METHOD_NOT_FOUND, `Method not found: ${sanitise(method)}`);
}
