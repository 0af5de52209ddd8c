// The lasting problems of the gateway that do not belong to one backend, in words.
import { conditionRows, type LastingCondition } from "../../runtime/conditions/conditions.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { missingHint, missingText } from "../../secrets/reference.ts";

const acceptHint = (backend: string): string =>
  `\`mountaineer tools diff\` shows how; \`${shellCommand`mountaineer tools approve --backend ${backend}`}\` accepts it.`;

const lostCount = (count: number, what: string): string => (count === 0 ? "" : ` (${count} ${what} lost)`);

interface NarrowedRule {
  readonly rule: string;
  /** The backend that the name means; null: none yet. */
  readonly owner: string | null;
  readonly isThere: boolean;
  readonly lines: string;
}

export const GATEWAY_CONDITIONS = {
  ...conditionRows("error", {
    auth_token_missing: (missing: readonly string[]) => [
      `These tokens are unusable: ${missingText(missing)}`,
      missingHint(missing),
    ],
    session_key_missing: (missing: readonly string[]) => [
      `These session keys are unusable: ${missingText(missing)}`,
      missingHint(missing),
    ],
    audit_not_written: ({ reason, dropped }: { readonly reason: string; readonly dropped: number }) => [
      `The audit cannot be written: ${reason}${lostCount(dropped, "lines")}`,
      "Requests are served without it; free some space, or set another [audit].path.",
    ],
    pins_lost: (reason: string, isUnread: boolean) => [
      `What servers showed before now is not known: ${reason}`,
      isUnread
        ? "Unlock the keyring: it is asked again every minute."
        : "Look through `mountaineer tools list` and `mountaineer tools diff`; `mountaineer tools approve --all` approves everything as it is now.",
    ],
    auth_keys_unavailable: (reason: string) => [
      `Signed tokens cannot be checked: ${reason}`,
      "It is retried automatically; check [incoming_auth].issuer, and that this machine reaches it.",
    ],
    listen_failed: (reason: string, hint: string | null) => [reason, hint],
  }),
  ...conditionRows("warning", {
    /** One is named for each name, up to a limit; the last one counts the rest. */
    catalog_collision: (title: string, hint: string) => [title, hint],
    arguments_unfit: (backend: string, tool: string, why: string) => [
      `tool ${tool} of ${backend} is withheld: ${why}, which \`tool_overrides\` sets`,
      `Correct [backends.${backend}.tool_overrides]: its \`arguments\` must be in the tool's own schema.`,
    ],
    session_key_not_saved: (reason: string) => [
      `The key of session ids is not kept: ${reason}`,
      "Sessions continue through `mountaineer restart`, and end when the daemon is killed. Make `session.key` in the home readable only by you, or remove it, and restart.",
    ],
    names_lost: (reason: string) => [
      `The tools that you have switched off, and the owner of each name, are not known: ${reason}`,
      "Tools that `names.sealed` lists as off stay off. Unlock the keyring: it is asked again every minute. Otherwise switch them off again; names are assigned in the file's order.",
    ],
    unseen_characters: (backend: string, entries: string) => [
      `server ${backend} has invisible text, and clients get its entries without it: ${entries}`,
      "It may be meant only for models. `mountaineer tools diff` shows all of it.",
    ],
    pins_not_saved: (reason: string) => [
      `The pins cannot be written: ${reason}`,
      "They hold until the daemon ends; it is tried again every minute.",
    ],
    tools_changed: (backend: string, what: string, names: string) => [
      `server ${backend} has changed ${what} since they were approved: ${names}`,
      acceptHint(backend),
    ],
    tools_withheld: (backend: string, what: string, names: string) => [
      `${what} of server ${backend} are withheld until you approve them: ${names}`,
      acceptHint(backend),
    ],
    tools_not_pinned: (backend: string, count: number, isWithheld: boolean) => [
      `server ${backend} lists more entries than can be pinned: ${count} of them are ${isWithheld ? "withheld" : "not watched for changes"}`,
      `Publish fewer of them with [backends.${backend}.filters].`,
    ],
    tools_unsteady: (backend: string, what: string, isWithheld: boolean, changes: string) => [
      `server ${backend} describes ${what} differently again and again${isWithheld ? ", and they are withheld" : ""}: ${changes}`,
      `Its program writes them in another order, or with a time in them: ask its author to keep them the same. If you trust it, ${shellCommand`mountaineer config set ${`backends.${backend}.pin`} off`} ends the comparison.`,
    ],
    auth_keys_aging: (reason: string) => [
      `The keys that tokens are checked with cannot be read again: ${reason}`,
      "The last ones are used for [incoming_auth].keys_max_age; it is retried automatically.",
    ],
    telemetry_not_sent: (reason: string, dropped: number) => [
      `Traces and metrics do not arrive: ${reason}${lostCount(dropped, "spans")}`,
      "Requests are served without them; check [telemetry].endpoint. The gateway retries automatically.",
    ],
    question_waits: (tool: string, server: string, by: string) => [
      `${tool} of ${server} waits for your answer, for ${by}`,
      "`mountaineer questions` shows its arguments.",
    ],
    rule_names_one_server: ({ rule, owner, isThere, lines }: NarrowedRule) => [
      owner === null
        ? `${rule} means no server yet: one that comes first in the file has not listed anything`
        : `${rule} means the one of ${owner}${isThere ? "" : ", which is no longer configured"}, and not what others call the same`,
      `A name without wildcards means one server's. Say which, or several: ${lines}.`,
    ],
  }),
  ...conditionRows("info", {
    catalog_hidden: (title: string, hint: string) => [title, hint],
    names_prefixed: (backend: string, names: string) => [
      `${backend} offers names that others had before, and they are published with its own: ${names}`,
      `They stay as they are. Name tools yourself with [backends.${backend}.tool_overrides].`,
    ],
    names_shortened: (names: string) => [
      `Tools whose names clients could not use are published under others: ${names}`,
      "Give them names of your own with `tool_overrides`.",
    ],
    rule_matches_nothing: (location: string, written: string) => [
      `${location}: ${written} matches nothing`,
      "It may be mistyped, or a server has renamed it: `mountaineer tools list` has the names, `mountaineer users list` the roles.",
    ],
    // Not a warning: by default each program on this machine has access, and often that is fine.
    auth_open: () => [
      "No token is needed: anyone on this machine may use everything that is served",
      "mountaineer init --add --token makes one; the command mountaineer mcp needs none.",
    ],
  }),
};

export type GatewayConditionName = keyof typeof GATEWAY_CONDITIONS;
export type GatewayCondition = LastingCondition<GatewayConditionName>;
