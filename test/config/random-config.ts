// Random configurations as people write them, in TOML and YAML, and random edits of them. Every comment carries a mark
// of its own (`F…` stands alone, `T:section.key…` belongs to that key), so that a lost one can be named.

import type { ConfigEdit } from "../../src/config/edit/edit-meaning.ts";
import type { ConfigValue } from "../../src/config/edit/edit-value.ts";
import { fc } from "../support/properties.ts";

type Scalar = string | number | boolean;
export type Section = Readonly<Record<string, Scalar>>;

/** A backend: keys, and tables of keys. */
export interface RandomBackend {
  readonly keys: Section;
  readonly tables: Readonly<Record<string, Section>>;
}

/** What a random text says. */
export interface RandomFile {
  readonly sections: Readonly<Record<string, Section>>;
  readonly backends: Readonly<Record<string, RandomBackend>>;
  readonly shares: readonly Section[];
}

export interface RandomText {
  readonly text: string;
  readonly file: RandomFile;
}

const SECTION_KEYS: Readonly<Record<string, readonly string[]>> = {
  global: ["shares_root", "check_interval_secs", "auto_failback", "lsof_recheck"],
  sync: ["enabled", "poll_interval", "debounce", "detection"],
  server: ["host", "port"],
};
const BACKEND_KEYS = ["command", "enabled", "group"];
const BACKEND_TABLES: Readonly<Record<string, readonly string[]>> = {
  env: ["FILES_TOKEN", "constructor", "B"],
  timeouts: ["init", "call"],
};
const BACKEND_NAMES = ["files", "toString", "b-2"];
const SHARE_KEYS = ["driver", "username", "x y", "fallback_host"];

const text = fc.oneof(
  fc.constantFrom(
    "~/Shares",
    "10.0.0.1",
    "nas:4450",
    "${PW}",
    "true",
    "1.5",
    "",
    " ",
    "null",
    "a: b",
    "- a",
    "ü🎬",
  ),
  fc.constantFrom(
    "it's",
    'say "x"',
    "back\\slash",
    "tab\there",
    "[x]",
    "{y}",
    "x, y",
    "*a",
    "&a",
    "@x",
    "%x",
    "a #b",
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 6 }).filter((value) => !value.includes("\0")),
);
const number = fc.oneof(fc.integer({ min: -5, max: 70_000 }), fc.constantFrom(0.5, 2.25, 1e21, 1e-7, 1e15));
const scalar: fc.Arbitrary<Scalar> = fc.oneof(text, number, fc.boolean());
// What a writer of ours puts there must be read as it is meant: texts without quotes' trouble.
const plainText = fc.constantFrom("~/Shares", "10.0.0.1", "nas:4450", "auto", "ü", "${PW}", "it is");
const written: fc.Arbitrary<Scalar> = fc.oneof(
  plainText,
  fc.integer({ min: 0, max: 999 }),
  fc.boolean(),
  fc.constant(0.5),
);

const NAMES = ["CORE", "Büro", "a.b", "My share"];

function tableOf(keys: readonly string[]): fc.Arbitrary<Section> {
  return fc
    .tuple(
      fc.shuffledSubarray([...keys]),
      fc.array(written, { minLength: keys.length, maxLength: keys.length }),
    )
    .map(([chosen, values]) => Object.fromEntries(chosen.map((key, index) => [key, values[index] ?? 0])));
}

const backends: fc.Arbitrary<Readonly<Record<string, RandomBackend>>> = fc
  .tuple(
    fc.shuffledSubarray([...BACKEND_NAMES]),
    fc.array(
      fc.record({
        keys: tableOf(BACKEND_KEYS),
        env: fc.option(tableOf(BACKEND_TABLES["env"] ?? []), { nil: null }),
        timeouts: fc.option(tableOf(BACKEND_TABLES["timeouts"] ?? []), { nil: null }),
      }),
      { minLength: BACKEND_NAMES.length, maxLength: BACKEND_NAMES.length },
    ),
  )
  .map(([names, all]) =>
    Object.fromEntries(
      names.map((name, index) => {
        const { keys = {}, env = null, timeouts = null } = all[index] ?? {};
        const tables = { ...(env === null ? {} : { env }), ...(timeouts === null ? {} : { timeouts }) };
        return [name, { keys: { command: "x", ...keys }, tables }];
      }),
    ),
  );

