// Owns the conditions of a share that follow from what is seen alone; rules add theirs where they decide.
import { counted } from "../../runtime/text/plain-text.ts";
import { isStoredKey, missingHint, oneMissingText } from "../../secrets/reference.ts";
import type { RefusedUpload, SetAsideFolder } from "../drivers/mount-driver.ts";
import { type Draft, setEpisode } from "./draft.ts";

export function standingConditions(draft: Draft): void {
  if (draft.seen.unsent?.length === 0 && draft.seen.mount !== null)
    setEpisode(draft, { unsentWatched: false });
  const { seen, spec, conditions, memory, episode } = draft;
  if (spec.missingVariable !== null) {
    conditions.push({
      code: isStoredKey(spec.missingVariable) ? "secret_missing" : "variable_missing",
      severity: "error",
      title: `The password is not there: ${oneMissingText(spec.missingVariable)}`,
      hint: missingHint([spec.missingVariable]),
    });
  }
  if (seen.driverProblem !== null) {
    const { hint } = seen.driverProblem;
    conditions.push({
      code: "driver_unavailable",
      severity: seen.mount === null ? "error" : "warning",
      title: seen.driverProblem.text,
      hint: seen.mount === null ? hint : `${hint}; until then what is mounted stays while it serves`,
    });
  }
  if (seen.taken !== null) {
    conditions.push({
      code: "path_taken",
      severity: "error",
      title: `${spec.mountPath} is taken by ${seen.taken.source}`,
      hint: "Unmount it, or choose another name or mount_root; nothing of it is touched.",
    });
  }
  if (seen.linkBlocked !== null) {
    conditions.push({
      code: "link_blocked",
      severity: "error",
      title: `The link to the mount is not right: ${seen.linkBlocked}`,
      hint: "`mountaineer reconcile` makes it, once nothing else stands in its place.",
    });
  }
  for (const twin of seen.twins) {
    conditions.push({
      code: `twin_mount:${twin.path}`,
      severity: "warning",
      title: `The same share is also mounted at ${twin.path} from ${twin.source}`,
      hint: "It is left alone; unmount it so that programs use one path.",
    });
  }
  if (seen.oneAddress !== null) {
    conditions.push({
      code: "routes_same_address",
      severity: "warning",
      title: `Both routes lead to ${seen.oneAddress}`,
      hint: "Give thunderbolt_host the address of the server's Thunderbolt interface.",
    });
  }
  if (seen.unsent !== null && seen.unsent.length > 0) {
    conditions.push({
      code: "unsent_files",
      severity: "warning",
      title: `${seen.unsent.length} files are not on the server yet: ${seen.unsent.slice(0, 3).join(", ")}`,
      hint: seen.mount === null ? "They are kept here and sent by the next mount." : "They are being sent.",
    });
  }
  const { setAside = [], refusedUploads = [] } = seen;
  if (refusedUploads.length > 0) {
    conditions.push({
      code: "upload_refused",
      severity: "error",
      title: `The server refuses ${counted(refusedUploads.length, "file")}: ${refusedText(refusedUploads)}`,
      hint: "They are kept here and tried again until the server takes them; docs/shares.md says how to give one up.",
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
  const tbAnswers = seen.routes.tb.probe.verdict === "answers";
  if (episode.recoveryBackoff.failures > 0 && tbAnswers && seen.mount?.found.route === "fallback") {
    conditions.push({
      code: "recovery_failed",
      severity: "warning",
      title: `Thunderbolt answers, but going back to it failed${episode.recoveryFailure === null ? "" : `: ${episode.recoveryFailure}`}`,
      hint: "It is tried again with growing pauses; `mountaineer switch --to tb` tries now.",
    });
  }
  const { openFiles } = seen;
  if (memory.tbRecoveryPending) {
    conditions.push({
      code: "tb_ready",
      severity: "info",
      title:
        openFiles === null
          ? "Thunderbolt is ready"
          : `Thunderbolt is ready${openFilesSuffix(openFiles.holders.length, openFiles.unsent.length, openFiles.text)}`,
      hint: `mountaineer switch --share ${spec.name} --to tb`,
      ...(openFiles === null ? {} : { holders: openFiles.holders }),
    });
  }
}

/** Of many files, as many are named as a line holds. */
const NAMED_AT_MOST = 5;

function refusedText(uploads: readonly RefusedUpload[]): string {
  const reasons = [...new Set(uploads.map(({ reason }) => reason))];
  return reasons
    .map((reason) => {
      const paths = uploads.filter((upload) => upload.reason === reason).map(({ path }) => path);
      return `${namedSome(paths)} (${reason})`;
    })
    .join("; ");
}

function setAsideText({ folder, files }: SetAsideFolder): string {
  return files.length === 0 ? folder : `${folder}: ${namedSome(files)}`;
}

function namedSome(names: readonly string[]): string {
  const more = names.length - NAMED_AT_MOST;
  return `${names.slice(0, NAMED_AT_MOST).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function openFilesSuffix(open: number, unsent: number, text: string | null): string {
  if (text !== null) return `; open files are not known: ${text}`;
  const parts = [...(open > 0 ? [`${open} open`] : []), ...(unsent > 0 ? [`${unsent} unsent`] : [])];
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}
