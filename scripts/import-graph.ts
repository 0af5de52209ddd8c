// Which source files a file loads, directly and at any distance, and which test files reach a given source file.
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { scanSource } from "./source-scan.ts";

/** File → the files that it loads or names as a program to run. Paths are relative to the root. */
export type ImportGraph = ReadonlyMap<string, ReadonlySet<string>>;

const SOURCES = ["src/**/*.{ts,tsx}", "test/**/*.{ts,tsx}", "scripts/**/*.ts"];

/** Whoever asks for the build starts what was built of these. */
const BUILT: Readonly<Record<string, string>> = { "scripts/current-build.ts": "src/cli/main.ts" };

export async function readImportGraph(root: string): Promise<ImportGraph> {
  const files: string[] = [];
  for await (const file of glob(SOURCES, { cwd: root })) files.push(file);
  const known = new Set(files);
  const graph = new Map<string, Set<string>>();
  for (const file of files.sort()) {
    graph.set(file, loadedFiles(file, await readFile(path.join(root, file), "utf8"), known));
    const built = BUILT[file];
    if (built !== undefined) graph.get(file)?.add(built);
  }
  return graph;
}

/** A type-only import loads nothing. A string that leads to a source file counts: it names a program to start. */
export function loadedFiles(file: string, source: string, known: ReadonlySet<string>): Set<string> {
  const typeOnly = new Set<string>();
  const loaded = new Set<string>();
  for (const found of scanSource(source).imports) {
    if (found.typeOnly) typeOnly.add(found.specifier);
    else loaded.add(found.specifier);
  }
  const targets = new Set<string>();
  for (const [, text = ""] of source.matchAll(/["'`]([\w@./-]+)["'`]/g)) {
    if (typeOnly.has(text) && !loaded.has(text)) continue;
    const beside = path.join(path.dirname(file), text);
    // Programs are named without their ending; `link-parent` is `link-parent.ts` in the same folder.
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
    for (const target of targets) importers.set(target, [...(importers.get(target) ?? []), file]);
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

/** All that `file` loads at any distance, and itself. */
export function reachedFrom(graph: ImportGraph, file: string): ReadonlySet<string> {
  const reached = new Set([file]);
  // A set that grows is walked to its new end.
  for (const one of reached) for (const target of graph.get(one) ?? []) reached.add(target);
  return reached;
}

/** The test files that reach `changed`, nearest first: those of its folder and of its name, then by imports. */
export function nearestTests(
  graph: ImportGraph,
  changed: string,
  isWanted: (file: string) => boolean,
): string[] {
  const foldersOf = (file: string): string[] => path.dirname(file).split("/").slice(1);
  const wordsOf = (file: string): string[] => path.basename(file).replace(/\..*/, "").split("-");
  const near = [...testsReaching(graph, [changed])].map(([file, hops]) => {
    const [own, folders] = [foldersOf(file), foldersOf(changed)];
    const apart = own.length + folders.length - 2 * sharedStart(own, folders);
    return { file, apart, hops, words: sharedStart(wordsOf(file), wordsOf(changed)) };
  });
  return near
    .filter(({ file }) => isWanted(file))
    .sort(
      (a, b) =>
        Number(b.apart === 0) - Number(a.apart === 0) ||
        a.hops + 3 * (a.apart - a.words) - (b.hops + 3 * (b.apart - b.words)),
    )
    .map(({ file }) => file);
}

/** How many members both begin with. */
function sharedStart(one: readonly string[], other: readonly string[]): number {
  const differs = one.findIndex((member, index) => member !== other[index]);
  return differs === -1 ? one.length : differs;
}
