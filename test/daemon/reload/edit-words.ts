// The words of stories about edits that wait for a person: who edits, through the service that reads the file, what runs then,
// what waits, and what the question shows. Texts are put together from those that have names.
import assert from "node:assert/strict";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import type { BackendConfig, MountaineerConfig } from "../../../src/config/snapshot.ts";
import type { SecretText } from "../../../src/config/values/secret-text.ts";
import { eventually } from "../../support/eventually.ts";
import type { Act, Fact, Words } from "../../support/stories.ts";
import { NEVER, type Scene, sceneHome } from "./config-scene.ts";

const VISITOR = { isOwner: false, runsCommands: false, isOwnersTab: false };
const CORE = "[[shares]]⏎name = 'CORE'⏎thunderbolt_host = 'a'⏎fallback_host = 'b'";

/** `files` reaches the home, so that what decides what runs waits. */
const TEXTS: Readonly<Record<string, string>> = {
  quiet: "[sync]⏎enabled = false",
  watched: "[sync]⏎poll_interval = 0.05⏎debounce = 0.05",
  files: "[backends.files]⏎command = 'serve'⏎args = ['/']",
  evil: "[backends.files]⏎command = 'evil'⏎args = ['/']",
  two: "[backends.two]⏎command = 'two'⏎cwd = '/srv'",
  web: "[backends.web]⏎url = 'https://one.example/mcp'⏎[backends.web.headers]⏎Authorization = 'Bearer ${secret:web}'",
  core: CORE,
  calm: "[backends.calm]⏎command = 'calm'⏎cwd = '/srv'",
  other: "[backends.other]⏎command = 'other'⏎cwd = '/srv'",
  off: "[backends.two]⏎command = 'two'⏎cwd = '/srv'⏎enabled = false",
  many: "[[backends.many.routes]]⏎command = 'one'⏎[[backends.many.routes]]⏎url = 'https://two.example/mcp'",
  few: "[groups.few]⏎backends = ['files']",
  docs: "[[aliases]]⏎name = 'docs'⏎share = 'CORE'⏎target_subpath = 'docs'",
  shared: `${CORE}⏎share_name = 'one'⏎[[shares]]⏎name = 'MORE'⏎thunderbolt_host = 'c'⏎fallback_host = 'd'⏎share_name = 'two'`,
  "sign-in": "[incoming_auth]⏎type = 'local'⏎token = '${T}'",
  rules:
    "[authorization]⏎default_effect = 'deny'⏎[[authorization.policies]]⏎effect = 'allow'⏎roles = ['local']⏎resources = ['tool:read']",
  fleet: `[fleet]⏎name = 'laptop'⏎servers = ['nats://127.0.0.1']⏎credentials = 'secret:fleet'`,
  all: "[trust]⏎approve = 'all'",
  commands: "[trust]⏎approve = 'commands'",
  none: "[trust]⏎approve = 'none'",
};

/** `name`, `name{this→that & this→that}` and `"text"`, one after the other. */
function textFrom(words = ""): string {
  const parts = words.match(/"[^"]*"|[\w-]+(?:\{[^}]*\})?/g) ?? [];
  const texts = parts.map((part) => {
    if (part.startsWith('"')) return part.slice(1, -1);
    const [name = "", changes = ""] = part.split(/[{}]/);
    let text = TEXTS[name] ?? assert.fail(`nobody knows the text "${name}"`);
    for (const [from = "", to = ""] of changes.split(" & ").map((each) => each.split("→"))) {
      assert.ok(text.includes(from), `${from} is not in ${text}`);
      text = text.replace(from, to);
    }
    return text;
  });
  return texts.map((text) => `${text}⏎`.replaceAll("⏎", "\n")).join("");
}

/** Nothing is read before a sentence says so. */
function unwatched(words = ""): string {
  const text = textFrom(words);
  return /\[sync\]|sync:/.test(text) ? text : textFrom("quiet") + text;
}

interface Home {
  readonly made: Awaited<ReturnType<typeof sceneHome>>;
  readonly path: string;
  daemon: Scene;
}

/** A home before it has a file. */
interface World {
  readonly t: TestContext;
  readonly file: string;
  home: Home | null;
}

const homeOf = ({ home }: World): Home => home ?? assert.fail("it has no file yet");
const serviceOf = (world: World): Scene["service"] => homeOf(world).daemon.service;
const sealedIn = (path: string): string => join(dirname(path), "approvals.sealed");

async function reload(world: World): Promise<readonly unknown[]> {
  const { failure, errors } = await serviceOf(world).control.reload({}, NEVER);
  return failure === null ? errors : [failure];
}

async function restarted(world: World, meanwhile: (path: string) => Promise<void>): Promise<void> {
  const home = homeOf(world);
  await home.daemon.stop();
  await meanwhile(home.path);
  home.daemon = await home.made.start({ approvals: true });
}

