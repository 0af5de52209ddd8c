// Shapes of requests and answers about people: users, their programs, and their rights on each server.
import {
  choice,
  flag,
  jsonObject,
  list,
  nullable,
  object,
  optional,
  strictObject,
  type TypeOf,
  text,
  union,
  wellFormedText,
} from "../../runtime/shape.ts";

/** A program to which a user gave access. */
const grantShape = object({
  id: text,
  /** What the program calls itself. */
  name: text,
  /** The address of its answers, in words. */
  answers_to: text,
  /** The only address at which it is let in. */
  resource: text,
  /** null: every server that the user may use. */
  backends: nullable(list(text)),
  /** Only what changes nothing, by the word of its server. */
  read_only: flag,
  since: text,
  last_used: text,
});
export type ProgramGrant = TypeOf<typeof grantShape>;

const entryAccessShape = object({
  kind: choice("tool", "prompt", "resource", "template"),
  name: text,
  /** `arguments`: it depends on the arguments of the call. */
  effect: choice("allow", "ask", "deny", "arguments"),
  /** The rule that decides. */
  rule: text,
  /** The arguments that the configuration sets in each call, with their values as JSON; absent: none. */
  set_arguments: optional(jsonObject),
});

const personShape = object({
  name: text,
  roles: list(text),
  /** `issuer`: a person of an issuer, as of the newest token; `no_token`: the user's token is not known, so that it lets no one in. */
  signs_in: choice("token", "no_token", "issuer", "role"),
  /** null: not since the daemon started. */
  last_heard: nullable(text),
  programs: list(grantShape),
  servers: list(object({ backend: text, entries: list(entryAccessShape) })),
  /** Servers with an own account of the user; `signed_in` null: not known; `account`: its name, if the server told it. */
  accounts: optional(list(object({ backend: text, signed_in: nullable(flag), account: nullable(text) }))),
  /** The user's own secrets that are stored or needed; `is_stored` null: not known. Absent: none. */
  secrets: optional(list(object({ name: text, is_stored: nullable(flag) }))),
});
export type Person = TypeOf<typeof personShape>;

/** `user`: only this one. `role`: in place of users, a user with only this role. */
export const peopleRequest = strictObject({
  user: optional(wellFormedText),
  role: optional(wellFormedText),
});
export const peopleReportShape = object({
  people: list(personShape),
  /** Names in the rules that no server has; absent: none, or a daemon of another version. */
  unmatched: optional(list(text)),
  /** Why the configuration file is not in use as it is on disk; absent: it is. The rights are by the rules in use. */
  file_not_in_use: optional(text),
});
export type PeopleReport = TypeOf<typeof peopleReportShape>;

export const userChangeRequest = strictObject({
  user: wellFormedText,
  to: choice("added", "renewed", "removed"),
  roles: optional(list(wellFormedText, 64)),
});
export const userChangeShape = object({
  /** Only this answer has it; null: the user is removed. */
  token: nullable(text),
  /** The gateway's; null: it does not listen. */
  address: nullable(text),
  /** What failed once the entry had changed. */
  warnings: list(text),
});
export type UserChangeReport = TypeOf<typeof userChangeShape>;
export const accountRequest = strictObject({ user: wellFormedText, backend: wellFormedText, end: flag });

const limits = { backends: nullable(list(wellFormedText)), read_only: flag };

/** Without `answer`, only shows the request. `user` null: refuses it. */
export const accessRequest = strictObject({
  code: text,
  answer: optional(strictObject({ user: nullable(wellFormedText), ...limits })),
});
export const accessRequestShape = object({
  name: text,
  /** The host that publishes what the program says of itself; null: the program said it itself. */
  published_by: nullable(text),
  answers_to: text,
  resource: text,
  /** The address from which the page was opened; null: unknown. */
  opened_from: nullable(text),
  opened: text,
  /** The users as whom it may act. */
  users: list(text),
});
export type AccessRequestReport = TypeOf<typeof accessRequestShape>;

/**
 * `to` null: the programs lose their access; `keep`: they keep it until the user is removed. Limits only become stricter.
 */
export const grantsRequest = strictObject({
  ids: list(text, 1_000),
  to: nullable(union(choice("keep"), strictObject(limits))),
});
