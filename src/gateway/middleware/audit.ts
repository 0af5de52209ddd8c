// The audit record of each request: principal, method, target, outcome and duration. It never contains results, and
// arguments only if configured.

import type { AuditConfig } from "../../config/snapshot.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { memoized } from "../../runtime/memo.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { safeLine, shortened } from "../../runtime/text/safe-line.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { entryOf } from "../catalog/resolve.ts";
import type { ClientHandle, Principal } from "../client-handle.ts";
import { isError, isJsonObject, jsonOf, type Reply } from "../json-rpc.ts";
import { auditedArguments } from "./audit-arguments.ts";
import {
  type ConsentOutcome,
  FIND_TOOL,
  type GatewayRequest,
  type Middleware,
  RUN_SCRIPT,
} from "./middleware.ts";
import { answeredInstead, subjectOf, targetLabel } from "./request-target.ts";

/** One line of the audit's file. */
export interface AuditRecord {
  /** ISO 8601 UTC, of the request's end. */
  readonly time: string;
  readonly principal: string;
  /** The name and version that the client gives itself; absent: none. */
  readonly client?: string;
  /** The `sub` and the issuer of a signed token. They identify the user, because users may choose their names. */
  readonly subject?: string;
  readonly issuer?: string;
  /**
   * The beginning of a hash of the session's id: enough to tell sessions apart, but useless for using one.
   */
  readonly session: string;
  readonly method: string;
  /** `tool:NAME`, `prompt:NAME`, `resource:URI`. */
  readonly target: string | null;
  readonly backend: string | null;
  /** `ok`, `tool_error`, `denied`, `cancelled`, or `error:CODE` with the JSON-RPC code. */
  readonly outcome: string;
  readonly duration_ms: number;
  /** Identifies the script that ran, or that made the call; absent: no script. */
  readonly script?: string;
  /** The outcome of asking a person; absent: no person was asked. */
  readonly consent?: ConsentOutcome;
  readonly arguments?: unknown;
  /** Number of requests that the same rule refused since `since`; absent: the line is about one request. */
  readonly count?: number;
  /** ISO 8601 UTC. */
  readonly since?: string;
}

/** A line of the audit's file about the configuration, not about a request. */
export interface NoticeRecord {
  /** ISO 8601 UTC. */
  readonly time: string;
  /** `config.entry_waits`, `config.entry_approved`, or `question.answered`. */
  readonly event: string;
  /** For example `backends.files`. */
  readonly entry: string;
  /** The command that the entry would run, or its other effect. */
  readonly summary: string;
}

export interface Audit {
  readonly middleware: Middleware;
  /** Records a request that was refused before it reached the audit's middleware. */
  denied(request: GatewayRequest, rule?: string): void;
}

export interface AuditOptions {
  readonly config: AuditConfig;
  readonly write: (record: AuditRecord) => void;
  /** Writes the line of a request that this rule refused. Default: `write`. */
  readonly writeDenied?: (record: AuditRecord, rule: string) => void;
  readonly clock: Clock;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

const MAX_METHOD = 200;
const MAX_TARGET = 1_024;
const MAX_PRINCIPAL = 200;
const MAX_CLIENT = 100;
const WITH_ARGUMENTS: ReadonlySet<string> = new Set(["tools/call", "prompts/get"]);

export function createAudit(options: AuditOptions): Audit {
  const { config, write, writeDenied = write, clock, clean } = options;
  const isRedacted = compileGlobs(config.redact.map((glob) => glob.toLowerCase()));
  const sessionOf = memoized(({ sessionId }: ClientHandle): string => sha256Of(sessionId).slice(0, 12));
  const cleaned = (text: string, max: number): string => shortened(clean(shortened(text, 2 * max)), max);
  const claimOf = memoized(({ clientInfo }: ClientHandle): string => {
    const claimed = [clientInfo["name"], clientInfo["version"]].filter((one) => typeof one === "string");
    return safeLine(clean(claimed.join(" ").slice(0, 2 * MAX_CLIENT)), MAX_CLIENT);
  });
  /** Taken before the call, because large arguments are let go once they are sent. */
  const argumentsOf = (request: GatewayRequest): Pick<AuditRecord, "arguments"> =>
    config.includeArguments && WITH_ARGUMENTS.has(request.method)
      ? { arguments: auditedArguments(withoutSource(request), isRedacted, clean) }
      : {};
  const recordOf = (
    request: GatewayRequest,
    given: ReturnType<typeof argumentsOf>,
    outcome: string,
    durationMs: number,
  ): AuditRecord => {
    const { method, handle, served, consent, task, script } = request;
    const target = subjectOf(request);
    const client = claimOf(handle.client);
    return {
      time: isoTime(clock.wallMs()),
      principal: cleaned(handle.client.principal.name, MAX_PRINCIPAL),
      ...(client === "" ? {} : { client }),
      ...signedAs(handle.client.principal, (text) => cleaned(text, MAX_PRINCIPAL)),
      session: sessionOf(handle.client),
      method: cleaned(method, MAX_METHOD),
      target: target === null ? null : cleaned(targetLabel(target), MAX_TARGET),
      backend:
        task?.backend ??
        (target === null ? null : (served.ownerOf(handle.client.principal, target)?.backend ?? null)),
      outcome,
      duration_ms: Math.round(durationMs * 10) / 10,
      ...(script === undefined ? {} : { script: script.id }),
      ...(consent === undefined ? {} : { consent }),
      ...given,
    };
  };
  return {
    middleware: (next) => async (request) => {
      const startedAtMs = clock.monotonicMs();
      const given = argumentsOf(request);
      const reply = await next(request);
      const record = recordOf(request, given, outcomeOf(request, reply), clock.monotonicMs() - startedAtMs);
      write({ ...record, backend: answeredInstead.get(reply) ?? record.backend });
      return reply;
    },
    denied: (request, rule = "") => writeDenied(recordOf(request, argumentsOf(request), "denied", 0), rule),
  };
}

/**
 * The values that `redact` means cannot be found in a script's text: only its length and digest are recorded, and its calls
 * separately. A call that reaches no tool may be one of `run_script`, in other words.
 */
function withoutSource({ method, params, served }: GatewayRequest): unknown {
  const given = params?.["arguments"];
  const name = String(params?.["name"]);
  const isOfTool = name === FIND_TOOL || entryOf(served.catalog, { kind: "tool", name }) !== null;
  if (given === undefined || method !== "tools/call" || (isOfTool && name !== RUN_SCRIPT)) return given;
  const source = isJsonObject(given) ? given["script"] : undefined;
  return typeof source === "string" ? { script: digestOf(source) } : digestOf(jsonOf(given) ?? "");
}

function digestOf(text: string): string {
  return `${text.length} characters, SHA-256 ${sha256Of(text)}`;
}

function signedAs({ id, subject }: Principal, clean: (text: string) => string) {
  if (id === undefined || subject === undefined) return {};
  const parts = parseJson(id);
  return { subject: clean(subject), issuer: clean(String(Array.isArray(parts) ? parts[0] : parts)) };
}

function outcomeOf({ method, signal }: GatewayRequest, reply: Reply): string {
  if (isError(reply)) return signal.aborted ? "cancelled" : `error:${reply.error.code}`;
  return method === "tools/call" && reply.result["isError"] === true ? "tool_error" : "ok";
}