/** `KEY = VALUE & KEY unset`. */
function edit(world: World, words = "", rights = OWNER_RIGHTS): Promise<unknown> {
  const edits = words.split(" & ").map((each) => {
    const [key = "", value] = each.replace(/ unset$/, "").split(" = ");
    return { key, value: value ?? null };
  });
  return Promise.resolve(serviceOf(world).control.edit({ edits, source: "test" }, NEVER, rights));
}

const acts: readonly Act<World>[] = [
  [
    /^with (.*)$/,
    async (world, words) => {
      const made = await sceneHome(world.t, unwatched(words), world.file);
      world.home = { made, path: made.path, daemon: await made.start({ approvals: true }) };
    },
  ],
  // Something else than Mountaineer writes the file, and it is read.
  [
    /^(saved|refused|moved there) (.*)$/,
    async (world, how, words) => {
      const { path } = homeOf(world);
      const to = how === "moved there" ? `${path}.new` : path;
      await writeFile(to, unwatched(words));
      if (to !== path) await rename(to, path);
      let problems = await reload(world);
      // Nothing watches the folder, so what loosens waits for a person's second reload.
      if (how === "moved there" && problems.length > 0) problems = await reload(world);
      assert.equal(problems.length > 0, how === "refused");
    },
  ],
  // Written in place while it is watched: taken for half a file, or for one that loosens.
  [
    /^cut (?:all but (\d+) of )?(.*)$/,
    async (world, last = "0", words) => {
      const text = textFrom(words);
      await writeFile(homeOf(world).path, text.slice(0, text.length - Number(last)));
      await eventually(() => serviceOf(world).control.sync().last_error !== null);
    },
  ],
  // Written, and read by nobody yet.
  [/^unread (.*)$/, (world, words) => writeFile(homeOf(world).path, unwatched(words))],
  // A person's command, panel or menu.
  [/^edited (.*)$/, (world, words) => edit(world, words)],
  [
    /^removed (.*)$/,
    (world, name = "") =>
      serviceOf(world).control.edit(
        { edits: [{ remove: "backends", name }], source: "test" },
        NEVER,
        OWNER_RIGHTS,
      ),
  ],
  [/^a visitor sets (.*)$/, (world, words) => edit(world, words, VISITOR)],
  [
    /^a visitor may not set (.*)$/,
    (world, words) => assert.rejects(edit(world, words, VISITOR), { code: "commands_refused" }, words),
  ],
  [
    /^typed (.*)$/,
    async (world, words) => {
      const { control } = serviceOf(world);
      const { sha256 } = await control.config(null, NEVER);
      const edited = { text: unwatched(words), expected_sha256: sha256, source: "test" };
      return control.editText(edited, NEVER, OWNER_RIGHTS);
    },
  ],
  [
    /^approved (.*)$/,
    async (world, words = "") => {
      const { control } = serviceOf(world);
      const ids = words.split(" ");
      const entries = control.approvals().waiting.filter(({ id }) => ids.includes(id));
      assert.equal(entries.length, ids.length, `${ids} wait`);
      return control.approve({ entries: entries.map(({ id, digest }) => ({ id, digest })) });
    },
  ],
  [/^rolled back$/, (world) => serviceOf(world).control.rollback({ n: 1 }, NEVER, OWNER_RIGHTS)],
  [/^restarted$/, (world) => restarted(world, async () => {})],
  // What was approved is deleted while no daemon runs, and the file is another one.
  [
    /^lost (.*)$/,
    (world, words) =>
      restarted(world, async (path) => {
        await rm(sealedIn(path));
        await writeFile(path, unwatched(words));
      }),
  ],
  // The same, where it was changed by somebody.
  [
    /^forged (.*)$/,
    (world, words) =>
      restarted(world, async (path) => {
        const text = await readFile(sealedIn(path), "utf8");
        await writeFile(sealedIn(path), text.replaceAll('"serve"', '"evil"'));
        await writeFile(path, unwatched(words));
      }),
  ],
  // The next daemon starts where the keyring with the key cannot be asked, and the file is another one.
  [
    /^locked (.*)$/,
    (world, words) =>
      restarted(world, async (path) => {
        const [header = "", ...body] = (await readFile(sealedIn(path), "utf8")).split("\n");
        const elsewhere = header.replace(/"key_in":"\w+"/, '"key_in":"keyring"');
        await writeFile(sealedIn(path), [elsewhere, ...body].join("\n"));
        await rm(join(dirname(path), "approvals.key"));
        await writeFile(path, unwatched(words));
      }),
  ],
];

function textOf(text: SecretText): string {
  return text
    .map((part) =>
      typeof part === "string" ? part : part.kind === "stored" ? `<${part.name}>` : "<variable>",
    )
    .join("");
}

