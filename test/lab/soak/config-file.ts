// The configuration of a soak: edited by hand in good and in bad ways, and by the command, and what it must hold meanwhile.
import { readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parse } from "smol-toml";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import type { TestHome } from "../../support/daemon.ts";
import { FILE_SERVER } from "../file-agent.ts";
import { pick } from "../random.ts";

/** What the configuration's author wants: everything that edits change. */
interface Wanted {
  readonly interval: number;
  readonly debounce: number;
  readonly detection: "mtime" | "hash" | "inotify";
  /** Numbers of further backends. */
  readonly more: readonly number[];
  /** Another environment is another process for the counting backend. */
  readonly countEnv: number;
  readonly comment: number;
}

const MOST_BACKENDS = 3;
const HALF_WRITTEN_MS = 150;

export type ConfigFile = ReturnType<typeof createConfigFile>;

export function createConfigFile(home: TestHome, base: string) {
  let wanted: Wanted = {
    interval: 0.5,
    debounce: 0.1,
    detection: "inotify",
    more: [],
    countEnv: 0,
    comment: 0,
  };
  const { configFile: file } = home;
  /** What was saved badly and nobody may touch; null: the file must be sound. */
  let bad: string | null = null;
  /** While an author's own editor has the file in hands. */
  let writing = 0;

  const text = (): string => textOf(base, wanted);
  const author = async (work: () => Promise<void>): Promise<void> => {
    writing++;
    try {
      await work();
    } finally {
      writing--;
    }
  };
  const replace = async (next: string): Promise<void> => {
    await writeFile(`${file}.by-hand`, next);
    await rename(`${file}.by-hand`, file);
  };
  const ways: readonly (readonly [string, (next: string) => Promise<void>])[] = [
    ["", replace],
    ["", replace],
    [" in place", (next) => writeFile(file, next)],
    [
      " in two halves",
      async (next) => {
        await writeFile(file, brokenOff(next));
        await pause(HALF_WRITTEN_MS);
        await writeFile(file, next);
      },
    ],
    [
      " after it was deleted",
      async (next) => {
        await rm(file);
        await pause(HALF_WRITTEN_MS);
        await replace(next);
      },
    ],
    [
      " with an old time",
      async (next) => {
        await writeFile(`${file}.by-hand`, next);
        await utimes(`${file}.by-hand`, 1_000_000_000, 1_000_000_000);
        await rename(`${file}.by-hand`, file);
      },
    ],
  ];
  return {
    /** Names of the backends that the wanted configuration has. */
    get backends() {
      return ["count", "files", ...wanted.more.map(moreName)];
    },
    /** Changes what is wanted and saves it; the name says how. */
    async editWell(random: () => number) {
      const [what, change] = pick(random, changesOf(wanted, random));
      wanted = { ...wanted, ...change };
      const [how, save] = pick(random, ways);
      await author(() => save(text()));
      bad = null;
      return `${what}${how}`;
    },
    /** Saves what cannot be accepted. */
    async editBadly(random: () => number) {
      const [what, spoil] = pick(random, SPOILS);
      const next = spoil(text());
      await author(() => replace(next));
      bad = next;
      return what;
    },
    /** Saves what is wanted, whatever is there; gives the text. */
    async mend() {
      await author(() => replace(text()));
      bad = null;
      return text();
    },
    /** null, or why the file is not as it must be now. */
    async complaint() {
      const before = bad;
      if (writing > 0) return null;
      let found: string;
      try {
        found = await readFile(file, "utf8");
      } catch (error) {
        return writing > 0 ? null : String(error);
      }
      if (writing > 0 || before !== bad) return null;
      if (bad !== null) return found === bad ? null : "an edit that was rejected was changed by someone else";
      try {
        const { shares } = parse(found);
        return Array.isArray(shares) && shares.length > 0 ? null : "config.toml has lost its shares";
      } catch (error) {
        return `config.toml: ${error instanceof Error ? error.message : error}`;
      }
    },
  };
}

type Change = readonly [what: string, change: Partial<Wanted>];

