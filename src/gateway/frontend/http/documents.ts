// Documents over HTTP: health, metrics, and where clients can sign in.
import { answerJson, answerMetrics } from "./answer.ts";
import { addressOf, type Exchange, isOwnMachine, notAllowed, WELL_KNOWN } from "./request.ts";
import type { FrontTools } from "./request-admission.ts";

const HEALTH_PATH = "/manage/v1/health";
const METRICS_PATH = "/metrics";

/** Answers a request for one of the documents. False: `path` is not one of them. */
export function answerDocument(tools: FrontTools, exchange: Exchange, path: string): boolean {
  const { admission, gateway, parts, refuse } = tools;
  const { request, response } = exchange;
  const { method, headers } = request;
  const { resource } = gateway.served;
  const metrics =
    path === METRICS_PATH ? gateway.metrics(headers.authorization, isOwnMachine(request)) : null;
  // Protected resource metadata (RFC 9728), for clients that are not signed in yet.
  const metadata = path.startsWith(WELL_KNOWN) ? (resource?.document(addressOf(request)) ?? null) : null;
  if (metrics === null && path !== HEALTH_PATH && metadata === null) return false;
  // Some health probes send HEAD.
  if (method !== "GET" && method !== "HEAD") refuse(exchange, notAllowed("GET, HEAD"));
  else if (metrics?.kind === "text") answerMetrics(response, metrics.text);
  else if (metrics !== null) {
    const [status, reason] =
      metrics.kind === "foreign"
        ? ([403, "metrics are only for this machine"] as const)
        : ([401, "metrics take a token"] as const);
    const headers = status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
    admission.refuse(exchange, { status, reason, principal: null }, { headers });
  } else {
    const document = JSON.stringify(metadata ?? gateway.health());
    answerJson(parts, response, 200, document, { "Cache-Control": "no-store" });
  }
  return true;
}
