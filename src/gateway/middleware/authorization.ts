// Authorization of requests by the policies. Lists contain only permitted entries; a forbidden entry is
// treated as if it did not exist; for an entry that needs consent, the person at the client is asked.
import { excessOf } from "../catalog/call-texts.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { entryOf } from "../catalog/resolve.ts";
import { otherArgument } from "../catalog/set-arguments.ts";
import type { Principal } from "../client-handle.ts";
import { errorReply, INVALID_REQUEST, LIMIT_REACHED, type Reply } from "../json-rpc.ts";
import { WATCH_TASK } from "../protocol.ts";
import { makeAnswered } from "./answered-call.ts";
import { type ConsentRequest, canPrompt, consentKey, hasAgreed, refusalText } from "./consent.ts";
import {
  type ConsentOutcome,
  type GatewayRequest,
  type Handle,
  type JudgedRequest,
  type Middleware,
  RUN_SCRIPT,
  type ServingSet,
} from "./middleware.ts";
import { OWN_ANSWERS, TASK_METHODS } from "./own-answers.ts";
import { type Policies, type PolicyTarget, type Ruling, rulingWith } from "./policies.ts";
import {
  type RequestTarget,
  targetAt,
  targetOf,
  toolOfTask,
  unknownMethod,
  unknownTarget,
  unknownTask,
} from "./request-target.ts";
import type { TaskOrigin } from "./task-ids.ts";
import { hintsOf } from "./tool-hints.ts";

/** Of a request about a task, `verdictOn` checks the tool that began the task. Without a task, routing answers. */
const ABOUT_TASKS: ReadonlySet<string> = new Set([...TASK_METHODS, WATCH_TASK]);

/** Methods that need no consent, because they are too frequent (completion runs at each typed letter) or harmless. */
const NO_CONSENT_NEEDED: ReadonlySet<string> = new Set(["completion/complete", "resources/unsubscribe"]);

export interface AuthorizationParts {
  readonly policies: Policies;
  readonly requestConsent: (request: GatewayRequest, call: ConsentRequest) => Promise<ConsentOutcome>;
  /** Counts a refusal against the rate limit; returns the limit's own beyond it. */
  readonly countRefused: (request: GatewayRequest) => Reply | null;
  /** Records a refusal in the audit: refused requests do not reach the audit's middleware. */
  readonly denied: (request: GatewayRequest, rule: string) => void;
}

/** `admit` makes a request at another server than the chain checked, by the rules for that one; null: they deny it. */
export function createAuthorization(parts: AuthorizationParts): {
  readonly middleware: Middleware;
  readonly admit: ServingSet["admit"];
} {
  const { policies, requestConsent, countRefused, denied } = parts;
  const refuse = (request: GatewayRequest, reply: Reply, rule = request.consentRule ?? ""): Reply => {
    const beyond = countRefused(request);
    if (beyond === null) denied(request, rule);
    return beyond ?? reply;
  };
  const consentTo = async (
    request: GatewayRequest,
    { target, rule }: Verdict,
    next: Handle,
  ): Promise<Reply> => {
    const call = { ...requestedCall(target), rule };
    const consentFor = consentKey(request.served.catalog, call);
    if (hasAgreed(request, consentFor)) return next(request);
    const answer = await requestConsent(request, call);
    if (answer === "accept") request.handle.agree?.(consentFor);
    // With `agree`, the client's answer came in a separate request, which the rate limit has already counted.
    const cameApart = request.handle.agree !== undefined && canPrompt(request.handle);
    const countMark = cameApart ? ({ hasUsedQuota: true } as const) : {};
    const answered = { ...request, ...countMark, consent: answer, consentRule: rule, consentFor };
    return answer === "accept"
      ? makeAnswered(answered, next, refuse)
      : refuse(answered, refusal(request, answer, target));
  };
  const admitted = (request: GatewayRequest, verdict: Verdict, next: Handle): Promise<Reply> | null => {
    if (verdict.effect === "deny") return null;
    return verdict.effect === "allow" ? next(request) : consentTo(request, verdict, next);
  };
  return {
    middleware: (next) => (request) => {
      const verdict = verdictOn(policies, request);
      const excess = excessOf(request.params?.["arguments"]);
      if (excess !== null)
        return Promise.resolve(refuse(request, errorReply(LIMIT_REACHED, `not run: ${excess}`)));
      const reply = admitted(request, verdict, next);
      return reply ?? Promise.resolve(refuse(request, unknown(request), verdict.rule));
    },
    admit: (request, target, next) => admitted(request, verdictAt(policies, request, target), next),
  };
}

/**
 * Returns the refusal if the current policies forbid a call that began under earlier policies, or a call that its script is making;
 * else null.
 */
export function forbidden(policies: Policies, request: JudgedRequest, principal?: Principal): Reply | null {
  const { script, through, served, handle } = request;
  const ofScript = script === undefined || through !== undefined ? null : [...script.calls];
  if (ofScript !== null && !policies.isAllowed(principal ?? handle.client.principal, SCRIPTS, "tools/call"))
    return unknown(request);
  const refused = [request, ...(ofScript ?? []).map((call) => ({ ...call, served }))].find(
    (one) => verdictOn(policies, one, principal).effect === "deny",
  );
  return refused === undefined ? null : unknown(refused);
}

