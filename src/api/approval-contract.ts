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
} from "../runtime/shape.ts";
import { reloadReportShape } from "./contract.ts";

const approveMode = choice("commands", "all", "none");

const waitingEntryShape = object({
  /** `backends.files`, `shares.CORE`, `incoming_auth`. */
  id: text,
  /** The id without its list: `files`. */
  name: text,
  /** The most serious effect of the change: `runs`, `approval`, `sends`, `access`, `guards`. */
  kind: text,
  /** The change in words, without values that could be secrets. */
  summary: text,
  /** The entry's running keys, one a line, secrets as references; "" if nothing of it runs. */
  approved: text,
  /** The entry's keys in the file. */
  waiting: text,
  /** Identifies exactly this change; an approval applies to this digest only. */
  digest: text,
});
export type WaitingEntryWire = TypeOf<typeof waitingEntryShape>;

export const approvalsReportShape = object({
  /** The present mode. */
  mode: approveMode,
  /** The mode in the file; null: derived from its backends. */
  asked: nullable(approveMode),
  /** Why the stored approvals cannot be used; null: they can be used, or there are none yet. */
  lost: nullable(text),
  /** In the file's order. */
  waiting: list(waitingEntryShape),
});
export type ApprovalsReport = TypeOf<typeof approvalsReportShape>;

/** Maximum number of approved entries, more than a file can have. */
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
  /** True: the mode becomes that of the file, even if it is looser. */
  loosen: optional(flag),
});
export type ApproveRequest = TypeOf<typeof approveRequest>;

export const approveReportShape = object({
  /** Ids of the approved entries. */
  approved: list(text),
  /** null if no daemon runs. */
  reload: nullable(reloadReportShape),
  /** The report after the approval. */
  now: approvalsReportShape,
});
export type ApproveReport = TypeOf<typeof approveReportShape>;
