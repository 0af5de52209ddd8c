// Authorization of requests by the policies. Lists are filtered by the same rule, what a client may not use is answered
// as if it did not exist, and what needs a person's consent is asked about.
import type { Catalog } from "../catalog/catalog.ts";
import { catalogOf, heldBy, resolveTarget } from "../catalog/resolve.ts";
import type { Principal } from "../client-port.ts";
import { errorReply, INVALID_REQUEST, type Reply } from "../json-rpc.ts";
import { WATCH_TASK } from "../protocol.ts";
import { type AskedCall, refusalText } from "./asking.ts";
import type { Asked, GatewayRequest, Handle, Middleware } from "./middleware.ts";
import { OWN_ANSWERS } from "./own-answers.ts";
import { type Effect, effectWith, type Policies, type PolicyTarget } from "./policies.ts";
import {
  isKeptResult,
  type RequestTarget,
  targetOf,
  toolOfTask,
  unknownMethod,
  unknownTarget,
  unknownTask,
} from "./request-target.ts";
import type { OpenTask } from "./task-ids.ts";
import { hintsOf } from "./tool-hints.ts";

/** What these give is filtered, or concerns nobody but who asks (a task is known only to the session that began it). */
const ALWAYS_ALLOWED: ReadonlySet<string> = new Set([
  ...OWN_ANSWERS,
  "tasks/get",
  "tasks/result",
  "tasks/cancel",
  "tasks/list",
  // Of 2026-07-28: whoever has the task may have it as long as its tool may be called, which is looked at below.
  "tasks/update",
  WATCH_TASK,
]);

/** Nobody wants to be asked for each letter that is typed, nor about leaving. */
const NEVER_ASKED: ReadonlySet<string> = new Set(["completion/complete", "resources/unsubscribe"]);

export interface AuthorizationParts {
  readonly policies: Policies;
  readonly ask: (request: GatewayRequest, call: AskedCall) => Promise<Asked>;
  /** Records what is refused, since requests are recorded further in. */
  readonly denied: (request: GatewayRequest, reply: Reply) => void;
}

/** Answers what is forbidden, or not consented to, itself. */
export function createAuthorization({ policies, ask, denied }: AuthorizationParts): Middleware {
  const refuse = (request: GatewayRequest, reply: Reply): Reply => {
    denied(request, reply);
    return reply;
  };
  const asked = async (
    request: GatewayRequest,
    target: PolicyTarget | null,
    next: Handle,
  ): Promise<Reply> => {
    // In an earlier round of the same call.
    if (request.asked === "accept") return next(request);
    const answer = await ask(request, askedCall(request, target));
    if (answer === "accept") request.port.agree?.();
    // Where it has to remember that, it came back with it, and that was counted.
    const counted = request.port.agree === undefined ? {} : ({ isCounted: true } as const);
    const told = { ...request, ...counted, asked: answer };
    return answer === "accept" ? next(told) : refuse(told, refusal(request, answer, target));
  };
  return (next) => (request) => {
    const { effect, target } = verdictOn(policies, request);
    if (effect === "allow") return next(request);
    if (effect === "ask") return asked(request, target, next);
    return Promise.resolve(refuse(request, unknown(request)));
  };
}

/** The answer to a call that began under other rules, where these forbid it; null: they do not. */
export function forbidden(policies: Policies, request: GatewayRequest): Reply | null {
  return verdictOn(policies, request).effect === "deny" ? unknown(request) : null;
}

interface Verdict {
  readonly effect: Effect;
  /** Null where the method is about nothing that has a name, or nobody looked. */
  readonly target: PolicyTarget | null;
}

const FREE: Verdict = { effect: "allow", target: null };

