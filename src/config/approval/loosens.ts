// What a configuration gives up of what keeps others out, and whether a file that was written in place waits for a
// person therefore, or because it is half a file. Pure.
import { isDeepStrictEqual } from "node:util";
import type { AuthorizationConfig, IncomingAuthConfig, MountaineerConfig } from "../snapshot.ts";

/** A content with its meaning; `config` is null if it has none, as a content with mistakes. */
interface Content {
  readonly bytes: Uint8Array;
  readonly config: MountaineerConfig | null;
}

/**
 * Why the content `now`, which was written over `before` in the same file, waits for a person; null: it does not wait.
 */
export function heldBecause(now: Content, before: Content): string | null {
  const sizes = `${now.bytes.length} of ${before.bytes.length} bytes`;
  const [text, was] = [now, before].map(({ bytes }) => Buffer.from(bytes).toString("latin1"));
  if (text === undefined || was === undefined) return null;
  const isShorter = text.length < was.length;
  if (text.trim() === "") return was.trim() === "" ? null : "it was emptied";
  if (isShorter && endsInside(text, was)) return `it ends inside a line, after ${sizes}`;
  if (now.config === null || before.config === null || (!isShorter && text.endsWith("\n"))) return null;
  const lost = loosens(before.config, now.config);
  return lost.length === 0 ? null : `it drops ${lost.join(", ")} (${sizes} are there)`;
}

/** True if the last line of `text` has no end, and is the beginning of a longer line of `before`. */
function endsInside(text: string, before: string): boolean {
  const last = text.slice(text.lastIndexOf("\n") + 1);
  if (last === "") return false;
  // A prefix ends exactly where it was cut, so a line that is whole there was not cut.
  if (before.startsWith(text)) return !/^\r?\n/.test(before.slice(text.length));
  return before.split(/\r?\n/).some((line) => line.length > last.length && line.startsWith(last));
}

/**
 * The sections and keys of `before` with which others were kept out, and which `after` no longer has. `[trust]` is not
 * among them: it is loosened by an approval alone.
 */
export function loosens(before: MountaineerConfig, after: MountaineerConfig): readonly string[] {
  const [listened, listens] = [before, after].map(({ server }) => server?.host ?? THIS_MACHINE);
  const lost: readonly (readonly [name: string, isLost: boolean])[] = [
    ["[incoming_auth]", losesSignIn(before.incomingAuth, after.incomingAuth)],
    ["[authorization]", losesPolicies(before.authorization, after.authorization)],
    ["[server].host", listened !== listens && listens === THIS_MACHINE],
  ];
  return lost.flatMap(([name, isLost]) => (isLost ? [name] : []));
}

const THIS_MACHINE = "127.0.0.1";

/** Fewer users are no loss: they are kept out. */
function losesSignIn(before: IncomingAuthConfig, after: IncomingAuthConfig): boolean {
  if (before.type === "anonymous") return false;
  if (after.type === "anonymous") return true;
  const roles = new Map(before.users.map((user) => [user.name, user.roles]));
  if (after.users.some((user) => isPart({ roles: user.roles }, { roles: roles.get(user.name) }))) return true;
  if (!("tokens" in before)) return false;
  return "tokens" in after && isPart(after.tokens, before.tokens);
}

/** A policy that allows is no loss, if it is lost whole: without it, less is allowed. */
function losesPolicies(before: AuthorizationConfig | null, after: AuthorizationConfig | null): boolean {
  if (before === null || after === null) return before !== null;
  const restricting = [before, after].map(({ policies }) =>
    policies.filter(({ effect }) => effect !== "allow"),
  );
  const known = after.policies.filter(
    (policy) => !before.policies.some((was) => isDeepStrictEqual(was, policy)),
  );
  return (
    (restricting[1]?.length ?? 0) < (restricting[0]?.length ?? 0) ||
    (before.defaultEffect === "deny" && after.defaultEffect === "allow") ||
    ((before.destructive ?? "allow") !== "allow" && (after.destructive ?? "allow") === "allow") ||
    known.some((policy) => before.policies.some((was) => isPart(policy, was)))
  );
}

/** True if `part` is `whole` without some of its keys. */
function isPart(part: object, whole: object): boolean {
  const [few, many] = [given(part), given(whole)];
  return few.size < many.size && [...few].every(([key, value]) => isDeepStrictEqual(value, many.get(key)));
}

function given(one: object): ReadonlyMap<string, unknown> {
  const isGiven = (value: unknown) =>
    typeof value === "object" && value !== null ? Object.keys(value).length > 0 : value !== undefined;
  return new Map(Object.entries(one).filter(([, value]) => value !== null && isGiven(value)));
}
