// The home's approvals on disk. The file is sealed, so that write access to the home is not enough to add approvals.
import type { Approvals, ApprovedEntry } from "../../config/approval/apply-approvals.ts";
import type { Fields } from "../../config/approval/entries.ts";
import type { ApproveMode } from "../../config/snapshot.ts";
import { errorText } from "../../runtime/errors.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import type { SealedFile } from "../../secrets/sealed-file.ts";
import type { KeyStorage } from "../../secrets/sealing-key.ts";

export type LoadedApprovals =
  /** `approvals` null: the home has never had approvals. */
  | { readonly kind: "known"; readonly approvals: Approvals | null }
  /** There were approvals, but none can be trusted now. `passes`: true if they may be readable later. */
  | {
      readonly kind: "lost";
      readonly approvals: Approvals;
      readonly reason: string;
      readonly passes: boolean;
    };

/** Names how the entries are written. A file with another form is not read: its approvals are lost. */
const FORM = "whole entries";

export type ApprovalsFile = ReturnType<typeof openApprovalsFile>;

/** Deadline for reading, ms. Short, so that a locked keyring that asks its user does not delay a start. */
const READ_DEADLINE_MS = 4_000;
const WRITE_DEADLINE_MS = 10_000;

export function openApprovalsFile(sealed: SealedFile) {
  return {
    path: sealed.path,
    get keyStorage(): KeyStorage | null {
      return sealed.keyStorage;
    },
    /** Reads the approvals. Rejects only with the signal's reason. */
    async read(signal: AbortSignal): Promise<LoadedApprovals> {
      try {
        const found = await sealed.read({ deadlineMs: READ_DEADLINE_MS, signal });
        switch (found.state) {
          case "never":
            return { kind: "known", approvals: null };
          case "sound": {
            const approvals = approvalsIn(found.value);
            if (approvals !== null) return { kind: "known", approvals };
            return lost(found.note, `${sealed.path} is not of this version`);
          }
          case "missing":
            return lost(found.note, `${sealed.path} is gone`);
          case "unsound":
            return lost(
              isMode(found.note) ? found.note : strictRemark(found.claimed),
              `${sealed.path} does not verify: ${found.reason}`,
            );
          case "unverifiable":
            // An approval that cannot be verified may only make more entries wait, never fewer.
            return {
              ...lost(strictRemark(found.claimed), `the keyring gives no answer: ${found.reason}`),
              passes: true,
            };
        }
      } catch (error) {
        signal.throwIfAborted();
        return { ...lost("", `${sealed.path} cannot be read: ${errorText(error)}`), passes: true };
      }
    },
    /**
     * Writes the approvals; durable when it resolves. `advances`: true makes older copies of the file
     * invalid. Rejects with `secret_unavailable`.
     */
    write: (approvals: Approvals, advances: boolean): Promise<void> =>
      sealed.write(
        approvalsValue(approvals),
        { deadlineMs: WRITE_DEADLINE_MS },
        { advances, note: approvals.mode },
      ),
  };
}

/**
 * The result for lost approvals: nothing is approved. The mode is the one that `remark` names; if it names
 * none, entries that decide which programs run must be approved.
 */
function lost(remark: string, reason: string): Extract<LoadedApprovals, { kind: "lost" }> {
  const mode = isMode(remark) ? remark : "commands";
  return {
    kind: "lost",
    approvals: { mode, entries: new Map(), order: [] },
    reason,
    passes: false,
  };
}

/** The mode that unverified content names, if it is the strictest; else none. */
function strictRemark(claimed: unknown): string {
  return isObject(claimed) && claimed["mode"] === "all" ? "all" : "";
}

function isMode(value: unknown): value is ApproveMode {
  return value === "commands" || value === "all" || value === "none";
}

/** The content of the file. */
export function approvalsValue({ mode, entries, order }: Approvals): unknown {
  return { form: FORM, mode, entries: Object.fromEntries(entries), order };
}

/** The approvals in the content; null: it is not of this version. */
export function approvalsIn(value: unknown): Approvals | null {
  if (!isObject(value) || value["form"] !== FORM || !isObject(value["entries"])) return null;
  const { mode, order } = value;
  if (!isMode(mode) || !Array.isArray(order)) return null;
  const entries = new Map<string, ApprovedEntry>();
  for (const [id, entry] of Object.entries(value["entries"])) {
    if (!isObject(entry) || !isState(entry["state"]) || !isObject(entry["whole"])) return null;
    // The assertion holds: `write` sealed values of this type.
    entries.set(id, { state: entry["state"], whole: entry["whole"] as Fields });
  }
  return { mode, entries, order: order.filter((name) => typeof name === "string") };
}

function isState(value: unknown): value is ApprovedEntry["state"] {
  return value === "runs" || value === "gone" || value === "off";
}