function verdictOn(policies: Policies, request: GatewayRequest): Verdict {
  const { method, params, served, port, task } = request;
  const { principal } = port.client;
  const { kind, isPerson } = principal;
  const isFree = kind === "owner" && (isPerson === true || !policies.limitsOwner);
  if (isFree) return FREE;
  if (task !== undefined) {
    return { effect: isTaskPermitted(policies, served, principal, task) ? "allow" : "deny", target: null };
  }
  if (ALWAYS_ALLOWED.has(method)) return FREE;
  const named = targetOf(method, params);
  // What does not exist is told as such further on, in the words used here; and no glob meets a text of any length.
  const catalog = named === null ? served.catalog : catalogOf(served, named);
  if (catalog === null) {
    const isKnown = named !== null && heldBy(served, named) !== null;
    const isHidden = isKnown && policies.effectUnlisted(principal, named, method) === "deny";
    return isHidden ? { effect: "deny", target: null } : FREE;
  }
  // What was kept of a call that was permitted; it is given to the session that made it.
  if (method === "resources/read" && named !== null && isKeptResult(named.name)) return FREE;
  const target = named === null ? null : listed(catalog, named);
  const effect = effectOf(policies, catalog, principal, target, method, params?.["arguments"]);
  // Nobody is asked about what cannot be done now anyway.
  const isUnasked = NEVER_ASKED.has(method) || catalog === served.away;
  return { effect: effect === "ask" && isUnasked ? "allow" : effect, target };
}

function unknown({ method, params, task }: GatewayRequest): Reply {
  if (task !== undefined) return unknownTask(params);
  const named = targetOf(method, params);
  return named === null ? unknownMethod(method) : unknownTarget(named, method);
}

/** Whether the tool that began it may be called; a person who is asked about it was, when it began. */
export function isTaskPermitted(
  policies: Policies,
  served: Pick<GatewayRequest["served"], "catalog" | "away">,
  principal: Principal,
  task: OpenTask,
): boolean {
  const tool: PolicyTarget = toolOfTask(served, task) ?? { kind: "tool", name: task.tool };
  return policies.isAllowed(principal, tool, "tools/call");
}

/** Whether it is not refused, whatever the arguments: for what is listed and for what a client made up. */
export function isTargetPermitted(
  policies: Policies,
  catalog: Catalog,
  principal: Principal,
  target: RequestTarget,
  method: string,
): boolean {
  const known = listed(catalog, target);
  return isListed(catalog, target)
    ? policies.isAllowed(principal, known, method)
    : policies.effectUnlisted(principal, known, method) !== "deny";
}

function effectOf(
  policies: Policies,
  catalog: Catalog,
  principal: Principal,
  target: PolicyTarget | null,
  method: string,
  given: unknown,
): Effect {
  if (target !== null && !isListed(catalog, target))
    return policies.effectUnlisted(principal, target, method);
  return effectWith(policies.decide(principal, target, method), given);
}

/** With all that a policy may have been written for: its other names, and what its server says of it. */
function listed({ tools, off, prompts }: Catalog, target: RequestTarget): PolicyTarget {
  if (target.kind === "tool") return tools.get(target.name) ?? off.get(target.name) ?? target;
  return target.kind === "prompt" ? (prompts.get(target.name) ?? target) : target;
}

function isListed({ resources, templates, skills }: Catalog, { kind, name }: RequestTarget): boolean {
  return (
    kind === "tool" ||
    kind === "prompt" ||
    (kind === "skill" ? skills : resources).has(name) ||
    (kind === "template" && templates.has(name))
  );
}

function askedCall({ served }: GatewayRequest, target: PolicyTarget | null): AskedCall {
  const { definition } = target ?? {};
  return {
    target,
    backend: target === null ? null : (resolveTarget(served.catalog, target)?.backend ?? null),
    // Only what is said: of most tools nothing is.
    isDestructive:
      target?.kind === "tool" && definition !== undefined && hintsOf(definition, "harmless").destructive,
  };
}

/** The model that called is to read why, so it is a tool's own error where that can be one. */
function refusal(
  { method, params }: GatewayRequest,
  asked: Exclude<Asked, "accept">,
  target: PolicyTarget | null,
): Reply {
  const text = refusalText(asked, target);
  const isCall = method === "tools/call" && params?.["task"] === undefined;
  return isCall
    ? { result: { content: [{ type: "text", text }], isError: true } }
    : errorReply(INVALID_REQUEST, text);
}
