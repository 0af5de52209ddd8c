// Asks the person at the calling client for consent to a call, by an elicitation within the call, if the client declares
// elicitation. Otherwise the owner may be asked (owner-consent.ts).

import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { entryOf } from "../catalog/resolve.ts";
import type { CallHandle, ClientHandle } from "../client-handle.ts";
import { canonical, isError, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import { type SpokenVersion, takesElicitation } from "../protocol.ts";
import { auditedArguments, CUT } from "./audit-arguments.ts";
import type { ConsentOutcome, GatewayRequest } from "./middleware.ts";
import type { PolicyTarget } from "./policies.ts";
import type { RequestTarget } from "./request-target.ts";

interface ConsentOptions {
  readonly clock: Clock;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
  /** Timeout of a call of the backend, and of the question, ms. */
  readonly callMs: (backend: string) => number;
  /** Asks the owner about the call of a client that cannot ask. Absent: it is refused. */
  readonly fromOwner?: PromptsOwner;
}

/** Waits for at most `limitMs`. Never rejects; `unable`: the owner is not asked about this call. */
export type PromptsOwner = (
  request: GatewayRequest,
  call: ConsentRequest,
  limitMs: number,
) => Promise<ConsentOutcome>;

export interface ConsentRequest {
  readonly target: PolicyTarget | null;
  /** null: the request is not about one backend. */
  readonly backend: string | null;
  readonly isDestructive: boolean;
  /** The rule that asks. */
  readonly rule: string;
  /** Takes how many calls of this tool the person allows at once; absent: consent is only for this call. */
  readonly covers?: (calls: number) => void;
}

/** Maximum number of calls of one tool that a script's consent covers. */
const MOST_COVERED = 1_000;

/** Open questions per client: a person answers them one by one. */
const MOST_OPEN = 8;
const MOST_ARGUMENTS = 20;
const LONGEST_NAME = 100;
const LONGEST_VALUE = 300;
const DEFAULT_MS = 60_000;
const FIRST_WITH_MODES: SpokenVersion = "2025-11-25";

const UNANSWERED: Readonly<Record<Exclude<ConsentOutcome, "accept">, string>> = {
  decline: "the person at the client declined it",
  cancel: "the person at the client gave no answer",
  timeout: "the person at the client did not answer in time",
  unable: "it needs the consent of a person, and this client cannot be asked (no elicitation)",
  busy: `it needs the consent of a person, and ${MOST_OPEN} other questions wait for one already`,
  denied: "the owner of this gateway denied it, and is not asked about the same call for ten minutes",
  open: "the owner of this gateway has not answered yet; the question stands for ten minutes: make the same call again",
  too_long: "it needs the consent of the gateway's owner, and its arguments are too long to be shown whole",
};

/**
 * Returns the function that asks. It never rejects, and stops waiting at the call's deadline or when the
 * request is cancelled.
 */
export function createConsentPrompt({
  clock,
  clean,
  callMs,
  fromOwner = async () => "unable",
}: ConsentOptions) {
  const open = new WeakMap<ClientHandle, number>();
  return async (request: GatewayRequest, call: ConsentRequest): Promise<ConsentOutcome> => {
    const { client } = request.handle;
    const limitMs = call.backend === null ? DEFAULT_MS : callMs(call.backend);
    if (!canPrompt(request.handle)) return fromOwner(request, call, limitMs);
    const waiting = open.get(client) ?? 0;
    if (waiting >= MOST_OPEN) return "busy";
    open.set(client, waiting + 1);
    const limit = new AbortController();
    let isLate = false;
    const timer = clock.setTimer(limitMs, () => {
      isLate = true;
      limit.abort("no one answered in time");
    });
    const takenBack = (): void => limit.abort(request.signal.reason);
    request.signal.addEventListener("abort", takenBack, { once: true });
    if (request.signal.aborted) takenBack();
    try {
      const params = {
        // The member `mode` does not exist in older versions of MCP.
        ...(client.protocolVersion >= FIRST_WITH_MODES ? { mode: "form" } : {}),
        message: messageFor(request, call, clean),
        requestedSchema: { type: "object", properties: call.covers === undefined ? {} : COVERING },
      };
      const reply = await request.handle.request("elicitation/create", params, limit.signal);
      const answer = isLate ? "timeout" : answerOf(reply);
      if (answer === "accept") call.covers?.(coveredBy(reply));
      return answer;
    } finally {
      timer[Symbol.dispose]();
      request.signal.removeEventListener("abort", takenBack);
      open.set(client, (open.get(client) ?? 1) - 1);
    }
  };
}

/** Whether the client can ask its person within this call. */
export function canPrompt({ client, declared = client.capabilities }: CallHandle): boolean {
  return takesElicitation(declared, "form") === true;
}

/** A digest of what a person is asked about: the rule, the server, the definition that is shown, and the arguments that are set. */
export function consentKey(
  catalog: Catalog,
  { rule, backend, target }: Pick<ConsentRequest, "rule" | "backend" | "target">,
): string {
  const entry = target === null ? null : entryOf(catalog, target);
  const shown = [target?.definition ?? entry?.definition ?? null, entry?.setArguments ?? null];
  return sha256Of(canonical([rule, backend, target?.kind, target?.originalName, ...shown]));
}

/** Whether a person has allowed exactly this, in this round of the call or an earlier one. */
export function hasAgreed({ consent, consentFor }: GatewayRequest, key: string): boolean {
  return consent === "accept" && consentFor === key;
}

/** Why a call was not run, for people and models, with the name that the client used. */
export function refusalText(
  outcome: Exclude<ConsentOutcome, "accept">,
  target: RequestTarget | null,
): string {
  const what = target === null ? "The request" : `${target.kind} ${safeLine(target.name, LONGEST_NAME)}`;
  return `${what} was not run: ${UNANSWERED[outcome]}.`;
}

/** `reply` is null if the question's stream closed. */
function answerOf(reply: Reply | null): ConsentOutcome {
  if (reply === null || isError(reply)) return "unable";
  const { action } = reply.result;
  return action === "accept" || action === "decline" || action === "cancel" ? action : "unable";
}

const COVERING: JsonObject = {
  calls: {
    type: "integer",
    title: "Calls of this tool that the script may make",
    description: "1: only this call. More: also further ones, with any arguments.",
    minimum: 1,
    maximum: MOST_COVERED,
    default: 1,
  },
};

function coveredBy(reply: Reply | null): number {
  const content = reply === null || isError(reply) ? undefined : reply.result["content"];
  const calls = isJsonObject(content) ? content["calls"] : undefined;
  const isValid = typeof calls === "number" && Number.isInteger(calls) && calls >= 1 && calls <= MOST_COVERED;
  return isValid ? calls : 1;
}

function messageFor(
  { method, params }: GatewayRequest,
  { target, backend, isDestructive }: ConsentRequest,
  clean: (text: string) => string,
): string {
  const of = backend === null ? "" : ` of ${safeLine(backend, LONGEST_NAME)}`;
  const what =
    target === null
      ? `Allow ${safeLine(method, LONGEST_NAME)}?`
      : `Allow the ${target.kind} ${safeLine(target.name, LONGEST_NAME)}${of}?`;
  const warning = isDestructive ? " It may change or delete things." : "";
  return [`${what}${warning}`, ...argumentLines(params?.["arguments"], clean)].join("\n");
}

function argumentLines(given: unknown, clean: (text: string) => string): readonly string[] {
  // Throws `too_many_values` for what a person would be asked about unseen.
  const all = Object.keys(objectOf(given)).length;
  // Secrets are removed and values shortened before anything is written as text.
  const shown: unknown = auditedArguments(given, () => false, clean);
  if (!isJsonObject(shown) || !isJsonObject(given)) return [];
  const entries = Object.entries<unknown>(shown satisfies JsonObject);
  // If arguments were omitted, the last entry stands for them and is not an argument.
  const isCut = entries.length > all || (entries.at(-1)?.[0] === CUT && !Object.hasOwn(given, CUT));
  const lines = entries
    .slice(0, Math.min(MOST_ARGUMENTS, isCut ? entries.length - 1 : all))
    .map(([name, value]) => `${safeLine(name, LONGEST_NAME)}: ${valueText(JSON.stringify(value))}`);
  const more = all - lines.length;
  return more > 0
    ? [...lines, `and ${more} more ${more === 1 ? "argument" : "arguments"}, not shown`]
    : lines;
}

/** A value for the question: on one line, with a note if it is shortened. */
function valueText(json: string): string {
  const text = safeLine(json, LONGEST_VALUE);
  const isCut = json.length > LONGEST_VALUE || json.includes(CUT);
  return isCut ? `${text} (shortened)` : text;
}
