import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import type { ConfigDiff } from "../../../src/config/diff.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";
import type { JsonSchema } from "../../../src/config/schema/value-types.ts";
import { describeDiff, mistakesText, reportOf } from "../../../src/daemon/reload/reload-report.ts";
import {
  applyChange,
  type ConfigApplier,
  type PreparedChange,
} from "../../../src/daemon/reload/reload-transaction.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { changeOf, diffOf, smbShare } from "../samples.ts";
import { NEVER, scene } from "./config-scene.ts";

/** A value of each text and list, in the sections whose changes are reported by key. */
const TEXTS: Readonly<Record<string, string>> = {
  "global.shares_root": '"~/Elsewhere"',
  "global.mount_root": '"~/mounts"',
  "server.host": '"127.0.0.7"',
  "server.public_url": '"https://mcp.example.com"',
  "server.allowed_origins": '["https://app.example"]',
  "server.session_key": '["secret:other"]',
  "fleet.name": '"desktop"',
  "fleet.servers": '["tls://other.example:4222"]',
  "fleet.credentials": '"secret:other"',
  "fleet.export": '["*"]',
  "fleet.import": '["*"]',
  "fleet.tls_ca": '"/etc/nats/ca.pem"',
};

const TOLD_BY_KEY = ["global", "sync", "notify", "server", "fleet"];

/** What a section has before the change, where it cannot be empty or left out. */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  server: [],
  fleet: ['name = "laptop"', 'servers = ["tls://nas.example:4222"]', 'credentials = "secret:fleet"'],
};

/** A value other than the default, as TOML. */
function otherValue(
  name: string,
  { type, enum: choices, default: usual, maximum }: JsonSchema,
): string | undefined {
  if (Array.isArray(choices)) return JSON.stringify(choices.find((choice) => choice !== usual));
  return type === "boolean" ? String(usual === false) : (TEXTS[name] ?? maximum?.toString());
}

const keys = SECTIONS.filter(({ name }) => TOLD_BY_KEY.includes(name)).flatMap(
  ({ name, keys: own, key: keyOf }) =>
    own.map((key) => ({ section: name, key, value: otherValue(`${name}.${key}`, keyOf(key).json()) })),
);

test("every text of the file's settings has a value here", () => {
  const named = keys.map(({ section, key }) => `${section}.${key}`);
  assert.deepEqual(
    Object.keys(TEXTS).filter((name) => !named.includes(name)),
    [],
  );
  assert.deepEqual(
    keys.filter(({ value }) => value === undefined),
    [],
  );
});

for (const { section, key, value } of keys) {
  const name = `${section}.${key}`;
  test(`B8 a change of ${name} is reported by the name it has in the file`, async () => {
    const lines = BEFORE[section];
    const before = lines === undefined ? "" : [`[${section}]`, ...lines, ""].join("\n");
    const kept = (lines ?? []).filter((line) => !line.startsWith(`${key} =`));
    const after = [`[${section}]`, ...kept, `${key} = ${value}`, ""].join("\n");
    const { settings, summary, shares } = describeDiff(await diffOf(before, after));
    assert.deepEqual(settings, [name]);
    assert.equal(summary, "settings reloaded");
    assert.deepEqual(shares, { added: [], removed: [], changed: [] });
  });
}

function backend(name: string): string {
  return `[backends.${name}]\ncommand = "${name}"\n`;
}

const CASES: readonly [before: string, after: string, summary: string][] = [
  ["", "", "no changes"],
  ["", smbShare("CORE"), "1 share reloaded"],
  [smbShare("CORE"), "", "1 share reloaded"],
  [smbShare("CORE"), smbShare("MEDIA"), "2 shares reloaded"],
  [smbShare("CORE"), smbShare("CORE", ['username = "bo"', 'password = "${P}"']), "1 share reloaded"],
  [
    `[sync]\ndebounce = 2\n${smbShare("A")}${smbShare("B")}`,
    `[sync]\ndebounce = 3\n${smbShare("B", ['share_name = "b2"'])}${smbShare("C")}`,
    "3 shares reloaded",
  ],
  ["", "[server]\n", "settings reloaded"],
  ["", backend("files"), "1 server reloaded"],
  [backend("files"), `${smbShare("A")}${smbShare("B")}`, "1 server, 2 shares reloaded"],
  [backend("a") + backend("b"), backend("b") + backend("c"), "2 servers reloaded"],
  [backend("a") + backend("b"), backend("b") + backend("a"), "settings reloaded"],
  ["", "[audit]\n", "settings reloaded"],
  ["", "[audit]\nenabled = false\n", "no changes"],
  [`${smbShare("A")}${smbShare("B")}`, `${smbShare("B")}${smbShare("A")}`, "no changes"],
];

