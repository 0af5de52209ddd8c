// Finds where a tree of sources breaks the project's rules. Pure: a tree is a map of path → source.
import path from "node:path";
import { type Import, type Scan, scanSource } from "../../scripts/source-scan.ts";
import {
  BANNED_FOLDER_NAMES,
  FOLDERS,
  FORBIDDEN,
  LAZY_FOLDERS,
  LIBRARIES,
  PLATFORM_READERS,
  ROOM_OF_COMMANDS,
} from "./folder-rules.ts";

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
  forbiddenArrows,
  libraries,
  pureDecisions,
  separateRules,
  platform,
  noDefaultExport,
  noConsole,
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
    ...cycles(knownBy(files, (file) => file)),
    ...cycles(roomsKnown(files)),
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
function roomOf(file: string): string {
  const room = path.posix.dirname(file).slice("src/".length);
  return room.startsWith(`${ROOM_OF_COMMANDS}/`) ? ROOM_OF_COMMANDS : room;
}

function forbiddenArrows({ file, scan }: ScannedFile): string[] {
  // A folder's own name is the files that lie directly in it; a sub-folder's is all that lies below it.
  const isIn = (place: string, room: string): boolean =>
    room === place || (place.includes("/") && room.startsWith(`${place}/`));
  return FORBIDDEN.filter(({ from }) => isIn(from, roomOf(file))).flatMap(({ from, to, because }) =>
    scan.imports.flatMap((imported) => {
      const other = target(file, imported);
      const banned = other === null ? undefined : to.find((place) => isIn(place, roomOf(other)));
      return banned === undefined
        ? []
        : [`${file}:${imported.line}: ${from} imports ${banned} (${other}), and may not, because ${because}`];
    }),
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
  if (!/\/decide[^/]*$|^src\/shares\/policy\//.test(file)) return [];
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

function separateRules({ file, scan }: ScannedFile): string[] {
  const isRule = (other: string): boolean => /^src\/shares\/policy\/decide-(?!input\.)/.test(other);
  if (!isRule(file)) return [];
  return scan.imports.flatMap((imported) => {
    const other = target(file, imported);
    return other === null || !isRule(other)
      ? []
      : [
          `${file}:${imported.line}: a rule imports a rule (${other}); a fact that both need has its own file`,
        ];
  });
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

function folderNames({ file }: ScannedFile): string[] {
  const parts = file.replace(/\.ts$/, "").split("/");
  const banned = parts.find((part) => BANNED_FOLDER_NAMES.includes(part));
  return banned === undefined ? [] : [`${file}: "${banned}" names no fact and no job`];
}

function lineOf(code: string, pattern: RegExp): number | null {
  const at = code.search(pattern);
  return at === -1 ? null : code.slice(0, at).split("\n").length;
}

type Arrows = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Type-only imports count: two files that need each other's types are one thought in two places. So do lazy loads: they
 * break a cycle of loading, not of knowing.
 */
function knownBy(files: readonly ScannedFile[], nameOf: (file: string) => string): Arrows {
  const arrows = new Map<string, Set<string>>();
  for (const { file, scan } of files) {
    const known = arrows.get(nameOf(file)) ?? new Set();
    arrows.set(nameOf(file), known);
    for (const imported of scan.imports) {
      const to = target(file, imported);
      if (to !== null) known.add(nameOf(to));
    }
  }
  return arrows;
}

/** Between folders the table of folders says who knows whom; files of one sub-folder may know each other. */
function roomsKnown(files: readonly ScannedFile[]): Arrows {
  return new Map(
    [...knownBy(files, roomOf)].map(([room, known]) => [
      room,
      new Set([...known].filter((other) => other !== room && other.split("/")[0] === room.split("/")[0])),
    ]),
  );
}

function cycles(arrows: Arrows): string[] {
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (one: string, trail: readonly string[]): void => {
    const at = trail.indexOf(one);
    if (at !== -1) {
      const ring = trail.slice(at);
      found.set([...ring].sort().join(" "), `import cycle: ${[...ring, one].join(" → ")}`);
      return;
    }
    if (done.has(one)) return;
    for (const next of arrows.get(one) ?? []) visit(next, [...trail, one]);
    done.add(one);
  };
  for (const one of arrows.keys()) visit(one, []);
  return [...found.values()];
}
