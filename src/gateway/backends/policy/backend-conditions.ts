// The standing problems of one backend, in words: what is wrong, and what a person can do about it. Pure.
import { missingHint, missingText } from "../../../secrets/reference.ts";
import type { BackendSpec, DecisionBuilder } from "./backend-decision-builder.ts";
import type { BackendCondition } from "./backend-pool-contract.ts";
import { CIRCUIT_FAILURES } from "./decide-backend-instances.ts";

/** Checks without an answer after which it is told. */
const TELL_CHECKS = 2;

type ConditionText = Omit<BackendCondition, "sinceMs">;

/** In a fixed order, the gravest first. */
export function backendConditions(builder: DecisionBuilder): readonly ConditionText[] {
  const { spec, memory } = builder;
  if (spec.wanted.kind === "nothing") return [];
  return memory.serving === null ? withoutServing(builder) : whileServing(builder);
}

function withoutServing({ spec, memory }: DecisionBuilder): readonly ConditionText[] {
  const { name, wanted } = spec;
  const { tries } = memory;
  if (wanted.kind === "secret_missing") {
    return [
      {
        code: "secret_missing",
        severity: "error",
        title: `backend ${name} cannot start: ${missingText(wanted.variables)}`,
        hint: missingHint(wanted.variables),
      },
    ];
  }
  if (tries.failure === null || tries.failures === 0) return [];
  const { message, hint } = tries.failure;
  const advice = hint ?? lookFurther(spec);
  if (tries.failures < CIRCUIT_FAILURES) {
    return [{ code: "not_running", severity: "error", title: `backend ${name}: ${message}`, hint: advice }];
  }
  return [
    {
      code: "circuit_open",
      severity: "error",
      title: `backend ${name} failed ${tries.failures} times in a row and is tried once a minute: ${message}`,
      hint: `${advice} A change of its configuration, or \`mountaineer backends restart ${name}\`, tries at once.`,
    },
  ];
}

function whileServing(builder: DecisionBuilder): readonly ConditionText[] {
  const { spec, memory } = builder;
  const { name, wanted } = spec;
  const { serving, tries } = memory;
  if (serving === null) return [];
  const seen = builder.seenOf(serving.id);
  const found: ConditionText[] = [];
  const goesOn = `backend ${name} goes on as it was`;
  if (wanted.kind === "secret_missing") {
    found.push({
      code: "change_failed",
      severity: "warning",
      title: `${goesOn}: its new configuration needs what is ${missingText(wanted.variables)}`,
      hint: missingHint(wanted.variables),
    });
  } else if (tries.failures > 0 && !builder.isCurrent(serving)) {
    const what =
      wanted.kind === "connection" && wanted.key === serving.key ? "a fresh instance" : "its change";
    found.push({
      code: "change_failed",
      severity: "warning",
      title: `${goesOn}: ${what} does not come up: ${tries.failure?.message ?? "no reason given"}`,
      hint: tries.failure?.hint ?? `Mend its configuration or take the change back. ${lookFurther(spec)}`,
    });
  }
  if (seen !== null && seen.missedChecks >= TELL_CHECKS) {
    found.push({
      code: "not_answering",
      severity: "warning",
      title: `backend ${name} left ${seen.missedChecks} checks without an answer`,
      hint: serving.distrusted
        ? tries.failure === null
          ? "Another instance is being started and takes its place when it is ready."
          : `Another instance does not come up either: ${tries.failure.message}`
        : null,
    });
  }
  if (seen !== null && seen.listsStaleBecause !== null) {
    found.push({
      code: "lists_stale",
      severity: "warning",
      title: `a list of backend ${name} cannot be read: ${seen.listsStaleBecause}`,
      hint: "It is tried again. What was read of it before stays published, and so do the other lists.",
    });
  }
  const [first, ...others] = seen?.withheldEntries ?? [];
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more, which the log names)`;
    found.push({
      code: "entries_withheld",
      severity: "warning",
      title: `backend ${name}: ${first}${more}`,
      hint: "Clients would refuse the whole list for it. Have the server mended, then `mountaineer backends restart NAME`.",
    });
  }
  return found;
}

/** Of a server that is elsewhere nothing is known but what it answered, and that is in the title. */
function lookFurther({ name, origin }: BackendSpec): string {
  return origin === null
    ? `\`mountaineer backends logs ${name}\` shows what it wrote.`
    : `Check that \`url\` is its MCP endpoint, and see what the server at ${origin} logs.`;
}
