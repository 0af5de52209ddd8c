import type { MetricsAnswer } from "../session/front-contract.ts";
import { answerJson, answerText } from "./answer.ts";
import { hostOf, isOwnMachine, notAllowed, pathOf } from "./request.ts";
import type { Exchange, FrontTools } from "./request-admission.ts";

const HEALTH_PATH = "/manage/v1/health";
const METRICS_PATH = "/metrics";

/** False: it asks for something else. */
export function answerDocument(tools: FrontTools, exchange: Exchange, path: string): boolean {
  const { gateway, parts, refuse } = tools;
  const { request, response } = exchange;
  const { method, headers } = request;
  const { resource } = gateway.served;
  const metrics =
    path === METRICS_PATH ? gateway.metrics(headers.authorization, isOwnMachine(request)) : null;
  // For clients that are not signed in yet: where they can.
  const isMetadata = resource?.paths.has(path) === true;
  if (metrics === null && path !== HEALTH_PATH && !isMetadata) return false;
  // Some probes ask for no body.
  if (method !== "GET" && method !== "HEAD") refuse(exchange, notAllowed("GET, HEAD"));
  else if (metrics !== null) answerMetrics(tools, exchange, metrics);
  else {
    const document = isMetadata
      ? resource.metadata(hostOf(request) ?? "", pathOf(request.url))
      : gateway.health();
    answerJson(parts, response, 200, JSON.stringify(document), { "Cache-Control": "no-store" });
  }
  return true;
}

function answerMetrics({ admission }: FrontTools, exchange: Exchange, answer: MetricsAnswer): void {
  if (answer.kind === "text") {
    answerText(exchange.response, answer.text);
    return;
  }
  const [status, reason] =
    answer.kind === "foreign"
      ? ([403, "metrics are for this machine alone"] as const)
      : ([401, "metrics take a token"] as const);
  admission.turnAway(exchange, { status, reason, principal: null });
}