const files: fc.Arbitrary<RandomFile> = fc
  .record({
    backends: fc.oneof({ weight: 1, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: backends }),
    global: fc.option(tableOf(SECTION_KEYS["global"] ?? []), { nil: null }),
    sync: fc.option(tableOf(SECTION_KEYS["sync"] ?? []), { nil: null }),
    server: fc.option(tableOf(SECTION_KEYS["server"] ?? []), { nil: null }),
    names: fc.shuffledSubarray(NAMES),
    shares: fc.array(tableOf(SHARE_KEYS), { minLength: NAMES.length, maxLength: NAMES.length }),
  })
  .map(({ names, shares, backends: outcome, ...sections }) => ({
    backends: outcome,
    sections: Object.fromEntries(
      Object.entries(sections).filter(([, section]) => section !== null),
    ) as Record<string, Section>,
    shares: names.map((name, index) => ({ name, ...shares[index] })),
  }));

/** An endless supply of choices, the same for the same seed. */
interface Dice {
  pick<T>(...choices: readonly [T, ...T[]]): T;
  chance(of: number): boolean;
  mark(kind: string): string;
}

function createDice(seed: number): Dice {
  let state = seed >>> 0;
  let marks = 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return {
    pick: (...choices) => choices[Math.floor(next() * choices.length)] ?? choices[0],
    chance: (of) => next() < of,
    mark(kind) {
      marks += 1;
      return `${kind}${marks};`;
    },
  };
}

function tomlText(value: Scalar, dice: Dice): string {
  if (typeof value !== "string") return String(value);
  return dice.pick(`"${value}"`, `'${value}'`, `"""${value}"""`);
}

function tomlKeyText(key: string, dice: Dice): string {
  return /^\w+$/.test(key) && dice.chance(0.9) ? key : `"${key}"`;
}

function foreign(dice: Dice, indent = ""): string[] {
  if (dice.chance(0.6)) return [];
  return dice.pick([""], [`${indent}# ${dice.mark("F")}`], ["", `${indent}#${dice.mark("F")} [x] = {"`, ""]);
}

function ownComment(dice: Dice, owner: string): string {
  return dice.chance(0.3) ? `${dice.pick(" ", "  ", "\t")}# ${dice.mark(`T:${owner}:`)} "]` : "";
}

function tomlInline(section: Section, dice: Dice): string {
  const entries = Object.entries(section).map(
    ([key, value]) => `${tomlKeyText(key, dice)}${dice.pick("=", " = ")}${tomlText(value, dice)}`,
  );
  const comma = dice.chance(0.2) && entries.length > 0 ? "," : "";
  return dice.pick(`{${entries.join(",")}${comma}}`, `{ ${entries.join(", ")}${comma} }`);
}

function tomlBody(name: string, section: Section, dice: Dice, prefix: string): string[] {
  const indent = dice.pick("", "  ", "\t");
  return Object.entries(section).flatMap(([key, value]) => [
    ...foreign(dice, indent),
    `${indent}${prefix}${tomlKeyText(key, dice)}${dice.pick(" = ", "=", "   =  ")}${tomlText(value, dice)}${ownComment(dice, `${name}.${key}`)}`,
  ]);
}

function tomlBackendInline({ keys, tables }: RandomBackend, dice: Dice): string {
  const entries = [
    ...Object.entries(keys).map(([key, value]) => `${tomlKeyText(key, dice)} = ${tomlText(value, dice)}`),
    ...Object.entries(tables).map(([name, table]) => `${name} = ${tomlInline(table, dice)}`),
  ];
  return `{ ${entries.join(", ")} }`;
}