/** Whether the policies allow the request without a question. */
export function isAllowed(policies: Policies, request: GatewayRequest): boolean {
  return verdictOn(policies, request).effect === "allow";
}

const SCRIPTS: PolicyTarget = { kind: "tool", name: RUN_SCRIPT, backend: "" };

interface Verdict extends Ruling {
  /** null if the method has no target, or the verdict did not need it. */
  readonly target: PolicyTarget | null;
}

const FREE: Verdict = { effect: "allow", rule: "", target: null };
const DENIED: Verdict = { ...FREE, effect: "deny" };

function verdictOn(
  policies: Policies,
  request: JudgedRequest,
  principal = request.handle.client.principal,
): Verdict {
  const { method, params, served, handle, task } = request;
  if (ABOUT_TASKS.has(method)) {
    const origin = task ?? served.taskOrigin(handle.client, params);
    const isPermitted = origin === null || isTaskPermitted(policies, served.catalog, principal, origin);
    return isPermitted ? FREE : DENIED;
  }
  // Lists are filtered.
  if (OWN_ANSWERS.has(method)) return FREE;
  const named = targetOf(method, params);
  const found = named === null ? null : served.ownerOf(principal, named);
  // A name that no backend offers needs no policy, because routing answers it like a forbidden one. So globs
  // are never matched with long made-up names.
  if (named !== null && found === null) return FREE;
  const owned = named === null ? null : targetAt(named, found);
  if (owned !== null && found?.status === "unapproved")
    return policies.effectUnlisted(principal, owned, method).effect === "deny" ? DENIED : FREE;
  const verdict = verdictAt(policies, request, owned, principal);
  // No consent is needed for a call that fails in any case.
  const fails =
    found !== null && (found.status !== "listed" || otherArgument(params, found.setArguments ?? {}) !== null);
  const isUnasked = NO_CONSENT_NEEDED.has(method) || fails;
  return verdict.effect === "ask" && isUnasked ? { ...verdict, effect: "allow" } : verdict;
}

/** What the policies say of the request at the server that its target names. */
function verdictAt(
  policies: Policies,
  request: JudgedRequest,
  owned: RequestTarget | null,
  principal = request.handle.client.principal,
): Verdict {
  const { method, params, served } = request;
  const { target, isEntry } = policyTarget(served.catalog, owned);
  const ruling = isEntry
    ? rulingWith(
        policies.decide(principal, target, method, target?.backend ?? served.passesTo(method) ?? undefined),
        params?.["arguments"],
      )
    : policies.effectUnlisted(principal, target, method);
  return { ...ruling, target };
}

function unknown({ method, params }: JudgedRequest): Reply {
  if (ABOUT_TASKS.has(method)) return unknownTask(params);
  const named = targetOf(method, params);
  return named === null ? unknownMethod(method) : unknownTarget(named);
}

/**
 * Whether the tool that began the task may be called now. Asks for no consent, because that was done, if needed, when
 * the task began.
 */
export function isTaskPermitted(
  policies: Policies,
  catalog: Catalog,
  principal: Principal,
  task: TaskOrigin,
): boolean {
  const { tool: name, backend, originalTool: originalName } = task;
  const tool: PolicyTarget = toolOfTask(catalog, task) ?? { kind: "tool", name, backend, originalName };
  return policies.isAllowed(principal, tool, "tools/call");
}

/**
 * Whether there are arguments with which the target is permitted. The target may be a URI that no list has.
 */
export function isTargetPermitted(
  policies: Policies,
  catalog: Catalog,
  principal: Principal,
  named: RequestTarget,
  method: string,
): boolean {
  const { target, isEntry } = policyTarget(catalog, named);
  return isEntry
    ? policies.isAllowed(principal, target, method)
    : policies.effectUnlisted(principal, named, method).effect !== "deny";
}

/**
 * The target with everything that a policy may match: a tool's or prompt's other names and its definition. `isEntry`
 * false: a URI that is in no list.
 */
function policyTarget(catalog: Catalog, named: RequestTarget | null) {
  if (named === null) return { target: null, isEntry: true } as const;
  const { kind, name } = named;
  const entry =
    entryOf(catalog, named) ?? (kind === "template" ? entryOf(catalog, { kind: "resource", name }) : null);
  return kind === "tool" || kind === "prompt"
    ? ({ target: entry ?? named, isEntry: true } as const)
    : ({ target: named, isEntry: entry !== null } as const);
}

function requestedCall(target: PolicyTarget | null) {
  const { definition, backend = null } = target ?? {};
  return {
    target,
    backend,
    // Without annotations, the question does not call a tool destructive: most tools have none.
    isDestructive:
      target?.kind === "tool" && definition !== undefined && hintsOf(definition, "harmless").destructive,
  };
}

/** A tool's own error where possible, so that the calling model reads the reason. */
function refusal(
  { method, params }: GatewayRequest,
  outcome: Exclude<ConsentOutcome, "accept">,
  target: PolicyTarget | null,
): Reply {
  const text = refusalText(outcome, target);
  const isCall = method === "tools/call" && params?.["task"] === undefined;
  return isCall
    ? { result: { content: [{ type: "text", text }], isError: true } }
    : errorReply(INVALID_REQUEST, text);
}
