// The lasting problems of one backend, in words, and what a person can do. Pure.

import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { missingHint, missingText } from "../../../secrets/reference.ts";
import type { ServerQuirk } from "../transports/backend-transport.ts";
import type { BackendCondition } from "./backend-pool-contract.ts";
import type { BackendSituation, BackendSpec, ClientsDown, Serving } from "./backend-situation.ts";
import type { Gate } from "./data-gate.ts";
import { unavailabilityOf } from "./required-data.ts";
import { CIRCUIT_FAILURES } from "./retries.ts";
import { lastRetries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** Minimum number of missed checks that is reported. */
const REPORTED_CHECKS = 2;

type ConditionText = Omit<BackendCondition, "sinceMs">;

/** The most serious first. */
export function backendConditions(situation: BackendSituation, gate: Gate): readonly ConditionText[] {
  const { spec, memory } = situation;
  if (spec.wanted.kind === "nothing") return [];
  const unavailable = gate.kind === "refuse" ? [shareUnavailable(spec.name, gate)] : [];
  if (memory.serving !== null) return [...unavailable, ...whileServing(situation, memory.serving)];
  const problem = unavailabilityOf(spec) === null ? withoutServing(situation) : null;
  return [...unavailable, ...(problem === null ? neverSleeps(spec) : [problem])];
}

function neverSleeps({ name, sleep }: BackendSpec): readonly ConditionText[] {
  const { startsOnDemand, stopWhenIdleMs, obstacle } = sleep;
  if (obstacle === null || (!startsOnDemand && stopWhenIdleMs === null)) return [];
  const title = `backend ${name} never sleeps: ${obstacle}`;
  return [
    { code: "never_sleeps", severity: "info", title, hint: "Remove `start` and `stop_when_idle` there." },
  ];
}

function staysAwake({ spec: { name, sleep }, observed }: BackendSituation): readonly ConditionText[] {
  if (!maySleep(sleep)) return [];
  const { subscribers } = observed.use;
  const found: ConditionText[] = [];
  if (sleep.forgets) {
    const title = `backend ${name} runs at each start: its lists are too long to be remembered`;
    found.push({ code: "not_remembered", severity: "info", title, hint: null });
  }
  if (sleep.stopWhenIdleMs !== null && subscribers > 0) {
    const who = subscribers === 1 ? "a client is" : `${subscribers} clients are`;
    const title = `backend ${name} is not stopped: ${who} subscribed to its resources`;
    found.push({ code: "kept_awake", severity: "info", title, hint: null });
  }
  return found;
}

const ABSENCE_EFFECTS = {
  hide: "Its tools leave the lists until the share is back.",
  stop: "It is started again when the share is back.",
  error: "Its calls get an error until the share is back.",
} as const;

function shareUnavailable(
  name: string,
  { reason, mode, share }: Extract<Gate, { kind: "refuse" }>,
): ConditionText {
  const hint = `${ABSENCE_EFFECTS[mode]} \`mountaineer status\` says how the share is.`;
  const title = `backend ${name} cannot work: ${reason}`;
  return { code: "share_away", severity: "warning", title, hint, cause: { text: reason, hint }, share };
}

function withoutServing({ spec, memory }: BackendSituation): ConditionText | null {
  const { name, wanted } = spec;
  const { failure, failures } = lastRetries(memory.routes);
  if (wanted.kind === "secret_missing") return secretMissing(name, wanted.variables);
  if (failure === null || failures === 0) return null;
  const { signIn } = spec;
  if (signIn !== null) return error(signIn.code, signIn.title, signIn.hint);
  const advice = failure.hint ?? furtherHint(spec);
  const cause = { text: failure.cause ?? failure.message, hint: failure.hint };
  if (failures < CIRCUIT_FAILURES)
    return { ...error("not_running", `backend ${name}: ${failure.message}`, advice), cause };
  const title = `backend ${name} failed ${failures} times in a row and is tried once a minute: ${failure.message}`;
  const hint = `${advice.replace(/\.?$/, ".")} A change of its configuration, or \`${shellCommand`mountaineer backends restart ${name}`}\`, tries at once.`;
  return { ...error("circuit_open", title, hint), cause };
}

/** `missing`: variables, and `secret:NAME` for a secret. */
export function secretMissing(name: string, missing: readonly string[]): ConditionText {
  return error(
    "secret_missing",
    `backend ${name} cannot start: ${missingText(missing)}`,
    missingHint(missing),
  );
}

function error(code: string, title: string, hint: string): ConditionText {
  return { code, severity: "error", title, hint };
}

function whileServing(situation: BackendSituation, serving: Serving): readonly ConditionText[] {
  const { spec, memory } = situation;
  const { name, wanted } = spec;
  const { failure, failures } = lastRetries(memory.routes);
  const observed = situation.observedOf(serving.id);
  const found: ConditionText[] = [];
  const warn = (code: string, title: string, hint: string | null): void => {
    found.push({ code, severity: "warning", title, hint });
  };
  const goesOn = `backend ${name} keeps its old configuration`;
  if (wanted.kind === "secret_missing") {
    const title = `${goesOn}: the new one needs a value that is ${missingText(wanted.variables)}`;
    warn("change_failed", title, missingHint(wanted.variables));
  } else if (failures > 0 && !situation.isCurrent(serving)) {
    const isSame = situation.routeOf(serving.key) !== null;
    const what = isSame ? "a fresh instance" : "the new one";
    const title = `${goesOn}: ${what} does not start: ${failure?.message ?? "no reason given"}`;
    const hint = `Correct its configuration or undo the change. ${furtherHint(spec)}`;
    warn("change_failed", title, failure?.hint ?? hint);
  }
  if (spec.signIn !== null) warn(spec.signIn.code, spec.signIn.title, spec.signIn.hint);
  found.push(...neverSleeps(spec), ...staysAwake(situation));
  const { down } = situation.observed.clients;
  if (down !== null) found.push(clientsNotRunning(spec, down));
  if (observed === null) return found;
  if (observed.missedChecks >= REPORTED_CHECKS) {
    const other =
      failure === null
        ? "Another instance is being started and takes its place when it is ready."
        : `Another instance does not start either: ${failure.message}`;
    const title = `backend ${name} left ${observed.missedChecks} checks without an answer`;
    warn("not_answering", title, serving.isUnhealthy ? other : null);
  }
  if (observed.listsStaleBecause !== null) {
    const title = `a list of backend ${name} cannot be read: ${observed.listsStaleBecause}`;
    const hint =
      "The gateway reads it again later. Until then clients get the list as it was last read; the other lists are up to date.";
    warn("lists_stale", title, hint);
  }
  const [first, ...others] = observed.withheldEntries;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more, which the log names)`;
    const hint = `Clients would refuse it, or the whole list for it. Have the server corrected, then \`${shellCommand`mountaineer backends restart ${name}`}\`.`;
    warn("entries_withheld", `backend ${name}: ${first}${more}`, hint);
  }
  if (observed.requestsRoots && spec.instances === "shared") {
    const title = `backend ${name} asks each client for its folders (roots), and one process serves all clients`;
    const hint = `This server shares one folder list between all your agents. Set instances = "per-client" for backend ${name}, and each client gets a separate process.`;
    found.push({ code: "roots_shared", severity: "info", title, hint });
  }
  for (const oddity of observed.oddities) {
    const { title, hint } = ODDITIES[oddity];
    found.push({ code: oddity, severity: "info", title: `backend ${name} ${title}`, hint });
  }
  return found;
}

