// The shapes of what waits for a person's approval, and of what a person approves.

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
  /** Without its list: `files`. */
  name: text,
  /** The most serious of what it decides: `runs`, `approval`, `sends`, `access`, `guards`. */
  kind: text,
  /** What it would do, without any value that could be a secret. */
  summary: text,
  /** Its keys as they serve, one a line, secrets as references; "" when nothing of it runs. */
  approved: text,
  /** Its keys as the file has them. */
  waiting: text,
  /** Names what waits: a yes to it holds for nothing else. */
  digest: text,
});
export type WaitingEntryWire = TypeOf<typeof waitingEntryShape>;

export const approvalsReportShape = object({
  /** What holds now. */
  mode: approveMode,
  /** What the file asks for; null: what follows from its backends. */
  asked: nullable(approveMode),
  /** Why nothing counts as approved; null: approvals are known, or there were none yet. */
  lost: nullable(text),
  /** In the file's order. */
  waiting: list(waitingEntryShape),
});
export type ApprovalsReport = TypeOf<typeof approvalsReportShape>;

/** Far more than a file can hold. */
const MOST_ENTRIES = 10_000;

export const approveRequest = strictObject({
  /** As they were shown. */
  entries: described(
    `a list of at most ${MOST_ENTRIES} { id, digest }`,
    list(
      strictObject({ id: wellFormedText, digest: matching(/^[0-9a-f]{64}$/, "a digest as it was shown") }),
      MOST_ENTRIES,
    ),
  ),
  /** The mode becomes what the file asks for, however loose. */
  loosen: optional(flag),
});
export type ApproveRequest = TypeOf<typeof approveRequest>;

export const approveReportShape = object({
  /** Ids. */
  approved: list(text),
  /** Null when no daemon runs. */
  reload: nullable(reloadReportShape),
  /** What holds and waits then. */
  now: approvalsReportShape,
});
export type ApproveReport = TypeOf<typeof approveReportShape>;
