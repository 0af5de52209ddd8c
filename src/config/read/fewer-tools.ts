// Which tools clients are shown: mistakes between the keys of the sections.
import { type Finding, namesHint, quoted } from "../values/mistakes.ts";
import { asTable, type Table } from "./tables.ts";

/** Names that do not exist, and tables without any effect. */
export function fewerToolsFindings(file: Table): readonly Finding[] {
  const backends = Object.keys(asTable(file["backends"]) ?? {});
  const groups = asTable(file["groups"]) ?? {};
  const findings: Finding[] = [];
  for (const [name, entry] of Object.entries(groups)) {
    const group = asTable(entry);
    if (group === null) continue;
    if (group["tools"] === undefined && group["backends"] === undefined) {
      findings.push({
        path: ["groups", name],
        at: "value",
        found: "neither `tools` nor `backends`",
        expected: "one of them, or both",
        hint: `\`tools = ["*"]\` is everything`,
      });
    }
    findings.push(...unknownNames(group["backends"], ["groups", name, "backends"], backends, "backend"));
  }
  const profiles = Array.isArray(file["profiles"]) ? file["profiles"] : [];
  for (const [index, entry] of profiles.entries()) {
    const wanted = asTable(entry)?.["groups"];
    findings.push(...unknownNames(wanted, ["profiles", index, "groups"], Object.keys(groups), "group"));
  }
  return findings;
}

/** So many mistakes of one list are reported. */
const MOST_REPORTED = 20;

function unknownNames(
  names: unknown,
  at: readonly (string | number)[],
  known: readonly string[],
  kind: "backend" | "group",
): Finding[] {
  if (!Array.isArray(names)) return [];
  const unknown = [...names.entries()].flatMap(([index, name]: [number, unknown]) =>
    typeof name === "string" && !known.includes(name) ? [{ index, name }] : [],
  );
  return unknown.slice(0, MOST_REPORTED).map(({ index, name }) => {
    const hint = namesHint(name, known, `no ${kind} is configured`);
    return {
      path: [...at, index],
      at: "value",
      found: quoted(name),
      expected: `the name of a ${kind}`,
      hint,
      restsOnAbsence: true,
    };
  });
}
