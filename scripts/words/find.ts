// Finds names and phrases that the rules do not want, in one file. Pure.
import { scanSource } from "../source-scan.ts";
import { type Area, GO_NAME_RULES, NAME_RULES, type NameRule, PHRASE_RULES } from "./rules.ts";

/** `rule`: the area, "names" or "go-names", and the rule's name (`names held`, `titles anew`). `where`: file, line and text. */
export interface Finding {
  readonly rule: string;
  readonly where: string;
}

const byWord = (rules: readonly NameRule[]): ReadonlyMap<string, NameRule> =>
  new Map(rules.flatMap((rule) => rule.words.map((word) => [word, rule] as const)));
const RULE_OF_WORD = { names: byWord(NAME_RULES), "go-names": byWord(GO_NAME_RULES) };
const LONGEST_QUOTE = 160;

/** `file`: its path from the root, by which a name may be allowed. */
export function findInFile(file: string, text: string): readonly Finding[] {
  if (file.endsWith(".md")) return inLines(file, text);
  if (file.endsWith(".go")) return inGo(file, text);
  if (file.startsWith("test/")) return inTitles(file, text);
  return [
    ...inNames("names", file, scanSource(text).code),
    ...inMessages(file, text),
    ...inComments(file, text),
  ];
}

/** camelCase, PascalCase and UPPER_CASE, in lower case: `mailDoor` is mail and door. */
export function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase()
    .split("_");
}

function inNames(area: keyof typeof RULE_OF_WORD, file: string, code: string): readonly Finding[] {
  const names = new Set(code.match(/[A-Za-z_]\w*/g));
  return [...names].flatMap((name) => {
    const rules = new Set(wordsOf(name).flatMap((word) => RULE_OF_WORD[area].get(word) ?? []));
    return [...rules]
      .filter((rule) => rule.allowed?.test(`${file}: ${name}`) !== true)
      .map((rule) => ({ rule: `${area} ${rule.words[0]}`, where: `${file}: ${name}` }));
  });
}

/** Words that names do without are not in comments either. Comment lines that follow each other are one text. */
function inGo(file: string, source: string): readonly Finding[] {
  const code = source.replaceAll(/"(?:\\.|[^"\\\n])*"|`[^`]*`/g, "");
  const comments = source.matchAll(/(?<=^|\s)\/\/.*(?:\n\s*\/\/.*)*$/gm);
  return [
    ...inNames("go-names", file, code),
    ...[...comments].flatMap(({ 0: comment, index }) => {
      const text = comment.replaceAll(/\s*\/\/ ?/g, " ").trim();
      return phrasesIn("go", `${file}:${source.slice(0, index).split("\n").length}`, text);
    }),
  ];
}

/** Strings of three words and more. */
function inMessages(file: string, source: string): readonly Finding[] {
  return scanSource(source).texts.flatMap(({ parts, line }) => {
    const text = parts.join("…");
    return /[a-z]+ [a-z']+ [a-z]+/i.test(text) ? phrasesIn("messages", `${file}:${line}`, text) : [];
  });
}

/** Line comments and blocks: what the scan has blanked although it is not in a string. */
function inComments(file: string, source: string): readonly Finding[] {
  const { code } = scanSource(source);
  return [...source.matchAll(/(?<![:"'`\w])\/\/ ?(.*)$|\/\*\*?([\s\S]*?)\*\//gm)].flatMap((match) => {
    if (code[match.index] === "/") return [];
    const text = (match[1] ?? match[2] ?? "").replaceAll(/\s*\n\s*\*?\s*/g, " ").trim();
    return phrasesIn("comments", `${file}:${source.slice(0, match.index).split("\n").length}`, text);
  });
}

function inTitles(file: string, source: string): readonly Finding[] {
  return [
    ...source.matchAll(/\b(?:test|it|describe)(?:\.\w+)?\(\s*(["`'])((?:\\.|(?!\1)[^\\])*)\1/g),
  ].flatMap((match) => phrasesIn("titles", file, match[2] ?? ""));
}

function inLines(file: string, text: string): readonly Finding[] {
  return text.split("\n").flatMap((line, index) => phrasesIn("docs", `${file}:${index + 1}`, line));
}

function phrasesIn(area: Area, where: string, text: string): readonly Finding[] {
  return PHRASE_RULES.filter(
    ({ areas, pattern }) => areas?.includes(area) !== false && pattern.test(text),
  ).map((rule) => ({ rule: `${area} ${rule.name}`, where: `${where} ${text.slice(0, LONGEST_QUOTE)}` }));
}
