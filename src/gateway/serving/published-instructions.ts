// A server's instructions, naming its tools as clients see them. Only what cannot be anything else is replaced: a name in
// backticks, or one that is no plain word. Whatever else may be meant follows as a list.
import type { Catalog } from "../catalog/catalog.ts";

/** Names that are told at the end; a server may have thousands. */
const MOST_LISTED = 20;

// One catalog serves many clients.
const known = new WeakMap<Catalog, Map<string, string>>();

export function publishedInstructions(instructions: string, backend: string, catalog: Catalog): string {
  let texts = known.get(catalog);
  if (texts === undefined) {
    texts = new Map();
    known.set(catalog, texts);
  }
  const key = `${backend}\n${instructions}`;
  let text = texts.get(key);
  if (text === undefined) {
    text = withPublishedSkills(renamed(instructions, renamedTools(backend, catalog)), backend, catalog);
    texts.set(key, text);
  }
  return text;
}

/** By the server's own name; only those that clients know by another one. */
function renamedTools(backend: string, { tools }: Catalog): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name, originalName, backend: of } of tools.values()) {
    if (of === backend && name !== originalName) names.set(originalName, name);
  }
  return names;
}

/** Names skills by the URIs under which clients read them. */
function withPublishedSkills(text: string, backend: string, { skills }: Catalog): string {
  const uris = new Map<string, string>();
  for (const { name, originalName, backend: of } of skills.values())
    if (of === backend && name !== originalName) uris.set(originalName, name);
  if (uris.size === 0) return text;
  return text.replace(/[a-z][a-z\d+.-]*:\/\/[^\s`"'<>()]+?\/SKILL\.md/gi, (uri) => uris.get(uri) ?? uri);
}

function renamed(instructions: string, names: ReadonlyMap<string, string>): string {
  if (names.size === 0) return instructions;
  const left = new Set<string>();
  // Whole tokens, as names of tools are written; in backticks also what stands before a parenthesis.
  const text = instructions.replace(
    /`([^`\s(]+)(\([^`]*)?`|(?<![\p{L}\p{N}_.-])[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*/gu,
    (token: string, quoted?: string, call?: string) => {
      const name = quoted ?? token;
      const published = names.get(name);
      if (published === undefined) return token;
      if (quoted !== undefined) return `\`${published}${call ?? ""}\``;
      if (isPlainWord(name)) {
        left.add(name);
        return token;
      }
      return published;
    },
  );
  if (left.size === 0) return text;
  const listed = [...left].slice(0, MOST_LISTED).map((name) => `\`${name}\` is \`${names.get(name)}\``);
  const more = left.size > MOST_LISTED ? `, and ${left.size - MOST_LISTED} more` : "";
  return `${text}\n\n(Names of tools here: ${listed.join(", ")}${more}.)`;
}

/** It may be a word of the sentence: `read`, `Search`. */
function isPlainWord(name: string): boolean {
  return /^\p{L}\p{Ll}*$/u.test(name);
}
