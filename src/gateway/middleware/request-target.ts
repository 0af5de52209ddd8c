// The target of a request, and the answer when it does not exist or the client may not know of it.
import type { CatalogEntry, EntryKind } from "../catalog/catalog.ts";
import {
  errorReply,
  INVALID_PARAMS,
  isJsonObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  RESOURCE_NOT_FOUND,
  type Reply,
} from "../json-rpc.ts";
import { sanitise } from "./sanitise.ts";

/** `template`: as completion/complete names it, a template or a URI. */
export type RequestTarget = Pick<CatalogEntry, "kind" | "name"> & Partial<Pick<CatalogEntry, "fullName">>;

/** Null: the method is about nothing that has a name, or the name is missing. */
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

function target(kind: EntryKind, name: unknown): RequestTarget | null {
  return typeof name === "string" ? { kind, name } : null;
}

/** Where results are kept that were too large to send. */
export const KEPT_RESULTS = "mountaineer://results/";

export function isKeptResult(uri: string): boolean {
  return uri.startsWith(KEPT_RESULTS);
}

/** `tool:NAME`, `prompt:NAME`, `resource:URI`: how policies and the audit name it. */
export function targetLabel({ kind, name }: RequestTarget): string {
  return `${kind === "template" ? "resource" : kind}:${name}`;
}

/** The same words whether it does not exist or is not allowed, so that they give no name away. */
export function unknownTarget({ kind, name }: RequestTarget): Reply {
  const shown = sanitise(name);
  if (kind === "tool") return errorReply(INVALID_PARAMS, `Unknown tool: ${shown}`);
  if (kind === "prompt") return errorReply(INVALID_PARAMS, `Unknown prompt: ${shown}`);
  return errorReply(RESOURCE_NOT_FOUND, "Resource not found", { uri: shown });
}

export function unknownMethod(method: string): Reply {
  return errorReply(METHOD_NOT_FOUND, `Method not found: ${sanitise(method)}`);
}
