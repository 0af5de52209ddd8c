// The conditions of a share that follow from the observation without any memory. The rules add others.
import { isStoredKey } from "../../secrets/reference.ts";
import { ROUTE_NAMES } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { OpenFilesObservation } from "./share-observation.ts";

export function observedConditions(input: DecideInput): ConditionDraft[] {
  return [...obstacles(input), ...sideBySide(input), ...fileConditions(input), ...readiness(input)];
}

/** Obstacles to a mount, or to its stable link. */
function obstacles({ observed, spec }: DecideInput): ConditionDraft[] {
  const conditions: ConditionDraft[] = [];
  const { missingVariable, mountPath } = spec;
  const { offNetwork, driverProblem, otherHome = null, occupant, linkBlocked } = observed;
  if (offNetwork !== null) conditions.push(SHARE_CONDITIONS.off_network(offNetwork));
  if (missingVariable !== null) conditions.push(passwordMissing(missingVariable));
  for (const name of ROUTE_NAMES) {
    const { probe } = observed.routes[name];
    if (probe.reason === "smb1_only") conditions.push(SHARE_CONDITIONS.smb1_only(name, probe.text));
  }
  if (driverProblem !== null) {
    const { text, hint } = driverProblem;
    const isMounted = observed.mount !== null;
    const one = SHARE_CONDITIONS.driver_unavailable(isMounted, text, hint);
    conditions.push({ ...one, severity: isMounted ? "warning" : "error" });
  }
  if (otherHome !== null) conditions.push(SHARE_CONDITIONS.other_home(spec, otherHome));
  if (occupant !== null) conditions.push(SHARE_CONDITIONS.path_taken(mountPath, occupant.source));
  if (linkBlocked !== null) {
    const { by, why } = linkBlocked;
    conditions.push(SHARE_CONDITIONS.link_blocked(by, why === "unseen" || why === "late"));
  }
  return conditions;
}

/** `missing`: the key of a value that is not there. */
export function passwordMissing(missing: string): ConditionDraft {
  return SHARE_CONDITIONS[isStoredKey(missing) ? "secret_missing" : "variable_missing"](missing);
}

/** Second mounts of the share, and routes with the same address. */
function sideBySide({ observed: { duplicates, sharedAddress } }: DecideInput): ConditionDraft[] {
  return [
    ...duplicates.map(({ path, source }) => SHARE_CONDITIONS.duplicate_mount(path, source)),
    ...(sharedAddress === null ? [] : [SHARE_CONDITIONS.routes_same_address(sharedAddress)]),
  ];
}

/** Files that programs wrote where no server gets them. */
function fileConditions({ observed: { setAside = [] } }: DecideInput): ConditionDraft[] {
  return setAside.length === 0 ? [] : [SHARE_CONDITIONS.files_set_aside(setAside.join(", "))];
}

/** Conditions about a return to Thunderbolt that failed, or waits. */
function readiness({ observed, spec, memory, state }: DecideInput): ConditionDraft[] {
  const { openFiles, routes, mount } = observed;
  const conditions: ConditionDraft[] = [];
  const tbAnswers = routes.tb.probe.verdict === "answers";
  if (state.recoveryBackoff.failures > 0 && tbAnswers && mount?.found.route === "fallback")
    conditions.push(SHARE_CONDITIONS.recovery_failed(state.recoveryFailure));
  if (memory.tbRecoveryPending) {
    conditions.push({
      ...SHARE_CONDITIONS.tb_ready(spec.name, openFiles === null ? "" : openFilesSuffix(openFiles)),
      ...(openFiles === null ? {} : { holders: openFiles.holders }),
    });
  }
  return conditions;
}

function openFilesSuffix({ holders, text }: OpenFilesObservation): string {
  if (text !== null) return `; open files are not known: ${text}`;
  return holders.length === 0 ? "" : `; ${holders.length} open`;
}
