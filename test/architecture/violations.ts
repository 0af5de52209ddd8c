// Finds where a tree of sources breaks the project's rules. Pure: a tree is a map of path → source.
import path from "node:path";
import { type Import, type Scan, scanSource } from "../../scripts/source-scan.ts";
import {
  BANNED_FOLDER_NAMES,
  FOLDERS,
  LAZY_FOLDERS,
  LIBRARIES,
  MAX_LINES,
  PLATFORM_READERS,
} from "./folder-rules.ts";
import { MAX_FILES, ROOM_OF_COMMANDS, ROOMS, UNCOUNTED } from "./room-rules.ts";

/** Paths as `src/shares/policy/decide.ts`, with `/`. */
export type Tree = ReadonlyMap<string, string>;

interface ScannedFile {
  readonly file: string;
  readonly folder: string;
  readonly source: string;
  readonly scan: Scan;
  readonly siblings: readonly string[];
}

type Rule = (file: ScannedFile) => string[];

const RULES: readonly Rule[] = [
  arrows,
  roomArrows,
  libraries,
  pureDecisions,
  platform,
  noDefaultExport,
  noConsole,
  length,
  folderNames,
];

/** One text for each, "file:line: what; why". */
export function violations(tree: Tree): string[] {
  const files = [...tree].map(([file, source]): ScannedFile => {
    const folder = file.split("/")[1] ?? "";
    const siblings = [...tree.keys()].filter(
      (other) => path.posix.dirname(other) === path.posix.dirname(file),
    );
    return { file, folder, source, scan: scanSource(source), siblings };
  });
  return [
    ...files.flatMap((file) => RULES.flatMap((rule) => rule(file))),
    ...crowds(files),
    ...cycles(files),
  ];
}

function target(file: string, { specifier }: Import): string | null {
  return specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier) : null;
}

function arrows({ file, folder, scan }: ScannedFile): string[] {
  const rule = FOLDERS[folder];
  if (rule === undefined)
    return [`${file}: src/${folder} is not in the table of folders; say there whom it may know`];
  return scan.imports.flatMap((imported) => {
    const to = target(file, imported);
    if (to === null) return [];
    const where = `${file}:${imported.line}`;
    if (!to.startsWith("src/")) return [`${where}: imports ${to}; sources import sources only`];
    const other = to.split("/")[1] ?? "";
    if (other === folder) return [];
    if (!rule.knows.includes(other)) {
      const known = rule.knows.length === 0 ? "no other folder" : rule.knows.join(", ");
      return [`${where}: ${folder} imports ${other} (${to}); it may know ${known}, because ${rule.because}`];
    }
    if (rule.typesOnly?.includes(other) && !imported.typeOnly) {
      return [`${where}: ${folder} imports more than types from ${other} (${to}); ${rule.because}`];
    }
    const loaders = LAZY_FOLDERS[other];
    const costsNothing = imported.dynamic || imported.typeOnly || LAZY_FOLDERS[folder] !== undefined;
    if (loaders !== undefined && !(loaders.test(file) && costsNothing)) {
      return [
        `${where}: loads ${other} (${to}); only ${loaders.source} may, by import(), so that no other command pays for it`,
      ];
    }
    return [];
  });
}

/** `src/shares/policy/decide.ts` is in "shares/policy". */
export function roomOf(file: string): string {
  const room = path.posix.dirname(file).slice("src/".length);
  return room.startsWith(`${ROOM_OF_COMMANDS}/`) ? ROOM_OF_COMMANDS : room;
}

function roomArrows({ file, folder, scan }: ScannedFile): string[] {
  const room = roomOf(file);
  const knows = ROOMS[room];
  if (knows === undefined) {
    if (room === folder || bannedPart(file) !== undefined) return [];
    return [`${file}: src/${room} is not in the table of rooms; say there whom it may know`];
  }
  return scan.imports.flatMap((imported) => {
    const to = target(file, imported);
    if (to === null || to.split("/")[1] !== folder) return [];
    const other = roomOf(to);
    if (other === room || knows.includes(other)) return [];
    const known = knows.length === 0 ? "no other room" : knows.join(", ");
    return [`${file}:${imported.line}: ${room} imports ${other} (${to}); in ${folder} it may know ${known}`];
  });
}

