// The lasting problems of one backend, in words, and what a person can do. Pure.

import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { missingHint, missingText } from "../../../secrets/reference.ts";
import type { BackendCondition } from "./backend-pool-contract.ts";
import type { BackendSituation, BackendSpec, ClientsDown, Serving } from "./backend-situation.ts";
import { BACKEND_CONDITIONS } from "./condition-rows.ts";
import type { Gate } from "./data-gate.ts";
import { unavailabilityOf } from "./required-data.ts";
import { CIRCUIT_FAILURES } from "./retries.ts";
import { lastRetries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** Minimum number of missed checks that is reported. */
const REPORTED_CHECKS = 2;

type ConditionText = Omit<BackendCondition, "since">;

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
  return [BACKEND_CONDITIONS.never_sleeps(name, obstacle)];
}

function staysAwake({ spec: { name, sleep }, observed }: BackendSituation): readonly ConditionText[] {
  if (!maySleep(sleep)) return [];
  const { subscribers } = observed.use;
  return [
    ...(sleep.forgets ? [BACKEND_CONDITIONS.not_remembered(name)] : []),
    ...(sleep.stopWhenIdleMs !== null && subscribers > 0
      ? [BACKEND_CONDITIONS.kept_awake(name, subscribers)]
      : []),
  ];
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
  return { ...BACKEND_CONDITIONS.share_away(name, reason, hint), cause: { text: reason, hint }, share };
}

function withoutServing({ spec, memory }: BackendSituation): ConditionText | null {
  const { name, wanted, signIn } = spec;
  const { failure, failures } = lastRetries(memory.routes);
  if (wanted.kind === "secret_missing") return BACKEND_CONDITIONS.secret_missing(name, wanted.variables);
  if (failure === null || failures === 0) return null;
  if (signIn !== null) return signIn;
  const { message, hint } = failure;
  const advice = hint ?? furtherHint(spec);
  const condition =
    failures < CIRCUIT_FAILURES
      ? BACKEND_CONDITIONS.not_running(name, message, advice)
      : BACKEND_CONDITIONS.circuit_open(name, failures, message, advice);
  return { ...condition, cause: { text: failure.cause ?? message, hint } };
}

function whileServing(situation: BackendSituation, serving: Serving): readonly ConditionText[] {
  const { spec, memory } = situation;
  const { name, wanted, signIn } = spec;
  const { failure, failures } = lastRetries(memory.routes);
  const observed = situation.observedOf(serving.id);
  const found: ConditionText[] = [];
  if (wanted.kind === "secret_missing") {
    const why = `the new one needs a value that is ${missingText(wanted.variables)}`;
    found.push(BACKEND_CONDITIONS.change_failed(name, why, missingHint(wanted.variables)));
  } else if (failures > 0 && !situation.isCurrent(serving)) {
    const isSame = situation.routeOf(serving.key) !== null;
    const what = isSame ? "a fresh instance" : "the new one";
    const why = `${what} does not start: ${failure?.message ?? "no reason given"}`;
    const hint = `Correct its configuration or undo the change. ${furtherHint(spec)}`;
    found.push(BACKEND_CONDITIONS.change_failed(name, why, failure?.hint ?? hint));
  }
  if (signIn !== null) found.push({ ...signIn, severity: "warning" });
  found.push(...neverSleeps(spec), ...staysAwake(situation));
  const { down } = situation.observed.clients;
  if (down !== null) found.push(clientsNotRunning(spec, down));
  if (observed === null) return found;
  const { missedChecks, listsStaleBecause, oddities } = observed;
  if (missedChecks >= REPORTED_CHECKS) {
    const other =
      failure === null
        ? "Another instance is being started and takes its place when it is ready."
        : `Another instance does not start either: ${failure.message}`;
    found.push(BACKEND_CONDITIONS.not_answering(name, missedChecks, serving.isUnhealthy ? other : null));
  }
  if (listsStaleBecause !== null) found.push(BACKEND_CONDITIONS.lists_stale(name, listsStaleBecause));
  const [first, ...others] = observed.withheldEntries;
  if (first !== undefined) found.push(BACKEND_CONDITIONS.entries_withheld(name, first, others.length));
  if (observed.requestsRoots && spec.instances === "shared")
    found.push(BACKEND_CONDITIONS.roots_shared(name));
  return [...found, ...oddities.map((oddity) => BACKEND_CONDITIONS[oddity](name))];
}

function clientsNotRunning(spec: BackendSpec, { clients, failures, failure }: ClientsDown): ConditionText {
  const many = clients === 0 ? "the instances of clients" : `the instances of ${clients} clients`;
  const who = clients === 1 ? "the instance of 1 client" : many;
  const what = `${who} did not start${failures === 1 ? "" : ` ${failures} times in a row`}`;
  const advice = failure.hint ?? furtherHint(spec);
  return BACKEND_CONDITIONS.clients_not_running(spec.name, what, failure.message, advice);
}

/** A remote server's log is not on this machine. */
function furtherHint({ name, origin }: BackendSpec): string {
  return origin === null
    ? `\`${shellCommand`mountaineer backends logs ${name}`}\` shows what it wrote.`
    : `Check that \`url\` is its MCP endpoint, and see what the server at ${origin} logs.`;
}