/** A table in a backend, in its block (`inner`) or as a block of its own (`after`). */
function tomlBackendTable(owner: string, name: string, table: Section, dice: Dice) {
  const style = dice.pick("header", "inline", "dotted");
  if (style === "inline")
    return {
      inner: [`${name} = ${tomlInline(table, dice)}${ownComment(dice, `${owner}.${name}`)}`],
      after: [],
    };
  if (style === "dotted" && Object.keys(table).length > 0)
    return { inner: tomlBody(`${owner}.${name}`, table, dice, `${name}.`), after: [] };
  const header = `[backends.${owner.replace("backend ", "")}.${name}]`;
  return { inner: [], after: [...foreign(dice), header, ...tomlBody(`${owner}.${name}`, table, dice, "")] };
}

function writeTomlBackends(backends: RandomFile["backends"], dice: Dice): { top: string[]; below: string[] } {
  const all = Object.entries(backends);
  if (all.length > 0 && dice.chance(0.15)) {
    const entries = all.map(([name, backend]) => `${name} = ${tomlBackendInline(backend, dice)}`);
    return dice.chance(0.5)
      ? { top: [`backends = { ${entries.join(", ")} } # ${dice.mark("F")}`], below: [] }
      : { top: [], below: ["[backends]", ...entries] };
  }
  const below: string[] = all.length > 0 && dice.chance(0.2) ? [`[backends] # ${dice.mark("F")}`] : [];
  for (const [name, { keys, tables }] of all) {
    const owner = `backend ${name}`;
    const parts = Object.entries(tables).map(([key, table]) => tomlBackendTable(owner, key, table, dice));
    const body = [...tomlBody(owner, keys, dice, ""), ...parts.flatMap(({ inner }) => inner)];
    const block = [...body, ...parts.flatMap(({ after }) => after)].map((line) =>
      // What stands inside a backend's block goes with it.
      line.replace(/F(\d+;)/, `T:${owner}.:$1`),
    );
    below.push(...foreign(dice), `[backends.${name}]`, ...block);
  }
  return { top: [], below };
}

function writeToml({ sections, backends, shares }: RandomFile, dice: Dice): string {
  const gateway = writeTomlBackends(backends, dice);
  const top: string[] = [...foreign(dice), ...gateway.top];
  const below: string[] = [];
  for (const [name, section] of Object.entries(sections)) {
    const style = dice.pick("header", "header", "inline", "dotted");
    if (style === "inline")
      top.push(`${name} = ${tomlInline(section, dice)}${ownComment(dice, name)}`, ...foreign(dice));
    else if (style === "dotted" && Object.keys(section).length > 0)
      top.push(...tomlBody(name, section, dice, `${name}.`));
    else
      below.push(
        ...foreign(dice),
        `[${name}]${dice.chance(0.3) ? ` # ${dice.mark("F")}` : ""}`,
        ...tomlBody(name, section, dice, ""),
      );
  }
  if (shares.length > 0 && dice.chance(0.3)) {
    const lines = shares.map((share) => tomlInline(share, dice));
    if (dice.chance(0.5)) top.push(`shares = [${lines.join(", ")}] # ${dice.mark("F")}`);
    else {
      const rows = lines.map((line, index) => {
        const name = shares[index]?.["name"];
        return `${dice.pick("", "  ")}${line}${index < lines.length - 1 || dice.chance(0.5) ? "," : ""}${ownComment(dice, `share ${name}`)}`;
      });
      top.push("shares = [", ...rows, "]");
    }
  } else {
    for (const share of shares) {
      const body = tomlBody(`share ${share["name"]}`, share, dice, "").map((line) =>
        // What stands inside a share's block goes with it.
        line.replace(/F(\d+;)/, `T:share ${share["name"]}.:$1`),
      );
      below.push(...foreign(dice), "[[shares]]", ...body);
      if (dice.chance(0.15)) below.push("[shares.extra]", "y = 1");
    }
  }
  if (dice.chance(0.5)) below.push(...gateway.below);
  else below.unshift(...gateway.below);
  if (dice.chance(0.3))
    below.push(...foreign(dice), "[[other]]", "a = 1", "[other.b]", "c = [1, [2, 3]]", "[[other]]");
  return lines([...top, ...below, ...foreign(dice)], dice);
}

