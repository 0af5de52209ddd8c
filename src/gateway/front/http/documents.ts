// What is served beside MCP: the gateway's health, its metrics, and where its clients sign in.
import type { JsonObject } from "../../json-rpc.ts";
import type { ProtectedResource } from "../../middleware/middleware.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { answerJson, answerText, type Refusal } from "./answer.ts";
import { hostOf, isOwnMachine, notAllowed, pathOf } from "./request.ts";
import type { Exchange, RequestAdmission } from "./request-admission.ts";
import type { StreamParts } from "./sse-stream.ts";

const HEALTH_PATH = "/manage/v1/health";
const METRICS_PATH = "/metrics";

interface DocumentsOptions {
  readonly gateway: FrontGateway;
  readonly parts: StreamParts;
  readonly admission: RequestAdmission;
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
}

export class Documents {
  readonly #options: DocumentsOptions;

  constructor(options: DocumentsOptions) {
    this.#options = options;
  }

  /** False: it asks for something else. */
  answer(exchange: Exchange, path: string): boolean {
    const { gateway } = this.#options;
    const { method } = exchange.request;
    if (path === HEALTH_PATH) {
      // Some probes ask for no body.
      if (method !== "GET" && method !== "HEAD") this.#options.refuse(exchange, notAllowed("GET, HEAD"));
      else this.#answerDocument(exchange, gateway.health());
      return true;
    }
    if (path === METRICS_PATH && this.#answerMetrics(exchange)) return true;
    const { resource } = gateway.served;
    if (resource?.paths.has(path) !== true) return false;
    this.#answerMetadata(exchange, resource);
    return true;
  }

  /** False: none are served. */
  #answerMetrics(exchange: Exchange): boolean {
    const { request, response } = exchange;
    const { authorization } = request.headers;
    const answer = this.#options.gateway.metrics(authorization, isOwnMachine(request));
    if (answer === null) return false;
    if (request.method !== "GET" && request.method !== "HEAD")
      this.#options.refuse(exchange, notAllowed("GET, HEAD"));
    else if (answer.kind === "text") answerText(response, answer.text);
    else {
      const reason =
        answer.kind === "foreign" ? "metrics are for this machine alone" : "metrics take a token";
      const status = answer.kind === "foreign" ? 403 : 401;
      this.#options.admission.turnAway(exchange, { status, reason, principal: null });
    }
    return true;
  }

  /** For clients that are not signed in yet: where they can. */
  #answerMetadata(exchange: Exchange, resource: ProtectedResource): void {
    const { request } = exchange;
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") this.#options.refuse(exchange, notAllowed("GET, HEAD"));
    else this.#answerDocument(exchange, resource.metadata(hostOf(request) ?? "", pathOf(request.url)));
  }

  #answerDocument({ response }: Exchange, document: JsonObject): void {
    const { parts } = this.#options;
    answerJson(parts, response, 200, JSON.stringify(document), { "Cache-Control": "no-store" });
  }
}
