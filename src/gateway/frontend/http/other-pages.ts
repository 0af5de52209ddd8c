// Lets web pages of other origins use MCP and read the sign-in documents (CORS): pages that a person named, and pages of
// this machine where clients sign in. Without sign-in, any page on localhost could use every tool.
import type { IncomingMessage, ServerResponse } from "node:http";
import { isLoopbackOrigin } from "../../../runtime/http/host-guard.ts";
import { answerEmpty } from "./answer.ts";
import type { Exchange } from "./request.ts";

export interface PageRules {
  /** As browsers send them. */
  readonly origins: readonly string[];
  readonly hasSignIn: boolean;
}

export const NO_OTHER_PAGES: PageRules = { origins: [], hasSignIn: false };

const REQUEST_HEADERS = [
  "Accept",
  "Authorization",
  "Content-Type",
  "Last-Event-ID",
  "Mcp-Session-Id",
  "Mcp-Protocol-Version",
  "Mcp-Method",
  "Mcp-Name",
  "traceparent",
  "tracestate",
].join(", ");
const RESPONSE_HEADERS = "Mcp-Session-Id, WWW-Authenticate, Retry-After";
/** In seconds. */
const PREFLIGHT_AGE = "600";

export function isAllowedPage(origin: string, { origins, hasSignIn }: PageRules): boolean {
  return origins.includes(origin) || (hasSignIn && isLoopbackOrigin(origin));
}

/** Lets the page read the answer. */
export function letRead(response: ServerResponse, origin: string): void {
  response.setHeader("Access-Control-Allow-Origin", origin);
  response.setHeader("Access-Control-Expose-Headers", RESPONSE_HEADERS);
  response.setHeader("Vary", "Origin");
}

/** Answers what a browser asks before a page's request. False: it is no such question. */
export function answerPreflight({ request, response }: Exchange, methods: readonly string[]): boolean {
  const { method, headers } = request;
  if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
  response.setHeader("Access-Control-Allow-Methods", methods.join(", "));
  response.setHeader("Access-Control-Allow-Headers", [REQUEST_HEADERS, ...paramHeaders(request)].join(", "));
  response.setHeader("Access-Control-Max-Age", PREFLIGHT_AGE);
  answerEmpty(response, 204);
  return true;
}

/** Headers of 2026-07-28 that tools declare. */
function paramHeaders({ headers }: IncomingMessage): readonly string[] {
  const names = headers["access-control-request-headers"]?.split(",") ?? [];
  return names.map((name) => name.trim()).filter((name) => /^mcp-param-[\w-]{1,128}$/i.test(name));
}
