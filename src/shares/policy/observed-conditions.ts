// The conditions of a share that follow from the observation without any memory. The rules add others.
import { firstNames, pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { isStoredKey } from "../../secrets/reference.ts";
import type { RefusedUpload, SetAsideFolder, UnsentForServer } from "../drivers/mount-driver.ts";
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
  if (missingVariable !== null) {
    const code = isStoredKey(missingVariable) ? "secret_missing" : "variable_missing";
    conditions.push(SHARE_CONDITIONS[code](missingVariable));
  }
  for (const name of ROUTE_NAMES) {
    const { probe } = observed.configured[name];
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

/** Second mounts of the share, and routes with the same address. */
function sideBySide({ observed: { duplicates, sharedAddress } }: DecideInput): ConditionDraft[] {
  return [
    ...duplicates.map(({ path, source }) => SHARE_CONDITIONS.duplicate_mount(path, source)),
    ...(sharedAddress === null ? [] : [SHARE_CONDITIONS.routes_same_address(sharedAddress)]),
  ];
}

/** Files that were written and are not on the server. */
function fileConditions(input: DecideInput): ConditionDraft[] {
  const { unsent, mount, setAside = [], refusedUploads = [], unsentForOthers = [] } = input.observed;
  const conditions: ConditionDraft[] = [];
  if (unsentForOthers.length > 0 && mount !== null && !mount.found.processGone)
    conditions.push(SHARE_CONDITIONS.unsent_elsewhere(unsentForOthers.map(waitingText).join("; ")));
  if (unsent !== null && unsent.length > 0)
    conditions.push(SHARE_CONDITIONS.unsent_files(unsent, unsentHint(input)));
  if (refusedUploads.length > 0)
    conditions.push(SHARE_CONDITIONS.upload_refused(refusedUploads.length, refusedText(refusedUploads)));
  if (setAside.length > 0)
    conditions.push(SHARE_CONDITIONS.files_set_aside(setAside.map(setAsideText).join(", ")));
  return conditions;
}

/** The hint about how unsent files are sent: only by our own mount, and only while a route answers. */
function unsentHint({ observed: { mount, routes }, spec }: DecideInput): string {
  if (mount === null) return "They are kept here and sent by the next mount.";
  const { madeByDriver, path } = mount.found;
  if (!madeByDriver) {
    return `They are kept here, as ${path} is not a mount of this share's own. To send them: ${shellCommand`mountaineer unmount --share ${spec.name} --force; mountaineer mount --share ${spec.name}`}`;
  }
  const isAny = routes.tb.probe.verdict === "answers" || routes.fallback.probe.verdict === "answers";
  return isAny ? "They are being sent." : "They are kept here and sent once the server answers.";
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

const pathOf = ({ path }: { readonly path: string }): string => path;

function refusedText(uploads: readonly RefusedUpload[]): string {
  const groups = Map.groupBy(uploads, ({ reason }) => reason);
  const texts = [...groups].map(([reason, group]) => `${firstNames(group, pathOf)} (${reason})`);
  return texts.join("; ");
}

function waitingText({ source, files, server }: UnsentForServer): string {
  const whose = source ?? `server ${server}`;
  return `${pluralize(files.length, "file")} written to ${whose} are kept here (${firstNames(files, pathOf)})`;
}

function setAsideText({ folder, files }: SetAsideFolder): string {
  return files.length === 0 ? folder : `${folder}: ${firstNames(files, String)}`;
}

function openFilesSuffix({ holders, unsent, text }: OpenFilesObservation): string {
  if (text !== null) return `; open files are not known: ${text}`;
  const parts = [
    ...(holders.length > 0 ? [`${holders.length} open`] : []),
    ...(unsent.length > 0 ? [`${unsent.length} unsent`] : []),
  ];
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}
