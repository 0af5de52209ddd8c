// The lasting problems that a backend can have, in words.
import { type ConditionText, conditionRows } from "../../../runtime/conditions/conditions.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { missingHint, missingText } from "../../../secrets/reference.ts";

const ALL_THE_SAME = "It still works here, but other clients fail. The author of the server should";

/** Sign-ins have the words: they name the command that helps. */
const asGiven = (title: string, hint: string) => [title, hint] as const;

export const BACKEND_CONDITIONS = {
  ...conditionRows("error", {
    secret_missing: (name: string, missing: readonly string[]) => [
      `server ${name} cannot start: ${missingText(missing)}`,
      missingHint(missing),
    ],
    not_running: (name: string, failure: string, advice: string) => [`server ${name}: ${failure}`, advice],
    circuit_open: (name: string, failures: number, failure: string, advice: string) => [
      `server ${name} failed ${failures} times in a row: ${failure}`,
      `${asSentence(advice)} It is tried once a minute; to try now: \`${shellCommand`mountaineer backends restart ${name}`}\`.`,
    ],
    login_needed: asGiven,
    scopes_needed: asGiven,
    token_not_renewed: asGiven,
  }),
  ...conditionRows("warning", {
    share_away: (name: string, reason: string, hint: string) => [
      `server ${name} cannot work: ${reason}`,
      hint,
    ],
    change_failed: (name: string, why: string, hint: string) => [
      `server ${name} keeps its old configuration: ${why}`,
      hint,
    ],
    clients_not_running: (name: string, what: string, failure: string, advice: string) => [
      `server ${name}: ${what}: ${failure}`,
      `${asSentence(advice)} It is tried again. A server of which only one copy can run needs instances = "shared".`,
    ],
    not_answering: (name: string, checks: number, hint: string | null) => [
      `server ${name} left ${checks} checks without an answer`,
      hint,
    ],
    lists_stale: (name: string, reason: string) => [
      `a list of server ${name} cannot be read: ${reason}`,
      "The gateway reads it again later. Until then clients get the list as it was last read; the other lists are up to date.",
    ],
    entries_withheld: (name: string, first: string, others: number) => [
      `server ${name}: ${first}${others === 0 ? "" : ` (and ${others} more, which the log names)`}`,
      `Clients would refuse it, or the whole list for it. Have the server corrected, then \`${shellCommand`mountaineer backends restart ${name}`}\`.`,
    ],
  }),
  ...conditionRows("info", {
    never_sleeps: (name: string, obstacle: string) => [
      `server ${name} never sleeps: ${obstacle}`,
      "Remove `start` and `stop_when_idle` there.",
    ],
    not_remembered: (name: string) => [
      `server ${name} runs at each start: its lists are too long to be remembered`,
      null,
    ],
    kept_awake: (name: string, clients: number) => [
      `server ${name} is not stopped: ${clients === 1 ? "a client is" : `${clients} clients are`} subscribed to its resources`,
      null,
    ],
    roots_shared: (name: string) => [
      `server ${name} shares one folder list (roots) between all your agents`,
      `Give each its own process: instances = "per-client" for server ${name}.`,
    ],
    mixed_lines: (name: string) => [
      `server ${name} writes other text, or several messages, on one line of its standard output`,
      `${ALL_THE_SAME} end each message with a line feed, and write everything else to stderr.`,
    ],
    spread_answers: (name: string) => [
      `server ${name} spreads a message over several lines`,
      `${ALL_THE_SAME} write each message on one line: JSON without indentation.`,
    ],
    framed_messages: (name: string) => [
      `server ${name} writes the length of each message ahead of it, as language servers do`,
      `${ALL_THE_SAME} leave that out, and end each message with a line feed.`,
    ],
    no_numbers: (name: string) => [
      `server ${name} has answered with NaN or Infinity, which JSON does not have`,
      "That call failed. The author of the server should write null in their place.",
    ],
    undeclared_lists: (name: string) => [
      `server ${name} offers tools, resources or prompts, but declares none of them`,
      `${ALL_THE_SAME} name what it has (as "tools": {}) in the capabilities of its answer to initialize.`,
    ],
    unsteady_lists: (name: string) => [
      `server ${name} says something else of its entries each time it is asked, as a date in a description`,
      'Its lists are read every five minutes at most. With `pin = "block"`, what differs is withheld, as approving it does not last.',
    ],
  }),
};

export type BackendConditionName = keyof typeof BACKEND_CONDITIONS;

/** A lasting problem of a sign-in. */
export type SignInNotice = ConditionText<"login_needed" | "scopes_needed" | "token_not_renewed">;

function asSentence(advice: string): string {
  return advice.replace(/\.?$/, ".");
}