for (const [before, after, summary] of CASES) {
  test(`B8 details count the changed items: ${JSON.stringify([before, after])} is "${summary}"`, async () => {
    assert.equal(describeDiff(await diffOf(before, after)).summary, summary);
  });
}

test("B6 shares are reported by name: added, removed, changed", async () => {
  const before = `${smbShare("A")}${smbShare("B")}${smbShare("C")}`;
  const after = `${smbShare("C", ['share_name = "c2"'])}${smbShare("D")}${smbShare("A")}`;
  assert.deepEqual(describeDiff(await diffOf(before, after)).shares, {
    added: ["D"],
    removed: ["B"],
    changed: ["C"],
  });
});

test("B6 backends are reported by name, their order as a setting, and the gateway's sections by theirs", async () => {
  const before = `${backend("a")}${backend("b")}${backend("c")}[audit]\n`;
  const after = `${backend("b")}group = "g"\n${backend("a")}${backend("d")}[authorization]\n`;
  const { backends, settings, middleware, summary } = describeDiff(await diffOf(before, after));
  assert.deepEqual(backends, { added: ["d"], removed: ["c"], changed: ["b"] });
  assert.deepEqual(settings, ["backends"]);
  assert.deepEqual(middleware, ["authorization", "audit"]);
  assert.equal(summary, "3 servers reloaded");
});

test("B6 aliases are reported among the settings, and count as one: nothing is mounted for them", async () => {
  const alias = (name: string, subpath: string): string =>
    `[[aliases]]\nname = "${name}"\nshare = "CORE"\ntarget_subpath = "${subpath}"\n`;
  const share = smbShare("CORE");
  const diff = await diffOf(
    `${share}${alias("gone", "a")}${alias("docs", "a")}`,
    `${share}${alias("docs", "b")}${alias("new", "a")}`,
  );
  const { settings, shares, summary } = describeDiff(diff);
  assert.deepEqual(settings, ["aliases.new", "aliases.gone", "aliases.docs"]);
  assert.deepEqual(shares, { added: [], removed: [], changed: [] });
  assert.equal(summary, "settings reloaded");
});

test("a report shares no list with the diff it is made from", async () => {
  const diff: ConfigDiff = await diffOf("", smbShare("CORE"));
  describeDiff(diff).shares.added.push("MORE");
  assert.deepEqual(diff.shares.added, ["CORE"]);
});

test("B6 the first error is reported whole, with the number of further ones", () => {
  const mistake = {
    file: "/home/ada/config.toml",
    line: 3,
    column: 7,
    path: "global.share_root",
    found: "an unknown key",
    expected: "a key of `[global]`",
    hint: "did you mean `shares_root`?",
  };
  const whole =
    "/home/ada/config.toml:3:7: global.share_root: found an unknown key, expected a key of `[global]`; did you mean `shares_root`?";
  assert.equal(mistakesText([mistake]), whole);
  assert.equal(mistakesText([mistake, mistake, mistake]), `${whole} (and 2 more)`);
  assert.equal(
    mistakesText([{ ...mistake, path: "", hint: null }]),
    "/home/ada/config.toml:3:7: found an unknown key, expected a key of `[global]`",
  );
  assert.equal(mistakesText([]), "the configuration is rejected");
});

