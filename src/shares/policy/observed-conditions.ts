// The conditions of a share that follow from the observation without any memory. The rules add others.
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { isStoredKey, missingHint, oneMissingText } from "../../secrets/reference.ts";
import type { RefusedUpload, SetAsideFolder, UnsentForServer } from "../drivers/mount-driver.ts";
import { ROUTE_NAMES, type ShareSpec } from "../share-spec.ts";
import type { ConditionDraft, DecideInput } from "./decide-input.ts";
import type { OpenFilesObservation } from "./share-observation.ts";

export function observedConditions(input: DecideInput): ConditionDraft[] {
  return [...obstacles(input), ...sideBySide(input), ...fileConditions(input), ...readiness(input)];
}

export const SMB1_HINT =
  "Enable SMB 2 or newer on the server (Samba: `server max protocol = SMB3`; a NAS: its settings of SMB, or newer firmware).";

/** Obstacles to a mount, or to its stable link. */
function obstacles({ observed, spec }: DecideInput): ConditionDraft[] {
  const conditions: ConditionDraft[] = [];
  const { missingVariable, mountPath } = spec;
  if (observed.offNetwork !== null) {
    conditions.push({
      code: "off_network",
      severity: "info",
      title: `Paused: ${observed.offNetwork}`,
      hint: "Nothing is sent to its hosts, and programs get errors at once, until this machine is on a network in `only_on`.",
    });
  }
  if (missingVariable !== null) {
    conditions.push({
      code: isStoredKey(missingVariable) ? "secret_missing" : "variable_missing",
      severity: "error",
      title: `The password is missing: ${oneMissingText(missingVariable)}`,
      hint: missingHint([missingVariable]),
    });
  }
  for (const name of ROUTE_NAMES) {
    const { probe } = observed.configured[name];
    if (probe.reason !== "smb1_only") continue;
    conditions.push({ code: `smb1_only:${name}`, severity: "error", title: probe.text, hint: SMB1_HINT });
  }
  if (observed.driverProblem !== null) {
    const { text, hint } = observed.driverProblem;
    conditions.push({
      code: "driver_unavailable",
      severity: observed.mount === null ? "error" : "warning",
      title: text,
      hint: observed.mount === null ? hint : `${hint}; until then the current mount stays while it responds`,
    });
  }
  if ((observed.otherHome ?? null) !== null) {
    conditions.push({
      code: "other_home",
      severity: "error",
      title: managedBy(spec, observed.otherHome ?? ""),
      hint: "Give one of the two homes another mount_root, or stop the other's daemon; until then Mountaineer changes nothing.",
    });
  }
  if (observed.occupant !== null) {
    conditions.push({
      code: "path_taken",
      severity: "error",
      title: `${mountPath} is taken by ${observed.occupant.source}`,
      hint: "Unmount it, or choose another name or mount_root; Mountaineer does not touch it.",
    });
  }
  if (observed.linkBlocked !== null) {
    const { by, why } = observed.linkBlocked;
    conditions.push({
      code: "link_blocked",
      severity: "error",
      title: `The stable link does not point to the mount: ${by}`,
      hint:
        why === "unseen" || why === "late"
          ? "It is rechecked automatically. Check that the disk with `shares_root` answers and that you may read it."
          : "Correct that, then run `mountaineer reconcile`.",
    });
  }
  return conditions;
}

export function managedBy({ mountPath }: Pick<ShareSpec, "mountPath">, home: string): string {
  return `${mountPath} is managed by the daemon of ${home}`;
}

/** Second mounts of the share, and routes with the same address. */
function sideBySide({ observed }: DecideInput): ConditionDraft[] {
  const twins = observed.duplicates.map(
    ({ path, source }): ConditionDraft => ({
      code: `duplicate_mount:${path}`,
      severity: "warning",
      title: `The same share is also mounted at ${path} from ${source}`,
      hint: "Mountaineer does not touch it; unmount it so that programs use one path.",
    }),
  );
  if (observed.sharedAddress === null) return twins;
  return [
    ...twins,
    {
      code: "routes_same_address",
      severity: "warning",
      title: `Both routes lead to ${observed.sharedAddress}`,
      hint: "Give thunderbolt_host the address of the server's Thunderbolt interface.",
    },
  ];
}