function changesOf({ more, countEnv, comment }: Wanted, random: () => number): readonly Change[] {
  const absent = Array.from({ length: MOST_BACKENDS }, (_, index) => index).filter(
    (each) => !more.includes(each),
  );
  return [
    ["an interval", { interval: pick(random, [0.4, 0.5, 0.7]) }],
    ["a debounce", { debounce: pick(random, [0.1, 0.3]) }],
    ["a detection", { detection: pick(random, ["mtime", "hash", "inotify"] as const) }],
    ["a comment", { comment: comment + 1 }],
    ["another environment of a backend", { countEnv: countEnv + 1 }],
    ...(absent.length > 0 ? [["a backend more", { more: [...more, pick(random, absent)] }] as Change] : []),
    ...(more.length > 0 ? [["a backend less", { more: more.slice(1) }] as Change] : []),
  ];
}

const SPOILS: readonly (readonly [string, (text: string) => string])[] = [
  ["a part of it", brokenOff],
  ["a line without a quote", (text) => text.replace('name = "CORE"', 'name = "CORE')],
  ["a key that is not there", (text) => `${text}\n[global.nothing]\nx = 1\n`],
  [
    "a value of another type",
    // One that no command sets: that would mend it.
    (text) => text.replace(/^mount_hang_secs = .*$/m, 'mount_hang_secs = "soon"'),
  ],
  ["a share twice", (text) => text.replace('name = "MEDIA"', 'name = "CORE"')],
  ["nothing but zeros", () => "\0".repeat(400)],
];

/** Ends inside a text, so that it is never another sound configuration. */
function brokenOff(text: string): string {
  return text.slice(0, text.indexOf('share_name = "') + 'share_name = "'.length);
}

function textOf(base: string, { interval, debounce, detection, more, countEnv, comment }: Wanted): string {
  return [
    `# Edited by hand ${comment} times.`,
    base
      .replace(/^check_interval_secs = .*$/m, `check_interval_secs = ${interval}`)
      .replace(/^COUNT_ENV = .*$/m, `COUNT_ENV = "${countEnv}"`),
    "[sync]",
    `detection = "${detection}"`,
    "poll_interval = 0.5",
    `debounce = ${debounce}`,
    ...more.flatMap((number) => [
      `[backends.${moreName(number)}]`,
      `command = ${JSON.stringify(process.execPath)}`,
      `args = [${JSON.stringify(LIGHT_SERVER)}]`,
      `env = { LIGHT_PREFIX = "${moreName(number)}_" }`,
    ]),
    "",
  ].join("\n");
}

function moreName(number: number): string {
  return `more${number}`;
}

/** The sections of the gateway that every configuration of a soak has. */
export function gatewaySections({
  folder,
  sharesRoot,
  port,
}: {
  readonly folder: string;
  readonly sharesRoot: string;
  readonly port: number;
}): string {
  const node = `command = ${JSON.stringify(process.execPath)}`;
  return [
    "[server]",
    `port = ${port}`,
    "[incoming_auth]",
    'type = "local"',
    "[[incoming_auth.users]]",
    'name = "agent"',
    'token = "${SOAK_TOKEN}"',
    'roles = ["admin"]',
    "[audit]",
    `path = ${JSON.stringify(path.join(folder, "audit.jsonl"))}`,
    "arguments = true",
    "[backends.count]",
    node,
    `args = [${JSON.stringify(LIGHT_SERVER)}]`,
    "timeouts = { call = 10 }",
    "[backends.count.env]",
    'SOAK_SECRET = "${SOAK_TOKEN}"',
    'COUNT_ENV = "0"',
    `LIGHT_JOURNAL = ${JSON.stringify(executedFile(folder))}`,
    "[backends.files]",
    node,
    `args = [${JSON.stringify(FILE_SERVER)}, ${JSON.stringify(path.join(sharesRoot, "CORE"))}]`,
    'requires = ["CORE"]',
    "timeouts = { call = 10 }",
  ].join("\n");
}

export function executedFile(folder: string): string {
  return path.join(folder, "executed");
}
