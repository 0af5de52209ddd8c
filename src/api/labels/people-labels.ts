// People, their programs and their rights in words, the same in all user interfaces. Pure.
import { firstNames, pluralize } from "../../runtime/text/plain-text.ts";
import type { PeopleReport, Person, ProgramGrant } from "../contract/people.ts";

const SIGNS_IN: Readonly<Record<Person["signs_in"], string>> = {
  token: "with a token",
  no_token: "not now: the token is not known",
  issuer: "at the issuer; by the claims of the newest token",
  role: "anyone with only this role",
};

/** How the person signs in, and whether that is for nothing; servers that have listed nothing yet say neither. */
export function signsIn({ signs_in: how, servers }: Person): string {
  const all = servers.flatMap(({ entries }) => entries);
  const isShut = all.length > 0 && all.every(({ effect }) => effect === "deny");
  return `${SIGNS_IN[how]}${isShut ? "; may use nothing until a policy of [authorization] allows it" : ""}`;
}

type EntryAccess = Person["servers"][number]["entries"][number];

const EFFECTS: ReadonlyMap<EntryAccess["effect"], string> = new Map([
  ["allow", "allowed"],
  ["ask", "asks first"],
  ["arguments", "depends on the arguments"],
  ["deny", "denied"],
]);

/** One row for each effect and rule: the names of tools, `most` of them, and how many there are of the other kinds. */
export function accessRows(entries: readonly EntryAccess[], most = Number.POSITIVE_INFINITY) {
  if (entries.length === 0) return [{ how: "", rule: "", what: "nothing listed yet" }];
  const ordered = [...EFFECTS.keys()].flatMap((each) => entries.filter(({ effect }) => effect === each));
  const byRule = Map.groupBy(ordered, ({ effect, rule }) => `${EFFECTS.get(effect)} by ${rule}`);
  return [...byRule].map(([text, same]) => {
    const [how = "", rule = ""] = text.split(/ by (.*)/s);
    const counts = [...Map.groupBy(same, ({ kind }) => kind)].map(
      ([kind, { length }]) => [kind, pluralize(length, kind)] as const,
    );
    if (byRule.size === 1 && same.length > 1)
      return { how, rule, what: `everything (${counts.map(([, count]) => count).join(", ")})` };
    const tools = same.flatMap(({ kind, name, set_arguments: set }) =>
      kind === "tool" ? [set === undefined ? name : `${name} (${setArgumentsText(set)})`] : [],
    );
    const others = counts.flatMap(([kind, count]) => (kind === "tool" ? [] : [count]));
    return { how, rule, what: firstNames([...tools, ...others], String, most) };
  });
}

const MOST_NAMES = 4;

/** As `accessRows`, but servers with the same effects by the same rules share rows. Small groups are first, empty servers last. */
export function accessGroups(servers: Person["servers"]) {
  const alike = Map.groupBy(servers, ({ entries }) =>
    [...new Set(entries.map(({ effect, rule }) => `${effect} by ${rule}`))].sort().join("\n"),
  );
  const rank = (rules: string, { length }: Person["servers"]): number => (rules === "" ? 1e9 : length);
  return [...alike]
    .toSorted((one, other) => rank(...one) - rank(...other))
    .flatMap(([, group]) => {
      const all = group.flatMap(({ entries }) => entries);
      return accessRows(all, MOST_NAMES).map((row) => ({ ...row, group }));
    });
}

/** The rows as lines. */
export function serverAccessText(entries: readonly EntryAccess[]): readonly string[] {
  return accessRows(entries).map(({ how, rule, what }) => (how === "" ? what : `${how} by ${rule}: ${what}`));
}

/** `repo = "acme/site"` */
export function setArgumentsText(set: Readonly<Record<string, unknown>>): string {
  return Object.entries(set)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
    .join(", ");
}

/** Said above rights that are not by the file on disk; null: they are. */
export function rulesInUseText({ file_not_in_use: reason }: PeopleReport): string | null {
  return reason === undefined
    ? null
    : `By the rules in use. The configuration file on disk is not in use: ${reason}`;
}

/** The program, and the limits of its access. */
export function grantText({ name, backends, read_only: isReadOnly, resource }: ProgramGrant): string {
  const servers = backends === null ? "all that the user may" : backends.join(", ") || "no server";
  return `${name === "" ? "" : `${name}: `}${servers}${isReadOnly ? ", only what changes nothing" : ""}, at ${resource}`;
}