function pairsOf(table: Readonly<Record<string, SecretText>>): string {
  return Object.entries(table)
    .map(([name, text]) => ` ${name}=${textOf(text)}`)
    .join("");
}

function backendText({ connection, routes }: BackendConfig): string {
  return (routes?.map((route) => route.connection) ?? [connection])
    .map((one) =>
      one.type === "stdio"
        ? `${[one.command, ...one.args].join(" ")}${one.cwdGiven ? ` in ${one.cwd}` : ""}${pairsOf(one.env)}`
        : `${one.url}${pairsOf(one.headers)}`,
    )
    .join(" or ");
}

function runningOf(config: MountaineerConfig): Readonly<Record<string, string>> {
  const { backends, shares, aliases, incomingAuth, authorization, server, trust, limits, audit } = config;
  const on = backends.filter(({ enabled }) => enabled);
  return {
    ...Object.fromEntries(on.map((backend) => [backend.name, backendText(backend)])),
    ...Object.fromEntries(
      shares.map(({ name, routes: { tb, fallback } }) => [name, `${tb.host}, ${fallback.host}`]),
    ),
    ...Object.fromEntries(
      aliases.map(({ name, share, targetSubpath }) => [name, `${share}:${targetSubpath}`]),
    ),
    "the order": on.map(({ name }) => name).join(" "),
    "the sign-in":
      incomingAuth.type === "anonymous" ? "anonymous" : `${incomingAuth.type} ${incomingAuth.users.length}`,
    "the address": server?.host ?? "127.0.0.1",
    "the public address": String(server?.publicUrl ?? null),
    "the telemetry": config.telemetry?.endpoint ?? "none",
    "the fleet": config.fleet?.name ?? "none",
    "the groups": config.groups.map(({ name }) => name).join() || "none",
    "the strategy": config.conflictResolution.strategy,
    ...Object.fromEntries(
      on.map(({ name, toolOverrides }) => [`the names of ${name}`, Object.keys(toolOverrides).join()]),
    ),
    "the port": String(server?.port ?? null),
    "the page": String(server?.management.enabled ?? null),
    "may the page run commands": String(server?.management.allowCommands ?? false),
    "the links": config.global.sharesRoot.includes(".config") ? "elsewhere" : "default",
    ...Object.fromEntries(on.map(({ name, group }) => [`the group of ${name}`, String(group)])),
    ...Object.fromEntries(
      on.map(({ name, filters }) => [`the filters of ${name}`, filters.tools.deny.join()]),
    ),
    "the policies":
      authorization === null ? "none" : `${authorization.defaultEffect} ${authorization.policies.length}`,
    "the mode": String(trust.approve),
    "the pin": trust.pin,
    "the sessions": String(limits.sessions),
    "the audit": audit?.path ?? "none",
    "the time-out": String(config.global.connectTimeoutMs),
  };
}

const runs = (world: World, name = ""): string | null =>
  new Map(Object.entries(runningOf(homeOf(world).daemon.config()))).get(name) ?? null;

/** The lines of a question that are missing in what it shows. */
function missing(world: World, side: "approved" | "waiting", id = "", words = ""): readonly string[] {
  const { waiting } = serviceOf(world).control.approvals();
  const shown = waiting.find((each) => each.id === id)?.[side]?.split("\n") ?? [];
  const lines = words.replaceAll("'", '"').split("⏎");
  return lines.filter((line) => !shown.includes(line));
}

const facts: readonly Fact<World>[] = [
  [
    /^(?:waits|nothing waits) ?(.*)$/,
    (world, ids = "") => {
      const { waiting } = serviceOf(world).control.approvals();
      return [waiting.map(({ id }) => id).toSorted(), ids.split(" ").filter(Boolean).toSorted()];
    },
  ],
  [/^approved of (\S+) "(.*)"$/, (world, id, lines) => [missing(world, "approved", id, lines), []]],
  [/^asked of (\S+) "(.*)"$/, (world, id, lines) => [missing(world, "waiting", id, lines), []]],
  [/^mode (.*)$/, (world, mode) => [serviceOf(world).control.approvals().mode, mode]],
  [
    /^(\S+) was (on|off)$/,
    (world, id, was) => {
      const asked = serviceOf(world)
        .control.approvals()
        .waiting.find((each) => each.id === id);
      return [asked?.summary.includes("which you have switched off"), was === "off"];
    },
  ],
  [/^no (.*)$/, (world, name) => [runs(world, name), null]],
  [/^(.*?) (?:is|are) "?(.*?)"?$/, (world, name, wanted) => [runs(world, name), wanted]],
];

const starts: Words<World>["starts"] = {
  "a home": (t: TestContext): World => ({ t, file: "config.toml", home: null }),
  "a home in YAML": (t: TestContext): World => ({ t, file: "config.yaml", home: null }),
};

export const EDIT_WORDS: Words<World> = { starts, acts, facts };