test("B6 a section that refuses a configuration, without a position in the file, is reported as a failure", () => {
  const rejected = { kind: "rejected", reason: "gateway: no such group", mistakes: [] } as const;
  const { failure, summary } = reportOf(rejected, { generation: 1, sha256: "" });
  assert.deepEqual([failure, summary], ["gateway: no such group", "gateway: no such group"]);
  const place = { file: "config.toml", line: 1, column: 1, path: "x" };
  const mistakes = [{ ...place, found: "1", expected: "2", hint: null }];
  const placed = reportOf({ ...rejected, mistakes }, { generation: 1, sha256: "" });
  assert.deepEqual([placed.failure, placed.errors], [null, mistakes]);
});

test("B6 the effects of a dry run are not reported as done", () => {
  const would = { kind: "applied", changed: true, details: "1 share reloaded", diff: null } as const;
  const told = (dryRun: boolean) => reportOf(would as never, { generation: 1, sha256: "" }, dryRun);
  assert.deepEqual([told(true).reloaded, told(false).reloaded], [false, true]);
  assert.equal(told(true).summary, "1 share reloaded");
});

// E2 over HTTP: what whoever is signed in there may change of the configuration, without leave for commands.
const VISITOR = { isOwner: false, runsCommands: false, isOwnersTab: false };
const TRUSTED = { isOwner: false, runsCommands: true, isOwnersTab: false };
const LOCAL = `[sync]
enabled = false

[server]
port = 9000

[backends.files]
command = "files"
args = ["/srv"]
cwd = "/srv"
env = { MODE = "read" }
`;

test("E2 over HTTP a broken file cannot be corrected with anything that a person approves", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  await writeFile(path, "[sync");
  const { sha256 } = await service.control.config(null, NEVER);
  const whole = (text: string) => ({ text, expected_sha256: sha256, source: "web" });
  await assert.rejects(service.control.editText(whole(LOCAL), NEVER, VISITOR), { code: "commands_refused" });
  assert.equal(await readFile(path, "utf8"), "[sync");
});

test("E2 over HTTP a command is refused before anything is written, and changed with the right to commands", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  const edit = { edits: [{ key: "backends.files.command", value: '"other"' }], source: "web" };
  await assert.rejects(service.control.edit(edit, NEVER, VISITOR), { code: "commands_refused" });
  assert.equal(await readFile(path, "utf8"), LOCAL);
  assert.equal((await service.control.edit(edit, NEVER, TRUSTED)).changed, true);
  assert.match(await readFile(path, "utf8"), /command = "other"/);
  await assert.rejects(service.control.rollback({ n: 1 }, NEVER, VISITOR), { code: "commands_refused" });
  assert.match(await readFile(path, "utf8"), /command = "other"/);
});

test("E2 over HTTP a new text obeys the same rules, and everything else is changed", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  const { sha256 } = await service.control.config(null, NEVER);
  const whole = (text: string) => ({ text, expected_sha256: sha256, source: "web" });
  const command = whole(LOCAL.replace('"files"\n', '"sh"\n'));
  await assert.rejects(service.control.editText(command, NEVER, VISITOR), { code: "commands_refused" });
  const port = whole(LOCAL.replace("9000", "9001"));
  await assert.rejects(service.control.editText(port, NEVER, VISITOR), { code: "commands_refused" });
  const drain = LOCAL.replace("9000", "9000\ndrain_timeout = 9");
  assert.equal((await service.control.editText(whole(drain), NEVER, VISITOR)).changed, true);
  assert.equal(await readFile(path, "utf8"), drain);
});

const change = await changeOf("", "[global]\nauto_failback = true\n");

type Step = "prepare" | keyof PreparedChange;

/** A section that notes what is done with it, and fails where it is told to. */
function section(name: string, notes: string[], fails: Partial<Record<Step, Error>> = {}): ConfigApplier {
  const note = (what: Step): void => {
    notes.push(`${what} ${name}`);
    const error = fails[what];
    if (error !== undefined) throw error;
  };
  return {
    name,
    async prepare() {
      note("prepare");
      return {
        commit: () => note("commit"),
        retire: async () => note("retire"),
        rollback: async () => note("rollback"),
      };
    },
  };
}

interface Story {
  readonly title: string;
  /** Of the sections shares, sync and gateway. */
  readonly fails: readonly Partial<Record<Step, Error>>[];
  readonly notes: readonly string[];
  /** Absent: it resolves. */
  readonly rejects?: object;
  /** Level, message, section and reason of what is logged. */
  readonly logs?: readonly (readonly [string, string, string, string])[];
}

