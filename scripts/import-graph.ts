// Finds the source files that a file loads, directly or indirectly, and the test files nearest to a changed file.
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import path from "node:path";

/** File → its text. Paths are relative to the root. */
export type Sources = ReadonlyMap<string, string>;
/** File → the files that it loads, or starts as programs. */
export type ImportGraph = ReadonlyMap<string, ReadonlySet<string>>;

const SOURCES = ["src/**/*.{ts,tsx}", "test/**/*.{ts,tsx}", "scripts/**/*.ts"];

/** `patterns`: globs of all sources. */
export async function readSources(root: string, patterns = SOURCES): Promise<Sources> {
  const files = await Array.fromAsync(glob(patterns, { cwd: root }));
  return new Map(files.sort().map((file) => [file, readFileSync(path.join(root, file), "utf8")]));
}

export function importGraph(sources: Sources): ImportGraph {
  const endings = new Set([...sources.keys()].map((file) => path.basename(file)));
  const inSource = [...sources.keys()].filter((file) => file.startsWith("src/"));
  const byName = Map.groupBy(inSource, (file) => path.basename(file, ".ts"));
  return new Map(
    [...sources].map(([file, source]) => {
      const programs = builtPrograms(source).flatMap((name) => byName.get(name) ?? []);
      return [file, new Set([...loadedFiles(file, source, sources, endings), ...programs])];
    }),
  );
}

/** The names of programs started from a build, where all programs are in one folder: `./prober-child.js`. */
function builtPrograms(source: string): string[] {
  return [...source.matchAll(/"\.\/([\w-]+)\.js"/g)].map(([, name = ""]) => name);
}

/**
 * A type-only import loads nothing. A string that resolves to a source file counts, because it names a program to start.
 * `endings`: the last segments of all known paths; strings without one of them are skipped.
 */
export function loadedFiles(
  file: string,
  source: string,
  known: { has(file: string): boolean },
  endings: { has(ending: string): boolean } = { has: () => true },
): Set<string> {
  const typeOnly = new Set<string>();
  const loaded = new Set<string>();
  for (const [, type, specifier = ""] of source.matchAll(
    /\b(?:import|export)\b(\s+type\b(?!\s*from\b))?[^;"'`()]*?\bfrom\s*["']([^"'\n]+)["']/g,
  ))
    (type === undefined ? loaded : typeOnly).add(specifier);
  for (const [, type, specifier = ""] of source.matchAll(/(\btypeof\s+)?\bimport\s*\(\s*["']([^"'\n]+)["']/g))
    (type === undefined ? loaded : typeOnly).add(specifier);
  const folder = path.dirname(file);
  const targets = new Set<string>();
  for (const [, text = ""] of source.matchAll(/["'`]([\w@./-]+)["'`]/g)) {
    const ending = text.slice(text.lastIndexOf("/") + 1);
    if (!endings.has(ending) && !endings.has(`${ending}.ts`)) continue;
    if (typeOnly.has(text) && !loaded.has(text)) continue;
    const beside = path.join(folder, text);
    // A program is named without its extension; `link-parent` is `link-parent.ts` in the same folder.
    for (const target of [beside, `${beside}.ts`, path.normalize(text)]) {
      if (known.has(target) && target !== file) targets.add(target);
    }
  }
  return targets;
}

/** The test files that reach one of `changed`, nearest first, each with its distance in imports. */
export function testsReaching(graph: ImportGraph, changed: Iterable<string>): Map<string, number> {
  const importers = new Map<string, string[]>();
  for (const [file, targets] of graph) {
    for (const target of targets) {
      const known = importers.get(target);
      if (known === undefined) importers.set(target, [file]);
      else known.push(file);
    }
  }
  const distances = new Map<string, number>();
  let edge = [...new Set(changed)];
  for (let distance = 0; edge.length > 0; distance++) {
    for (const file of edge) distances.set(file, distance);
    edge = [...new Set(edge.flatMap((file) => importers.get(file) ?? []))].filter(
      (file) => !distances.has(file),
    );
  }
  return new Map([...distances].filter(([file]) => file.endsWith(".test.ts")));
}

export interface NearTest {
  readonly file: string;
  /** The test file is in the folder of test/ that corresponds to the changed file's folder of src/. */
  readonly isBeside: boolean;
}

/**
 * The test files that reach one of `changed`, most relevant first: `test/a/b.test.ts` for `src/a/b.ts`, then those that
 * share most of its rare words; the same folder and a small distance in imports count as well.
 */
export function nearestTests(sources: Sources, graph: ImportGraph, changed: readonly string[]): NearTest[] {
  const mirrors = changed.map((file) => file.replace(/^src\//, "test/").replace(/\.tsx?$/, ".test.ts"));
  const folders = new Set(mirrors.map((file) => path.dirname(file)));
  const isOwn = (file: string): boolean => changed.includes(file) || mirrors.includes(file);
  const reaching = testsReaching(graph, changed);
  const wordsOf = (files: Iterable<string>): Map<string, number>[] =>
    [...files].map((file) => countWords(sources.get(file) ?? ""));
  const likenesses = likenessTo(wordsOf(changed), wordsOf(reaching.keys()));
  return [...reaching]
    .map(([file, distance], index) => {
      const isBeside = folders.has(path.dirname(file));
      const likeness = likenesses[index] ?? 0;
      // Fitted to the test files that caught 200 random changes: the folder weighs as much as eight imports.
      const nearness = Number(isOwn(file)) + likeness + (isBeside ? 0.15 : 0) - distance * 0.02;
      return { file, isBeside, nearness };
    })
    .sort((a, b) => b.nearness - a.nearness || (a.file < b.file ? -1 : 1));
}

/** The names and words of a source text, without its imports. */
function countWords(source: string): Map<string, number> {
  const counts = new Map<string, number>();
  const text = source.replace(/^import\b[^;]*;$/gm, "");
  for (const [word] of text.matchAll(/[a-z]\w{3,}/gi)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** For each of `tests`, the cosine similarity of its words (0 to 1). A word weighs more, the fewer tests contain it. */
function likenessTo(
  changed: readonly ReadonlyMap<string, number>[],
  tests: readonly ReadonlyMap<string, number>[],
): number[] {
  const holders = new Map<string, number>();
  for (const word of tests.flatMap((words) => [...words.keys()]))
    holders.set(word, (holders.get(word) ?? 0) + 1);
  const weighed = (words: ReadonlyMap<string, number>): Map<string, number> =>
    new Map(
      [...words].map(([word, count]) => {
        const rarity = Math.log((tests.length + 1) / (holders.get(word) ?? tests.length + 1));
        return [word, (1 + Math.log(count)) * rarity];
      }),
    );
  const length = (words: ReadonlyMap<string, number>): number => Math.hypot(...words.values()) || 1;
  const wanted = changed.map(weighed);
  return tests.map((words) => {
    const own = weighed(words);
    const cosines = wanted.map((one) => {
      let product = 0;
      for (const [word, weight] of one) product += weight * (own.get(word) ?? 0);
      return product / length(one) / length(own);
    });
    return Math.max(0, ...cosines);
  });
}

/** `file` and all files that it loads, directly or indirectly. */
export function reachedFrom(graph: ImportGraph, file: string): ReadonlySet<string> {
  const reached = new Set([file]);
  // Iterating over a Set includes the members added during the iteration.
  for (const one of reached) for (const target of graph.get(one) ?? []) reached.add(target);
  return reached;
}