function lines(all: readonly string[], dice: Dice): string {
  const eol = dice.pick("\n", "\n", "\r\n");
  return all.join(eol) + (dice.chance(0.8) ? eol : "");
}

function yamlText(value: Scalar, dice: Dice, inFlow: boolean): string {
  if (typeof value !== "string") return String(value);
  const plain = inFlow && /[{}]/.test(value) ? `"${value}"` : value;
  return dice.pick(plain, plain, `"${value}"`, `'${value}'`);
}

function yamlKeyText(key: string, dice: Dice): string {
  return dice.chance(0.9) ? key : dice.pick(`"${key}"`, `'${key}'`);
}

function yamlFlow(section: Section, dice: Dice): string {
  const entries = Object.entries(section).map(
    ([key, value]) => `${yamlKeyText(key, dice)}: ${yamlText(value, dice, true)}`,
  );
  return dice.pick(`{${entries.join(", ")}}`, `{ ${entries.join(" , ")} }`);
}

function yamlBody(owner: string, section: Section, dice: Dice, indent: string): string[] {
  return Object.entries(section).flatMap(([key, value]) => {
    const anchor = dice.chance(0.1) ? `&${dice.mark("anchor").replace(";", "")} ` : "";
    const comment = ownComment(dice, `${owner}.${key}`);
    const block = typeof value === "string" && value !== "" && dice.chance(0.1);
    const body = block
      ? [`|-${comment}`, `${indent}  ${value}`]
      : [`${yamlText(value, dice, false)}${comment}`];
    const [first = "", ...rest] = body;
    return [
      ...foreign(dice, indent),
      `${indent}${yamlKeyText(key, dice)}:${dice.pick(" ", "   ")}${anchor}${first}`,
      ...rest,
    ];
  });
}

function yamlBackendFlow({ keys, tables }: RandomBackend, dice: Dice): string {
  const entries = [
    ...Object.entries(keys).map(
      ([key, value]) => `${yamlKeyText(key, dice)}: ${yamlText(value, dice, true)}`,
    ),
    ...Object.entries(tables).map(([name, table]) => `${name}: ${yamlFlow(table, dice)}`),
  ];
  return `{${entries.join(", ")}}`;
}