const NAMES = ["shares", "sync", "gateway"];
const each = (what: Step, names: readonly string[] = NAMES): string[] =>
  names.map((name) => `${what} ${name}`);
const DONE = [...each("prepare"), ...each("commit"), ...each("retire")];
const TAKEN = new MountaineerError("path_taken", "the port is taken", { hint: "choose another" });

const STORIES: readonly Story[] = [
  {
    title: "B6 sections prepare in order, then all commit, then the replaced parts retire",
    fails: [],
    notes: DONE,
  },
  {
    title:
      "B6 a section that cannot prepare rolls back those before it, the last one first, and nothing is committed",
    fails: [{}, {}, { prepare: TAKEN }],
    notes: [...each("prepare"), ...each("rollback", ["sync", "shares"])],
    rejects: {
      code: "path_taken",
      message: "gateway: the port is taken",
      hint: "choose another",
      retry: "later",
      cause: TAKEN,
    },
  },
  {
    title: "B6 sections after one that cannot prepare are not asked; a foreign error is reported as one",
    fails: [{ prepare: new TypeError("undefined is not a port") }],
    notes: ["prepare shares"],
    rejects: { code: "internal", message: "shares: undefined is not a port" },
  },
  {
    title: "a rollback that fails is logged, and the others are rolled back all the same",
    fails: [{}, { rollback: new Error("stuck") }, { prepare: new Error("no") }],
    notes: [...each("prepare"), ...each("rollback", ["sync", "shares"])],
    rejects: { message: "gateway: no" },
    logs: [["warn", "a reload was not rolled back cleanly", "sync", "stuck"]],
  },
  {
    title: "what fails to retire is logged and holds back nothing",
    fails: [{ retire: new Error("stuck") }],
    notes: DONE,
    logs: [["warn", "a section that a reload replaced did not end cleanly", "shares", "stuck"]],
  },
  {
    title:
      "a commit that fails against its contract is an error in the log, and the others commit: there is no way back",
    fails: [{ commit: new Error("a mistake") }],
    notes: DONE,
    logs: [["error", "a section did not commit cleanly", "shares", "a mistake"]],
  },
];

for (const { title, fails, notes: expected, rejects, logs = [] } of STORIES)
  test(title, async () => {
    const notes: string[] = [];
    const logger = createRecordingLogger();
    const appliers = NAMES.map((name, index) => section(name, notes, fails[index]));
    const applied = applyChange(appliers, change, logger, NEVER);
    if (rejects === undefined) await applied;
    else await assert.rejects(applied, rejects);
    await eventually(() => logger.lines.length === logs.length);
    assert.deepEqual(notes, expected);
    assertEach(
      logger.lines,
      ({ level, message, fields }) => [level, message, fields["section"], fields["reason"]],
      logs,
    );
  });

test("a retirement that throws at once is also logged", async () => {
  const logger = createRecordingLogger();
  const retire = (): never => {
    throw new Error("gone before");
  };
  const atOnce: ConfigApplier = { name: "at-once", prepare: async () => ({ commit: () => {}, retire }) };
  await applyChange([atOnce], change, logger, NEVER);
  await eventually(() => logger.lines[0]?.fields["reason"] === "gone before");
});

test("a retirement is not waited for", async () => {
  let retired = false;
  const end = Promise.withResolvers<void>();
  const slow: ConfigApplier = {
    name: "slow",
    prepare: async () => ({
      commit: () => {},
      async retire() {
        await end.promise;
        retired = true;
      },
    }),
  };
  await applyChange([slow], change, createRecordingLogger(), NEVER);
  assert.equal(retired, false);
  end.resolve();
  await eventually(() => retired);
});

test("each section gets the change and the signal unchanged", async () => {
  const given: unknown[] = [];
  const applier: ConfigApplier = {
    name: "noting",
    async prepare(...what) {
      given.push(...what);
      return { commit: () => {} };
    },
  };
  const { signal } = new AbortController();
  await applyChange([applier], change, createRecordingLogger(), signal);
  assert.deepEqual(given, [change, signal]);
});