/** Files that were written and are not on the server. */
function fileConditions(input: DecideInput): ConditionDraft[] {
  const { observed } = input;
  const { unsent, mount, setAside = [], refusedUploads = [], unsentForOthers = [] } = observed;
  const conditions: ConditionDraft[] = [];
  if (unsentForOthers.length > 0 && mount !== null && !mount.found.processGone) {
    conditions.push({
      code: "unsent_elsewhere",
      severity: "warning",
      title: `${unsentForOthers.map(waitingText).join("; ")}, as another server is mounted now`,
      hint: "They are sent when their server is back; `mountaineer unsent` shows them, sends them here, or sets them aside.",
    });
  }
  if (unsent !== null && unsent.length > 0) {
    conditions.push({
      code: "unsent_files",
      severity: "warning",
      title: `${unsent.length} files are not on the server yet: ${unsent.slice(0, 3).join(", ")}`,
      hint: unsentHint(input),
    });
  }
  if (refusedUploads.length > 0) {
    conditions.push({
      code: "upload_refused",
      severity: "error",
      title: `The server refuses ${pluralize(refusedUploads.length, "file")}: ${refusedText(refusedUploads)}`,
      hint: "They are kept here and retried until the server accepts them; docs/shares.md says how to give one up.",
    });
  }
  if (setAside.length > 0) {
    conditions.push({
      code: "files_set_aside",
      severity: "warning",
      title: `Files of this share that are not on the server are set aside in ${setAside.map(setAsideText).join(", ")}`,
      hint: "Copy what is needed to the share, then delete the folder.",
    });
  }
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
  if (state.recoveryBackoff.failures > 0 && tbAnswers && mount?.found.route === "fallback") {
    const why = state.recoveryFailure === null ? "" : `: ${state.recoveryFailure}`;
    conditions.push({
      code: "recovery_failed",
      severity: "warning",
      title: `Thunderbolt answers, but the move back to it failed${why}`,
      hint: "It is retried at increasing intervals; `mountaineer switch --to tb` tries now.",
    });
  }
  if (memory.tbRecoveryPending) {
    conditions.push({
      code: "tb_ready",
      severity: "info",
      title: `Thunderbolt is ready${openFiles === null ? "" : openFilesSuffix(openFiles)}`,
      hint: shellCommand`mountaineer switch --share ${spec.name} --to tb`,
      ...(openFiles === null ? {} : { holders: openFiles.holders }),
    });
  }
  return conditions;
}

const NAMED_AT_MOST = 5;

function refusedText(uploads: readonly RefusedUpload[]): string {
  const groups = Map.groupBy(uploads, ({ reason }) => reason);
  const texts = [...groups].map(
    ([reason, group]) => `${namedSome(group.map(({ path }) => path))} (${reason})`,
  );
  return texts.join("; ");
}

function waitingText({ source, files, server }: UnsentForServer): string {
  const whose = source ?? `server ${server}`;
  return `${pluralize(files.length, "file")} written to ${whose} are kept here (${namedSome(files.map(({ path }) => path))})`;
}

function setAsideText({ folder, files }: SetAsideFolder): string {
  return files.length === 0 ? folder : `${folder}: ${namedSome(files)}`;
}

function namedSome(names: readonly string[]): string {
  const more = names.length - NAMED_AT_MOST;
  return `${names.slice(0, NAMED_AT_MOST).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function openFilesSuffix({ holders, unsent, text }: OpenFilesObservation): string {
  if (text !== null) return `; open files are not known: ${text}`;
  const parts = [
    ...(holders.length > 0 ? [`${holders.length} open`] : []),
    ...(unsent.length > 0 ? [`${unsent.length} unsent`] : []),
  ];
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}