function writeYamlBackends(backends: RandomFile["backends"], dice: Dice, step: string): string[] {
  const all = Object.entries(backends);
  if (all.length === 0) return [`backends:${dice.pick("", " {}")}`];
  if (dice.chance(0.15)) {
    const entries = all.map(([name, backend]) => `${name}: ${yamlBackendFlow(backend, dice)}`);
    return [`backends: {${entries.join(", ")}} # ${dice.mark("F")}`];
  }
  const out = [`backends:${dice.chance(0.3) ? ` # ${dice.mark("F")}` : ""}`];
  for (const [name, backend] of all) {
    const owner = `backend ${name}`;
    if (dice.chance(0.2)) {
      out.push(`${step}${name}: ${yamlBackendFlow(backend, dice)}${ownComment(dice, owner)}`);
      continue;
    }
    const body = yamlBody(owner, backend.keys, dice, step + step);
    for (const [key, table] of Object.entries(backend.tables)) {
      const isFlow = Object.keys(table).length === 0 || dice.chance(0.3);
      if (isFlow)
        body.push(`${step}${step}${key}: ${yamlFlow(table, dice)}${ownComment(dice, `${owner}.${key}`)}`);
      else
        body.push(`${step}${step}${key}:`, ...yamlBody(`${owner}.${key}`, table, dice, step + step + step));
    }
    out.push(`${step}${name}:`, ...body.map((line) => line.replace(/F(\d+;)/, `T:${owner}.:$1`)));
  }
  return out;
}

function writeYaml({ sections, backends, shares }: RandomFile, dice: Dice): string {
  const all: string[] = foreign(dice);
  const step = dice.pick("  ", "    ", "   ");
  const blocks: string[][] = Object.entries(sections).map(([name, section]) => {
    const comment = dice.chance(0.3) ? ` # ${dice.mark("F")}` : "";
    if (Object.keys(section).length === 0) return [`${name}:${dice.pick(" {}", "")}${comment}`];
    if (dice.chance(0.25)) return [`${name}: ${yamlFlow(section, dice)}${comment}`];
    return [`${name}:${comment}`, ...yamlBody(name, section, dice, step)];
  });
  if (Object.keys(backends).length > 0 || dice.chance(0.1))
    blocks.push(writeYamlBackends(backends, dice, step));
  if (shares.length > 0) {
    if (dice.chance(0.2))
      blocks.push([`shares: [${shares.map((share) => yamlFlow(share, dice)).join(", ")}]`]);
    else {
      const outer = dice.pick("", step);
      const items = shares.flatMap((share) => {
        const owner = `share ${share["name"]}`;
        if (dice.chance(0.2)) return [`${outer}- ${yamlFlow(share, dice)}${ownComment(dice, owner)}`];
        const gap = dice.pick(" ", "   ");
        const body = yamlBody(owner, share, dice, `${outer} ${gap}`).filter((line, index) => {
          return index > 0 || line.trim() !== "";
        });
        const start = body.findIndex((line) => line.trim() !== "" && !line.trim().startsWith("#"));
        const head = body.slice(0, start).map((line) => `${outer}${line.trim()}`);
        const [first = "", ...rest] = body.slice(start);
        const inner = rest.map((line) => line.replace(/F(\d+;)/, `T:${owner}.:$1`));
        return [...head, `${outer}-${gap}${first.trimStart()}`, ...inner];
      });
      blocks.push(["shares:", ...items]);
    }
  }
  for (const block of blocks) {
    all.push(...foreign(dice), ...block);
  }
  return lines([...all, ...foreign(dice)], dice);
}

export function randomTexts(format: "toml" | "yaml"): fc.Arbitrary<RandomText> {
  return fc.tuple(files, fc.integer(), fc.boolean()).map(([file, seed, hasMark]) => {
    const text = format === "toml" ? writeToml(file, createDice(seed)) : writeYaml(file, createDice(seed));
    return { text: `${hasMark && seed % 4 === 0 ? "\ufeff" : ""}${text}`, file };
  });
}

const backendNames = fc.constantFrom(...BACKEND_NAMES, "new");

const places: fc.Arbitrary<readonly string[]> = fc.oneof(
  fc.tuple(backendNames, fc.constantFrom(...BACKEND_KEYS)).map(([name, key]) => ["backends", name, key]),
  ...Object.entries(BACKEND_TABLES).map(([table, keys]) =>
    fc.tuple(backendNames, fc.constantFrom(...keys)).map(([name, key]) => ["backends", name, table, key]),
  ),
  ...Object.entries(SECTION_KEYS).map(([name, keys]) => fc.constantFrom(...keys.map((key) => [name, key]))),
  fc
    .tuple(fc.constantFrom(...NAMES), fc.constantFrom(...SHARE_KEYS))
    .map(([name, key]) => ["shares", name, key]),
);

const values: fc.Arbitrary<ConfigValue> = fc.oneof(
  { weight: 8, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
);

export const randomEdits: fc.Arbitrary<ConfigEdit> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("set" as const), keyPath: places, value: values }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("unset" as const), keyPath: places }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      list: fc.constant("shares" as const),
      entry: fc
        .dictionary(fc.constantFrom("driver", "x y", "username"), scalar)
        .map((rest) => ({ name: "NEW", ...rest })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("remove" as const),
      list: fc.constant("shares" as const),
      name: fc.constantFrom(...NAMES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("add-backend" as const),
      name: backendNames,
      backend: fc
        .dictionary(fc.constantFrom("command", "group", "x y"), scalar)
        .map((rest) => ({ command: "npx", args: ["-y", "a b"], ...rest, env: { A: "1" } })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("remove" as const),
      list: fc.constant("backends" as const),
      name: backendNames,
    }),
  },
);
