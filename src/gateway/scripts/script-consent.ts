// Consent for scripts and their calls. The policies decide who may use `run_script`, as for any tool; and each
// destructive call of a script asks the person at the client, unless a policy names that tool and allows it.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { entryOf } from "../catalog/resolve.ts";
import { otherArgument } from "../catalog/set-arguments.ts";
import type { Reply } from "../json-rpc.ts";
import { makeAnswered } from "../middleware/answered-call.ts";
import { type ConsentRequest, consentKey, hasAgreed, refusalText } from "../middleware/consent.ts";
import {
  type ConsentOutcome,
  type GatewayRequest,
  type Middleware,
  RUN_SCRIPT,
} from "../middleware/middleware.ts";
import { type Policies, rulingWith } from "../middleware/policies.ts";
import { targetOf, unknownTarget } from "../middleware/request-target.ts";
import { hintsOf } from "../middleware/tool-hints.ts";
import { failedTool, requestsScript, SCRIPT_TOOL } from "./script-tool.ts";

type RequestConsent = (request: GatewayRequest, call: ConsentRequest) => Promise<ConsentOutcome>;

/** Of a tool's calls: a person who has declined one, or gave no answer, is not asked about the next ones of the same script. */
const DECLINED = -1;
const GIVES_UP: ReadonlySet<ConsentOutcome> = new Set(["decline", "cancel", "timeout", "denied", "open"]);
/** Until a person who has eight questions of other calls to answer can be asked. */
const BUSY_MS = 1_000;
export const SCRIPT_TARGET = { kind: "tool", name: RUN_SCRIPT, definition: SCRIPT_TOOL } as const;

interface ConsentParts {
  /** null: everybody may use everything. */
  readonly policies: Policies | null;
  readonly unannotated: AuthorizationConfig["unannotated"];
  readonly requestConsent: RequestConsent;
  readonly denied: (request: GatewayRequest) => void;
}

export function createScriptConsent({
  policies,
  unannotated,
  requestConsent,
  denied,
}: ConsentParts): Middleware {
  const refuse = (request: GatewayRequest, reply: Reply): Reply => {
    denied(request);
    return reply;
  };
  const consent: (
    request: GatewayRequest,
    call: ConsentRequest,
    next: (request: GatewayRequest) => Promise<Reply>,
  ) => Promise<Reply> = async (request, call, next) => {
    const consentFor = consentKey(request.served.catalog, call);
    if (hasAgreed(request, consentFor)) return next(request);
    const answer = await requestConsent(request, call);
    const answered = { ...request, consent: answer, consentRule: call.rule, consentFor };
    if (answer !== "accept") return refuse(answered, failedTool(refusalText(answer, call.target)));
    request.handle.agree?.(consentFor);
    return makeAnswered(answered, next, refuse);
  };
  return (next) => (request) => {
    const { params, handle, served } = request;
    const { principal } = handle.client;
    if (requestsScript(request)) {
      if (policies === null) return next(request);
      const { effect, rule } = rulingWith(
        policies.decide(principal, SCRIPT_TARGET, "tools/call"),
        params?.["arguments"],
      );
      if (effect === "allow") return next(request);
      if (effect === "deny") return Promise.resolve(refuse(request, unknownTarget(SCRIPT_TARGET)));
      return consent(request, { target: SCRIPT_TARGET, backend: null, isDestructive: true, rule }, next);
    }
    const needsConsent = request.through === "run_script" && principal.isPerson !== true;
    if (!needsConsent) return next(request);
    const target = targetOf(request.method, params);
    const entry = target === null ? null : entryOf(served.catalog, target);
    // What fails in any case needs no question.
    const isCalled = entry?.status === "listed" && otherArgument(params, entry.setArguments ?? {}) === null;
    if (!isCalled) return next(request);
    const isDestructive = hintsOf(entry.definition, unannotated ?? "destructive").destructive;
    const isNamed = policies?.isNamedAllowed(principal, entry, params?.["arguments"]) === true;
    if (!isDestructive || isNamed) return next(request);
    const call = { target: entry, backend: entry.backend, isDestructive };
    // A person who was asked because of a policy has seen the same.
    const { consentRule: rule = "destructive calls of scripts" } = request;
    if (hasAgreed(request, consentKey(served.catalog, { ...call, rule }))) return next(request);
    return consent(request, { ...call, rule: "destructive calls of scripts" }, next);
  };
}

/**
 * Asks for calls of scripts one at a time: those that a person has allowed in advance are not asked about, and a
 * question waits for its turn instead of being refused.
 */
export function inTurn(requestConsent: RequestConsent, clock: Clock): RequestConsent {
  const requestOnce = async (request: GatewayRequest, call: ConsentRequest): Promise<ConsentOutcome> => {
    const { script, signal } = request;
    const tool = consentKey(request.served.catalog, call);
    const left = script?.allowed.get(tool) ?? 0;
    if (left === DECLINED) return "decline";
    if (left > 0) {
      script?.allowed.set(tool, left - 1);
      return "accept";
    }
    const covers = (calls: number): void => void script?.allowed.set(tool, calls - 1);
    let answer = await requestConsent(request, { ...call, covers });
    while (answer === "busy" && !signal.aborted) {
      await clock.sleep(BUSY_MS);
      answer = await requestConsent(request, { ...call, covers });
    }
    if (GIVES_UP.has(answer)) script?.allowed.set(tool, DECLINED);
    return answer;
  };
  return (request, call) => {
    const { script, through } = request;
    if (script === undefined || through !== "run_script") return requestConsent(request, call);
    const answer = script.consentPending.then(() => requestOnce(request, call));
    script.consentPending = answer.catch(() => {});
    return answer;
  };
}
