// The permissions of a machine on the fleet's server. `mountaineer fleet key` prints them, and the doctor tests them.
// docs/reference/fleet.md lists them in the same order.
import {
  BUCKET,
  beatSubject,
  callSubject,
  inboxOf,
  offerSubject,
  requestSubject,
  rollCallSubject,
  STREAM,
} from "./nats/subjects.ts";

export interface Permission {
  readonly may: "publish" | "subscribe";
  readonly subject: string;
  /** What the machine does with a permission that it needs, or could do with a dangerous one. */
  readonly purpose: string;
}

export interface MachineUse {
  readonly name: string;
  /** The machine exports or imports backends. */
  readonly calls: boolean;
}

/** A name that no machine has, for the subjects of harmless test messages. */
export const NOBODY = "mountaineer-permission-probe";

type Row = readonly [
  may: Permission["may"],
  purpose: string,
  isUsed: boolean,
  ...patterns: readonly string[],
];

/**
 * What a machine must be permitted, and for what. A machine may request from JetStream only what the machine may read
 * anyway, because JetStream checks no permissions when it delivers.
 */
function rowsOf({ name, calls }: MachineUse): readonly Row[] {
  const lending = "export and import";
  const reading = "reading the records of others";
  const api = "$JS.API";
  return [
    ["publish", "telling what it is", true, `$KV.${BUCKET}.${name}`],
    ["publish", "showing that it is there", true, beatSubject(name)],
    ["publish", "asking for the machines that are there", true, rollCallSubject(name)],
    ["publish", lending, calls, offerSubject(name), requestSubject(name)],
    ["publish", lending, calls, callSubject(name, "*")],
    ["publish", "finding the bucket", true, `${api}.INFO`, `${api}.STREAM.INFO.${STREAM}`],
    ["publish", reading, true, `${api}.CONSUMER.CREATE.${STREAM}.>`, `${api}.CONSUMER.INFO.${STREAM}.>`],
    ["publish", reading, true, `${api}.CONSUMER.DELETE.${STREAM}.>`, `$JS.FC.${STREAM}.>`],
    ["subscribe", "answers", true, `${inboxOf(name)}.>`],
    ["subscribe", "the machines that are there", true, beatSubject("*")],
    ["subscribe", "requests for that list", true, rollCallSubject("*")],
    ["subscribe", lending, calls, offerSubject("*"), requestSubject("*")],
    ["subscribe", lending, calls, callSubject("*", name)],
  ];
}

/**
 * The permissions that a machine of this use needs. Subjects for publishing end in `NOBODY` instead of a wildcard,
 * because a pattern cannot be published to.
 */
export function neededBy(use: MachineUse): readonly Permission[] {
  return rowsOf(use).flatMap(([may, purpose, isUsed, ...patterns]) =>
    patterns
      .filter(() => isUsed)
      .map((pattern) => {
        const subject = may === "publish" ? pattern.replace(/[*>]$/, NOBODY) : pattern;
        return { may, subject, purpose };
      }),
  );
}

/**
 * The permissions that a machine must not have: with them it could forge messages of other machines, or read
 * messages that are meant for others.
 */
export function tooMuchFor({ name }: MachineUse): readonly Permission[] {
  const lies = "write under the names of others";
  return [
    { may: "publish", subject: `$KV.${BUCKET}.${NOBODY}`, purpose: lies },
    { may: "publish", subject: beatSubject(NOBODY), purpose: lies },
    { may: "publish", subject: offerSubject(NOBODY), purpose: "offer tools in the names of others" },
    { may: "publish", subject: callSubject(NOBODY, name), purpose: "call in the names of others" },
    { may: "subscribe", subject: `${inboxOf(NOBODY)}.>`, purpose: "hear answers to others" },
    { may: "subscribe", subject: callSubject("*", NOBODY), purpose: "hear calls to others" },
  ];
}

/**
 * The line of a machine in the `users` of the server's configuration: all that it needs, even if it does not use all of
 * it, and making the bucket. `key`: its public key.
 */
export function userLine(name: string, key: string): string {
  const rows = rowsOf({ name, calls: true });
  const allowed = (may: Permission["may"], more: readonly string[]): string =>
    JSON.stringify([...rows.flatMap(([verb, , , ...patterns]) => (verb === may ? patterns : [])), ...more]);
  const publish = allowed("publish", [`$JS.API.STREAM.CREATE.${STREAM}`]);
  return `{ nkey: ${key}, permissions: { publish: ${publish}, subscribe: ${allowed("subscribe", [])} } }`;
}
