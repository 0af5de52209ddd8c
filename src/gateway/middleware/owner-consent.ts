// Asks the owner of this home about a call, in place of a person at the client: only tool calls, and only if the rules want that.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { printableJson } from "../../runtime/text/plain-text.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import { named, principalKey } from "../client-handle.ts";
import { canonical, isJsonObject, jsonOf } from "../json-rpc.ts";
import { type ConsentRequest, consentKey, type PromptsOwner } from "./consent.ts";
import type { GatewayRequest } from "./middleware.ts";
import type { CallInQuestion, OwnerQuestions } from "./owner-questions.ts";

interface OwnerConsentOptions {
  /** null: no one can answer, as in a command without a daemon. */
  readonly questions: OwnerQuestions | null;
  readonly setting: AuthorizationConfig["ask"];
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

/** Of all arguments, as they are shown. */
const LONGEST_BYTES = 64 * 1024;
const LONGEST_NAME = 100;
const LONGEST_TEXT = 300;

export function createOwnerConsent({ questions, setting, clean }: OwnerConsentOptions): PromptsOwner {
  return async (request, call, limitMs) => {
    const { method, params, handle, signal } = request;
    // By default, only the owner's own programs ask the owner: the arguments of others are not the owner's to see.
    const promptsOwner =
      setting === "anywhere" || (setting == null && handle.client.principal.kind === "owner");
    if (questions === null || !promptsOwner || method !== "tools/call") return "unable";
    const question = callInQuestion(request, call, clean);
    if (question === null) return "too_long";
    const { progressToken } = objectOf(params?.["_meta"]);
    const onWaiting = (times: number): void => {
      // Small, because the server's own progress comes after it, and must be greater.
      const progress = { progressToken, progress: times / 1_000, message: "waits for the gateway's owner" };
      if (progressToken !== undefined) handle.notify("notifications/progress", progress);
    };
    const answer = () => questions.answerTo(question, { signal, limitMs, onWaiting });
    return handle.untilAnswered?.(answer) ?? answer();
  };
}

/** null: the arguments are too long to be shown. */
function callInQuestion(
  { params, handle: { client }, served }: GatewayRequest,
  call: ConsentRequest,
  clean: (text: string) => string,
): CallInQuestion | null {
  const { principal, clientInfo, caller, publicId, sessionId } = client;
  const { _meta, ...own } = params ?? {};
  const given = argumentLines(own["arguments"]);
  const shown = given?.map((line) => printableJson(clean(line))) ?? [];
  if (given === null || Buffer.byteLength(shown.join("\n")) > LONGEST_BYTES) return null;
  const session = caller ?? (publicId === undefined ? sessionId : null);
  const rights = [principal.roles.toSorted(), principal.limits ?? null];
  const bound = [principalKey(principal), session, clientInfo, rights, consentKey(served.catalog, call), own];
  const line = (text: string, longest: number): string => safeLine(clean(text), longest);
  const program = [clientInfo["name"], clientInfo["version"]].filter((one) => typeof one === "string");
  const { target, backend, isDestructive, rule } = call;
  const description = target?.definition?.["description"];
  const by = `${line(named(principal), LONGEST_NAME)}, by a program that calls itself ${line(program.join(" "), LONGEST_NAME) || "unnamed"}`;
  return {
    key: sha256Of(canonical(bound)),
    countsFor: principal.user === undefined ? principalKey(principal) : `user ${principal.user}`,
    tool: line(target?.name ?? "", LONGEST_NAME),
    server: line(backend ?? "mountaineer", LONGEST_NAME),
    by,
    lines: [
      `For ${by}.`,
      `Asked because of: ${line(rule.replace(/,"\w+":null/g, ""), LONGEST_TEXT)}`,
      ...(isDestructive ? ["It may change or delete things."] : []),
      ...(typeof description === "string" ? [`The server says: ${line(description, LONGEST_TEXT)}`] : []),
      ...(given.some((one) => clean(one) !== one) ? ["A secret is shown as [redacted]."] : []),
      ...(shown.length === 0 ? ["No arguments."] : shown),
    ],
  };
}

/** null: they are too long, or cannot be written. */
function argumentLines(given: unknown): readonly string[] | null {
  const whole = given === undefined ? "" : jsonOf(given);
  if (whole === null || whole.length > LONGEST_BYTES) return null;
  if (!isJsonObject(given)) return whole === "" ? [] : [whole];
  return Object.entries(given).map(([name, value]) => `${JSON.stringify(name)}: ${jsonOf(value)}`);
}