function clientsNotRunning(spec: BackendSpec, { clients, failures, failure }: ClientsDown): ConditionText {
  const many = clients === 0 ? "the instances of clients" : `the instances of ${clients} clients`;
  const what = clients === 1 ? "the instance of 1 client" : many;
  const often = failures === 1 ? "" : ` ${failures} times in a row`;
  const title = `backend ${spec.name}: ${what} did not start${often}: ${failure.message}`;
  const advice = failure.hint ?? furtherHint(spec);
  const hint = `${advice.replace(/\.?$/, ".")} It is tried again. A server of which only one copy can run needs instances = "shared".`;
  return { code: "clients_not_running", severity: "warning", title, hint };
}

const ALL_THE_SAME = "It still works here, but other clients fail. The author of the server should";

const ODDITIES: Readonly<Record<ServerQuirk, { readonly title: string; readonly hint: string }>> = {
  mixed_lines: {
    title: "writes other text, or several messages, on one line of its standard output",
    hint: `${ALL_THE_SAME} end each message with a line feed, and write everything else to stderr.`,
  },
  spread_answers: {
    title: "spreads a message over several lines",
    hint: `${ALL_THE_SAME} write each message on one line: JSON without indentation.`,
  },
  framed_messages: {
    title: "writes the length of each message ahead of it, as language servers do",
    hint: `${ALL_THE_SAME} leave that out, and end each message with a line feed.`,
  },
  no_numbers: {
    title: "has answered with NaN or Infinity, which JSON does not have",
    hint: "That call failed. The author of the server should write null in their place.",
  },
  undeclared_lists: {
    title: "offers tools, resources or prompts, but declares none of them",
    hint: `${ALL_THE_SAME} name what it has (as "tools": {}) in the capabilities of its answer to initialize.`,
  },
};

/** A remote server's log is not on this machine. */
function furtherHint({ name, origin }: BackendSpec): string {
  return origin === null
    ? `\`${shellCommand`mountaineer backends logs ${name}`}\` shows what it wrote.`
    : `Check that \`url\` is its MCP endpoint, and see what the server at ${origin} logs.`;
}