function crowds(files: readonly ScannedFile[]): string[] {
  const counts = new Map<string, number>();
  for (const { file } of files) {
    const folder = path.posix.dirname(file);
    if (!UNCOUNTED.test(folder)) counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count > MAX_FILES)
    .map(
      ([folder, count]) => `${folder}: ${count} files lie in it, at most ${MAX_FILES} may; make rooms in it`,
    );
}

function libraries({ file, folder, scan }: ScannedFile): string[] {
  return scan.imports.flatMap(({ specifier, line }) => {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) return [];
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
    const folders = LIBRARIES[name];
    if (folders === undefined)
      return [`${file}:${line}: imports ${name}, which the table of libraries does not know`];
    if (folders.includes(folder)) return [];
    return [
      `${file}:${line}: imports ${name}, which belongs to ${folders.join(", ")}: its types do not leave it`,
    ];
  });
}

function pureDecisions({ file, scan }: ScannedFile): string[] {
  if (!/^decide/.test(path.posix.basename(file))) return [];
  const found = scan.imports.flatMap((imported) => {
    const { specifier, line, typeOnly } = imported;
    if (specifier.startsWith("node:"))
      return [`${file}:${line}: a decision imports ${specifier}; it is a pure function`];
    const clock = target(file, imported) === "src/runtime/time/clock.ts" && !typeOnly;
    return clock ? [`${file}:${line}: a decision imports the clock; now is one of its arguments`] : [];
  });
  for (const { pattern, what } of [
    { pattern: /\bawait\b|\basync\b/, what: "waits; observing and stepping belong elsewhere" },
    {
      pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b/,
      what: "reads a clock; now is one of its arguments",
    },
    { pattern: /\bMath\.random\b/, what: "throws dice; equal input must give equal plans" },
    { pattern: /\bprocess\./, what: "reads the process; what it needs comes as an argument" },
  ]) {
    const line = lineOf(scan.code, pattern);
    if (line !== null) found.push(`${file}:${line}: a decision ${what}`);
  }
  return found;
}

function platform({ file, scan, siblings }: ScannedFile): string[] {
  const line = lineOf(scan.code, /\bprocess\s*\.\s*platform\b|\bos\s*\.\s*platform\b|\bprocess\s*\[/);
  if (line === null || file in PLATFORM_READERS) return [];
  const stem = file.replace(/\.ts$/, "");
  if (siblings.some((other) => /-(linux|darwin)\.ts$/.test(other) && other.startsWith(`${stem}-`))) return [];
  return [
    `${file}:${line}: reads process.platform; only the file that picks between x-linux.ts and x-darwin.ts does`,
  ];
}

function noDefaultExport({ file, scan }: ScannedFile): string[] {
  const line = lineOf(scan.code, /\bexport\s+default\b|\bas\s+default\b/);
  return line === null ? [] : [`${file}:${line}: a default export; a name is the same everywhere`];
}

function noConsole({ file, folder, scan }: ScannedFile): string[] {
  const line = folder === "cli" ? null : lineOf(scan.code, /\bconsole\s*[.[]/);
  return line === null ? [] : [`${file}:${line}: writes to the console; a log record goes through Logger`];
}

function length({ file, source }: ScannedFile): string[] {
  const lines = source.replace(/\n$/, "").split("\n").length;
  return lines <= MAX_LINES ? [] : [`${file}: has ${lines} lines; split it by ${MAX_LINES}`];
}

function folderNames({ file }: ScannedFile): string[] {
  const banned = bannedPart(file);
  return banned === undefined ? [] : [`${file}: "${banned}" names no fact and no job`];
}

function bannedPart(file: string): string | undefined {
  const parts = file.replace(/\.ts$/, "").split("/");
  return parts.find((part) => BANNED_FOLDER_NAMES.includes(part));
}

function lineOf(code: string, pattern: RegExp): number | null {
  const at = code.search(pattern);
  return at === -1 ? null : code.slice(0, at).split("\n").length;
}

/** Type-only imports count: two files that need each other's types are one thought in two places. */
function cycles(files: readonly ScannedFile[]): string[] {
  const edges = new Map(
    files.map(({ file, scan }) => [
      file,
      // A lazy load is how a cycle of loading is broken, not of knowing: it counts too.
      [...new Set(scan.imports.map((imported) => target(file, imported)).filter((to) => to !== null))],
    ]),
  );
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const at = trail.indexOf(file);
    if (at !== -1) {
      const ring = trail.slice(at);
      found.set([...ring].sort().join(" "), `import cycle: ${[...ring, file].join(" → ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return [...found.values()];
}
