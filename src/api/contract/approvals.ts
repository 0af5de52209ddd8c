// Shapes of configuration entries that wait for a person's approval, and of the approval.

import {
  choice,
  described,
  flag,
  list,
  matching,
  nullable,
  object,
  optional,
  strictObject,
  type TypeOf,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";
import { reloadReportShape } from "./config.ts";

const approveMode = choice("commands", "all", "none");

const waitingEntryShape = object({
  /** `backends.files`, `shares.CORE`, `incoming_auth`. */
  id: text,
  /** The id without the name of its list: `files`. */
  name: text,
  /**
   * The most serious thing that the changed keys decide: `runs` (which program runs), `approval` (which
   * changes need an approval), `sends` (where a credential is sent), `access` (which users may use what) or
   * `guards` (limits, and places of files).
   */
  kind: text,
  /** The change in words, without values that could be secrets. */
  summary: text,
  /**
   * The entry's keys as the daemon runs them now, one per line, with references in place of secrets; "": the
   * daemon runs nothing of this entry.
   */
  approved: text,
  /** The entry's keys as the file has them, in the same form as `approved`. */
  waiting: text,
  /** Identifies exactly this change; an approval applies to this digest only. */
  digest: text,
});
export type WaitingEntryWire = TypeOf<typeof waitingEntryShape>;

export const approvalsReportShape = object({
  /** The approval mode that applies now. */
  mode: approveMode,
  /**
   * The approval mode that the file asks for; null: the file sets none, so the mode depends on its backends.
   */
  asked: nullable(approveMode),
  /** Why the stored approvals cannot be used; null: they can be used, or there are none yet. */
  lost: nullable(text),
  /** In the file's order. */
  waiting: list(waitingEntryShape),
});
export type ApprovalsReport = TypeOf<typeof approvalsReportShape>;

/** Maximum number of entries in one request, far above what any configuration file has. */
const MOST_ENTRIES = 10_000;

export const approveRequest = strictObject({
  /** The entries, with the digests that the person has seen. */
  entries: described(
    `a list of at most ${MOST_ENTRIES} { id, digest }`,
    list(
      strictObject({ id: wellFormedText, digest: matching(/^[0-9a-f]{64}$/, "a digest as it was shown") }),
      MOST_ENTRIES,
    ),
  ),
  /** True: the file's approval mode applies from now on, even if it is looser than the present one. */
  loosen: optional(flag),
});

export const approveReportShape = object({
  /** Ids of the approved entries. */
  approved: list(text),
  /** The report of the reload; null if no daemon runs. */
  reload: nullable(reloadReportShape),
  now: approvalsReportShape,
});
export type ApproveReport = TypeOf<typeof approveReportShape>;
