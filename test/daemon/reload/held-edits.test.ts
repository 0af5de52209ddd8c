// Edits of the configuration that wait for a person, through the service that reads the file, with approvals sealed on the
// disk: for each, what runs then, what waits, and what the question shows.
import assert from "node:assert/strict";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { OWNERS_RIGHTS } from "../../../src/api/operations/operation.ts";
import type { BackendConfig, MountaineerConfig } from "../../../src/config/snapshot.ts";
import type { SecretText } from "../../../src/config/values/secret-text.ts";
import { eventually } from "../../support/eventually.ts";
import { NEVER, type Scene, sceneHome } from "./config-scene.ts";

const VISITOR = { isOwner: false, runsCommands: false };
const OPERATOR = `U${"A".repeat(55)}`;
const OTHER_OPERATOR = `U${"B".repeat(55)}`;

const QUIET = "[sync]\nenabled = false\n";
const WATCHED = "[sync]\npoll_interval = 0.05\ndebounce = 0.05\n";
/** It reaches the home, so that what decides what runs waits. */
const FILES = '[backends.files]\ncommand = "serve"\nargs = ["/"]\n';
const EVIL = FILES.replace("serve", "evil");
const TWO = '[backends.two]\ncommand = "two"\ncwd = "/srv"\n';
const WEB =
  '[backends.web]\nurl = "https://one.example/mcp"\n[backends.web.headers]\nAuthorization = "Bearer ${secret:web}"\n';
const CORE = '[[shares]]\nname = "CORE"\nthunderbolt_host = "a"\nfallback_host = "b"\n';
const DOCS = '[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "docs"\n';
const SHARED = `${CORE}share_name = "one"\n${CORE.replace("CORE", "MORE").replace('"a"', '"c"').replace('"b"', '"d"')}share_name = "two"\n`;
const SIGN_IN = '[incoming_auth]\ntype = "local"\ntoken = "${T}"\n';
const RULES =
  '[authorization]\ndefault_effect = "deny"\n[[authorization.policies]]\neffect = "allow"\nroles = ["local"]\nresources = ["tool:read"]\n';
const FLEET = `[fleet]\nname = "laptop"\nservers = ["nats://127.0.0.1"]\ncredentials = "secret:fleet"\noperator = "${OPERATOR}"\n`;
const mode = (approve: string): string => `[trust]\napprove = "${approve}"\n`;
const ALL = mode("all");

/** Nothing is read before a step says so. */
const unwatched = (text: string): string => (/\[sync\]|sync:/.test(text) ? text : QUIET + text);

interface Home {
  readonly path: string;
  daemon: Scene;
  start(): Promise<Scene>;
}
type Step = (home: Home) => Promise<unknown>;

/** Something else than Mountaineer writes the file, and it is read. */
const saved =
  (text: string): Step =>
  async ({ path, daemon }) => {
    await writeFile(path, unwatched(text));
    const { failure, errors } = await daemon.service.control.reload({}, NEVER);
    assert.deepEqual([failure, errors], [null, []]);
  };
const refused =
  (text: string): Step =>
  async ({ path, daemon }) => {
    await writeFile(path, unwatched(text));
    const { errors } = await daemon.service.control.reload({}, NEVER);
    assert.notDeepEqual(errors, []);
  };
const movedThere =
  (text: string): Step =>
  async ({ path, daemon }) => {
    await writeFile(`${path}.new`, unwatched(text));
    await rename(`${path}.new`, path);
    const { failure, errors } = await daemon.service.control.reload({}, NEVER);
    assert.deepEqual([failure, errors], [null, []]);
  };
/** Written in place while it is watched: taken for half a file, or for one that loosens. */
const cut =
  (text: string): Step =>
  async ({ path, daemon }) => {
    await writeFile(path, text);
    await eventually(() => daemon.service.control.sync().last_error !== null);
  };
/** Written, and read by nobody yet. */
const unread =
  (text: string): Step =>
  ({ path }) =>
    writeFile(path, unwatched(text));
/** A person's command, panel or menu. */
const edited =
  (...edits: readonly (readonly [key: string, value: string | null])[]): Step =>
  ({ daemon }) =>
    daemon.service.control.edit(
      { edits: edits.map(([key, value]) => ({ key, value })), source: "test" },
      NEVER,
      OWNERS_RIGHTS,
    );
const removed =
  (name: string): Step =>
  ({ daemon }) =>
    daemon.service.control.edit(
      { edits: [{ remove: "backends", name }], source: "test" },
      NEVER,
      OWNERS_RIGHTS,
    );
const visited =
  (key: string, value: string | null): Step =>
  ({ daemon }) =>
    daemon.service.control.edit({ edits: [{ key, value }], source: "web" }, NEVER, VISITOR);
const typed =
  (text: string): Step =>
  async ({ daemon }) => {
    const { sha256 } = await daemon.service.control.config(null, NEVER);
    return daemon.service.control.editText(
      { text: unwatched(text), expected_sha256: sha256, source: "test" },
      NEVER,
      OWNERS_RIGHTS,
    );
  };
const approved =
  (...ids: readonly string[]): Step =>
  async ({ daemon }) => {
    const entries = daemon.service.control.approvals().waiting.filter(({ id }) => ids.includes(id));
    assert.equal(entries.length, ids.length, `${ids} wait`);
    return daemon.service.control.approve({ entries: entries.map(({ id, digest }) => ({ id, digest })) });
  };
const rolledBack: Step = ({ daemon }) => daemon.service.control.rollback({ n: 1 }, NEVER, OWNERS_RIGHTS);
const laid =
  (text: string, revision = 1): Step =>
  ({ daemon }) =>
    daemon.service.layers.apply({ text, revision, operator: OPERATOR });
const restarted: Step = async (home) => {
  await home.daemon.stop();
  home.daemon = await home.start();
};
const sealedIn = (path: string): string => join(dirname(path), "approvals.sealed");
/** What was approved is deleted while no daemon runs, and the file is another one. */
const lost =
  (text: string): Step =>
  async (home) => {
    await home.daemon.stop();
    await rm(sealedIn(home.path));
    await writeFile(home.path, unwatched(text));
    home.daemon = await home.start();
  };
/** The next daemon starts where the keyring with the key cannot be asked, and the file is another one. */
const locked =
  (text: string): Step =>
  async (home) => {
    await home.daemon.stop();
    const [header = "", ...body] = (await readFile(sealedIn(home.path), "utf8")).split("\n");
    await writeFile(
      sealedIn(home.path),
      [header.replace(/"key_in":"\w+"/, '"key_in":"keyring"'), ...body].join("\n"),
    );
    await rm(join(dirname(home.path), "approvals.key"));
    await writeFile(home.path, unwatched(text));
    home.daemon = await home.start();
  };

interface Row {
  readonly what: string;
  readonly file?: string;
  readonly first: string;
  readonly steps: readonly Step[];
  /** What runs then, by name, as `runningOf` says it; null: it does not. What is not named here is not looked at. */
  readonly runs: Readonly<Record<string, string | null>>;
  readonly waits: readonly string[];
  /** What the question about an entry shows: lines of what is approved, and of what waits. */
  readonly shows?: Readonly<
    Record<string, readonly [approved: readonly string[], waiting: readonly string[]]>
  >;
}

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

const ROWS: readonly Row[] = [
  {
    what: "a server is added",
    first: FILES,
    steps: [saved(FILES + TWO)],
    runs: { files: "serve /", two: null },
    waits: ["backends.two"],
    shows: { "backends.two": [[], ['command = "two"', 'cwd = "/srv"']] },
  },
  {
    what: "a command changes, and the rest of the edit applies",
    first: FILES,
    steps: [saved(`${EVIL}[global]\nconnect_timeout_ms = 901\n`)],
    runs: { files: "serve /", "the time-out": "901" },
    waits: ["backends.files"],
    shows: {
      "backends.files": [
        ['command = "serve"', 'args = ["/"]'],
        ['command = "evil"', 'args = ["/"]'],
      ],
    },
  },
  {
    what: "an argument changes",
    first: FILES + TWO,
    steps: [saved(FILES + TWO.replace('cwd = "/srv"', 'args = ["--evil"]'))],
    runs: { two: "two in /srv" },
    waits: ["backends.two"],
  },
  {
    what: "a variable is added",
    first: FILES + TWO,
    steps: [saved(`${FILES}${TWO}[backends.two.env]\nLD_PRELOAD = "/evil.so"\n`)],
    runs: { two: "two in /srv" },
    waits: ["backends.two"],
    shows: { "backends.two": [['command = "two"'], ['env.LD_PRELOAD = "/evil.so"']] },
  },
  {
    what: "a variable is taken away",
    first: `${FILES}${TWO}[backends.two.env]\nSAFE = "1"\n`,
    steps: [saved(FILES + TWO)],
    runs: { two: "two in /srv SAFE=1" },
    waits: ["backends.two"],
  },
  {
    what: "a variable refers to another secret",
    first: `${FILES}${TWO}[backends.two.env]\nTOKEN = "secret:small"\n`,
    steps: [saved(`${FILES}${TWO}[backends.two.env]\nTOKEN = "secret:large"\n`), restarted],
    runs: { two: "two in /srv TOKEN=<small>" },
    waits: ["backends.two"],
  },
  {
    what: "a folder changes",
    first: FILES + TWO,
    steps: [saved(FILES + TWO.replace("/srv", "/home"))],
    runs: { two: "two in /srv" },
    waits: ["backends.two"],
    shows: { "backends.two": [['cwd = "/srv"'], ['cwd = "/home"']] },
  },
  {
    what: "an address changes, under all",
    first: ALL + WEB,
    steps: [saved(ALL + WEB.replace("one", "evil"))],
    runs: { web: "https://one.example/mcp Authorization=Bearer <web>" },
    waits: ["backends.web"],
    shows: { "backends.web": [['url = "https://one.example/mcp"'], ['url = "https://evil.example/mcp"']] },
  },
  {
    what: "a header is added, under all",
    first: ALL + WEB,
    steps: [saved(`${ALL}${WEB}X-Also = "\${secret:other}"\n`)],
    runs: { web: "https://one.example/mcp Authorization=Bearer <web>" },
    waits: ["backends.web"],
  },
  {
    what: "a server at an address becomes a program",
    first: FILES + WEB,
    steps: [saved(`${FILES}[backends.web]\ncommand = "evil"\n`)],
    runs: { web: "https://one.example/mcp Authorization=Bearer <web>" },
    waits: ["backends.web"],
  },
  {
    what: "a program becomes one route of two",
    first: FILES + TWO,
    steps: [
      saved(
        `${FILES}[[backends.two.routes]]\nurl = "https://two.example/mcp"\n[[backends.two.routes]]\ncommand = "evil"\n`,
      ),
    ],
    runs: { two: "two in /srv" },
    waits: ["backends.two"],
  },
  {
    what: "a share's host changes, under all",
    first: ALL + CORE,
    steps: [saved(ALL + CORE.replace('"b"', '"evil"'))],
    runs: { CORE: "a, b" },
    waits: ["shares.CORE"],
    shows: { "shares.CORE": [['fallback_host = "b"'], ['fallback_host = "evil"']] },
  },
  {
    what: "a share's host changes, under commands",
    first: mode("commands") + CORE,
    steps: [saved(mode("commands") + CORE.replace('"b"', '"c"'))],
    runs: { CORE: "a, c" },
    waits: [],
  },
  {
    what: "a share is added, with an alias on it, under all",
    first: ALL + CORE,
    steps: [
      saved(
        ALL +
          CORE +
          CORE.replaceAll('"CORE"', '"MORE"').replace('"a"', '"c"').replace('"b"', '"d"') +
          DOCS.replace("CORE", "MORE"),
      ),
    ],
    runs: { CORE: "a, b", MORE: null, docs: null },
    waits: ["shares.MORE", "aliases.docs"],
  },
  {
    what: "an alias leads into another share, under all",
    first:
      ALL + CORE + CORE.replaceAll('"CORE"', '"MORE"').replace('"a"', '"c"').replace('"b"', '"d"') + DOCS,
    steps: [
      saved(
        ALL +
          CORE +
          CORE.replaceAll('"CORE"', '"MORE"').replace('"a"', '"c"').replace('"b"', '"d"') +
          DOCS.replace("CORE", "MORE"),
      ),
    ],
    runs: { docs: "CORE:docs" },
    waits: ["aliases.docs"],
  },
  {
    what: "a policy allows more, under all",
    first: ALL + SIGN_IN + RULES,
    steps: [saved(ALL + SIGN_IN + RULES.replace("deny", "allow"))],
    runs: { "the policies": "deny 1" },
    waits: ["authorization"],
  },
  {
    what: "the policies are gone, under all",
    first: ALL + SIGN_IN + RULES,
    steps: [movedThere(ALL + SIGN_IN), restarted],
    runs: { "the policies": "deny 1" },
    waits: ["authorization"],
  },
  {
    what: "the sign-in is gone, under all",
    first: ALL + SIGN_IN,
    steps: [movedThere(ALL), restarted],
    runs: { "the sign-in": "local 1" },
    waits: ["incoming_auth"],
  },
  {
    what: "it listens to everybody, with a sign-in of the writer's own, under all",
    first: ALL + FILES,
    steps: [saved(`${ALL}${FILES}[server]\nhost = "0.0.0.0"\n${SIGN_IN}`)],
    runs: { "the sign-in": "anonymous", "the address": "127.0.0.1" },
    waits: ["incoming_auth"],
  },
  {
    what: "the page is switched on by leaving `[server]` out",
    first: `${FILES}[server.management]\nenabled = false\n`,
    steps: [saved(FILES)],
    runs: { "the page": "false" },
    waits: ["incoming_auth"],
  },
  {
    what: "the same, and the daemon starts again",
    first: `${FILES}[server.management]\nenabled = false\n`,
    steps: [saved(FILES), restarted],
    runs: { "the page": "false" },
    waits: ["incoming_auth"],
  },
  {
    what: "a token moves from one user to another, under all",
    first: `${ALL}[incoming_auth]\ntype = "local"\ntoken = "\${T}"\n`,
    steps: [
      movedThere(
        `${ALL}[incoming_auth]\ntype = "local"\n[[incoming_auth.users]]\nname = "eve"\ntoken = "\${T}"\nroles = ["admin"]\n`,
      ),
    ],
    runs: { "the sign-in": "local 1" },
    waits: ["incoming_auth"],
    shows: { incoming_auth: [['token = "${T}"'], ['users[0].name = "eve"', 'users[0].token = "${T}"']] },
  },
  {
    what: "a variable moves from one server to another",
    first: `${FILES}[backends.files.env]\nTOKEN = "secret:kept"\n${TWO}`,
    steps: [saved(`${FILES}${TWO}[backends.two.env]\nTOKEN = "secret:kept"\n`)],
    runs: { files: "serve / TOKEN=<kept>", two: "two in /srv" },
    waits: ["backends.files", "backends.two"],
  },
  {
    what: "approve is loosened, and a command comes with it",
    first: FILES,
    steps: [saved(FILES + TWO + mode("none"))],
    runs: { two: null, "the mode": "null" },
    waits: ["backends.two", "trust"],
  },
  {
    what: "two edits in a row: first loosened, then used",
    first: FILES + mode("commands"),
    steps: [saved(FILES + mode("none")), saved(FILES + TWO + mode("none"))],
    runs: { two: null, "the mode": "commands" },
    waits: ["backends.two", "trust"],
  },
  {
    what: "two edits in a row: who reaches the home goes, then a command comes",
    first: FILES + TWO,
    steps: [saved(TWO), saved(TWO.replace('"two"', '"evil"'))],
    runs: { files: null, two: "two in /srv" },
    waits: ["backends.two"],
  },
  {
    what: "two edits in a row: one that waits is changed once more",
    first: FILES,
    steps: [saved(EVIL), saved(EVIL.replace("evil", "worse"))],
    runs: { files: "serve /" },
    waits: ["backends.files"],
    shows: { "backends.files": [['command = "serve"'], ['command = "worse"']] },
  },
  {
    what: "two edits in a row: put back as it was",
    first: FILES,
    steps: [saved(EVIL), saved(FILES)],
    runs: { files: "serve /" },
    waits: [],
  },
  {
    what: "a server is removed, and put back as it was",
    first: FILES + TWO,
    steps: [saved(FILES), saved(FILES + TWO)],
    runs: { two: "two in /srv" },
    waits: [],
  },
  {
    what: "a server is removed, and comes back as another",
    first: FILES + TWO,
    steps: [saved(FILES), restarted, saved(FILES + TWO.replace('"two"', '"evil"'))],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "a server comes back in a form before the last",
    first: FILES + TWO,
    steps: [
      saved(FILES + TWO.replace('"two"', '"better"')),
      approved("backends.two"),
      saved(FILES),
      saved(FILES + TWO),
    ],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "a server, a share and an alias are removed, under all",
    first: ALL + FILES + TWO + CORE + DOCS,
    steps: [saved(ALL + FILES)],
    runs: { files: "serve /", two: null, CORE: null, docs: null },
    waits: [],
  },
  {
    what: "a server that a person switched off is switched on by the file",
    first: FILES + TWO,
    steps: [edited(["backends.two.enabled", "false"]), saved(FILES + TWO)],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "a server that a person switched off is removed, and put back",
    first: FILES + TWO,
    steps: [edited(["backends.two.enabled", "false"]), saved(FILES), restarted, saved(FILES + TWO)],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "a server that a person switched off comes under another name",
    first: FILES + TWO,
    steps: [edited(["backends.two.enabled", "false"]), saved(FILES + TWO.replace("two]", "three]"))],
    runs: { three: null },
    waits: ["backends.three"],
  },
  {
    what: "a server that a person removed is put back",
    first: FILES + TWO,
    steps: [removed("two"), saved(FILES + TWO)],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "a server that the file switched off is switched on by it",
    first: FILES + TWO,
    steps: [saved(`${FILES}${TWO}enabled = false\n`), saved(FILES + TWO)],
    runs: { two: "two in /srv" },
    waits: [],
  },
  {
    what: "a server changes while it is off, and its person switches it on",
    first: FILES + TWO,
    steps: [
      edited(["backends.two.enabled", "false"]),
      saved(`${FILES}${TWO.replace('"two"', '"evil"')}enabled = false\n`),
      edited(["backends.two.enabled", null]),
    ],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "an edit from outside that nobody has read, and a person's edit of another entry",
    first: FILES + TWO,
    steps: [unread(EVIL + TWO), edited(["backends.two.command", "better"])],
    runs: { files: "serve /", two: "better in /srv" },
    waits: ["backends.files"],
  },
  {
    what: "an edit from outside, and a person's edit of the same entry",
    first: FILES,
    steps: [saved(EVIL), edited(["backends.files.cwd", "/srv"])],
    runs: { files: "serve /" },
    waits: ["backends.files"],
    shows: { "backends.files": [['command = "serve"'], ['command = "evil"', 'cwd = "/srv"']] },
  },
  {
    what: "an edit from outside, and a person's edits that put it back",
    first: FILES,
    steps: [
      unread(EVIL),
      edited(["backends.files.cwd", "/srv"]),
      edited(["backends.files.command", "serve"], ["backends.files.cwd", null]),
    ],
    runs: { files: "serve /" },
    waits: [],
  },
  {
    what: "an edit from outside, and a person's text over it",
    first: FILES + TWO,
    steps: [saved(EVIL + TWO), typed(EVIL + TWO.replace('"two"', '"better"')), restarted],
    runs: { files: "serve /", two: "better in /srv" },
    waits: ["backends.files"],
  },
  {
    what: "a visitor changes a command",
    first: FILES,
    steps: [
      (home) =>
        assert.rejects(Promise.resolve(visited("backends.files.command", "evil")(home)), {
          code: "commands_refused",
        }),
    ],
    runs: { files: "serve /" },
    waits: [],
  },
  {
    what: "a rollback to what was replaced",
    first: FILES,
    steps: [edited(["backends.files.command", "better"]), rolledBack],
    runs: { files: "better /" },
    waits: ["backends.files"],
  },
  {
    what: "a rollback to what waited",
    first: FILES,
    steps: [saved(EVIL), saved(FILES), rolledBack, restarted],
    runs: { files: "serve /" },
    waits: ["backends.files"],
  },
  {
    what: "a restart while an edit waits",
    first: FILES,
    steps: [saved(EVIL + TWO), restarted],
    runs: { files: "serve /", two: null },
    waits: ["backends.files", "backends.two"],
  },
  {
    what: "an edit while no daemon runs",
    first: FILES,
    steps: [unread(EVIL + TWO), restarted],
    runs: { files: "serve /", two: null },
    waits: ["backends.files", "backends.two"],
  },
  {
    what: "one of two is approved, and the daemon starts again",
    first: FILES,
    steps: [saved(EVIL + TWO), approved("backends.two"), restarted],
    runs: { files: "serve /", two: "two in /srv" },
    waits: ["backends.files"],
  },
  {
    what: "the fleet's layer brings a server",
    first: FILES + FLEET,
    steps: [laid('[backends.theirs]\ncommand = "theirs"\n')],
    runs: { files: "serve /", theirs: null },
    waits: ["backends.theirs"],
  },
  {
    what: "the fleet's layer changes a server that a person approved",
    first: FILES + FLEET,
    steps: [
      laid('[backends.theirs]\ncommand = "theirs"\n'),
      approved("backends.theirs"),
      laid('[backends.theirs]\ncommand = "evil"\n', 2),
    ],
    runs: { theirs: "theirs" },
    waits: ["backends.theirs"],
  },
  {
    what: "the fleet's layer has a server of a name that a person's edit takes out of the file",
    first: FILES + TWO + FLEET,
    steps: [laid('[backends.two]\ncommand = "theirs"\n'), removed("two")],
    runs: { two: "two in /srv" },
    waits: ["backends.two"],
  },
  {
    what: "a server gets another name",
    first: FILES + TWO,
    steps: [saved(FILES + TWO.replace("two]", "three]"))],
    runs: { two: null, three: "two in /srv" },
    waits: [],
  },
  {
    what: "a server gets another name, under all",
    first: ALL + FILES + TWO,
    steps: [saved(ALL + FILES + TWO.replace("two]", "three]"))],
    runs: { two: null, three: null },
    waits: ["backends.three"],
  },
  {
    what: "two servers change places, under all",
    first: ALL + FILES + TWO,
    steps: [saved(ALL + TWO + FILES)],
    runs: { "the order": "files two" },
    waits: ["backends"],
    shows: { backends: [['order = ["files","two"]'], ['order = ["two","files"]']] },
  },
  {
    what: "two servers take each other's names, under all",
    first: ALL + FILES + TWO,
    steps: [saved(ALL + FILES.replace("files]", "two]") + TWO.replace("two]", "files]"))],
    runs: { files: "serve /", two: "two in /srv" },
    waits: ["backends.two", "backends.files", "backends"],
  },
  {
    what: "a name stands twice: the file is refused, and what ran runs",
    first: FILES,
    steps: [refused(FILES + EVIL)],
    runs: { files: "serve /" },
    waits: [],
  },
  {
    what: "a share's name stands twice, in another case: the file is refused",
    first: ALL + CORE,
    steps: [
      refused(ALL + CORE + CORE.replace("CORE", "core").replace('"a"', '"evil"').replace('"b"', '"evil2"')),
    ],
    runs: { CORE: "a, b", core: null },
    waits: [],
  },
  {
    what: "a YAML file with an anchor that leads to another command",
    file: "config.yaml",
    first: "sync: {enabled: false}\nbackends:\n  files: {command: serve, args: [/]}\n",
    steps: [
      saved("sync: {enabled: false}\nbackends:\n  files: &files {command: evil, args: [/]}\n  two: *files\n"),
    ],
    runs: { files: "serve /", two: null },
    waits: ["backends.files", "backends.two"],
  },
  {
    what: "half a file, in place",
    first: WATCHED + FILES + TWO,
    steps: [cut((WATCHED + FILES + TWO).slice(0, -8))],
    runs: { files: "serve /", two: "two in /srv" },
    waits: [],
  },
  {
    what: "B12 a shrink in place that drops the sign-in, whatever the mode",
    first: mode("none") + WATCHED + SIGN_IN,
    steps: [cut(mode("none") + WATCHED)],
    runs: { "the sign-in": "local 1" },
    waits: [],
  },
  {
    what: "the same by a rename, under all: it is whole, and waits",
    first: ALL + SIGN_IN,
    steps: [movedThere(ALL)],
    runs: { "the sign-in": "local 1" },
    waits: ["incoming_auth"],
  },
  // What a program tries that may write the file, and wants something to run or to be sent.
  {
    what: "other keys of an entry that waits: it runs whole, as it was approved",
    first: `${FILES}[backends.files.filters.tools]\ndeny = ["rm"]\n`,
    steps: [saved(`${EVIL}group = "new"\n`), restarted],
    runs: { files: "serve /", "the filters of files": "rm", "the group of files": "null" },
    waits: ["backends.files"],
    shows: {
      "backends.files": [['command = "serve"', 'filters.tools.deny = ["rm"]'], ['command = "evil"']],
    },
  },
  {
    what: "a second server with the command of one that runs",
    first: FILES + TWO,
    steps: [saved(FILES + TWO + TWO.replace("two]", "three]"))],
    runs: { two: "two in /srv", three: null },
    waits: ["backends.three"],
  },
  {
    what: "two servers in place of one, each with its command",
    first: FILES + TWO,
    steps: [saved(FILES + TWO.replace("two]", "three]") + TWO.replace("two]", "four]"))],
    runs: { two: null, three: "two in /srv", four: null },
    waits: ["backends.four"],
  },
  {
    what: "another name, and the first name once more beside it",
    first: FILES + TWO,
    steps: [saved(FILES + TWO.replace("two]", "three]")), saved(FILES + TWO.replace("two]", "three]") + TWO)],
    runs: { two: null, three: "two in /srv" },
    waits: ["backends.two"],
  },
  {
    what: "two servers take each other's names",
    first: FILES + TWO,
    steps: [saved(FILES.replace("files]", "two]") + TWO.replace("two]", "files]"))],
    runs: { files: "serve /", two: "two in /srv" },
    waits: ["backends.files", "backends.two"],
  },
  {
    what: "a server takes the command of one that was removed",
    first: FILES + TWO,
    steps: [saved(FILES), saved(FILES.replace('"serve"', '"two"').replace('args = ["/"]', 'cwd = "/srv"'))],
    runs: { files: "serve /" },
    waits: ["backends.files"],
  },
  {
    what: "a server is switched off, changed and switched on, in three edits",
    first: FILES + TWO,
    steps: [
      saved(`${FILES}${TWO}enabled = false\n`),
      saved(`${FILES}${TWO.replace('"two"', '"evil"')}enabled = false\n`),
      saved(FILES + TWO.replace('"two"', '"evil"')),
    ],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "one that waits is switched off by the file, and switched on by a person",
    first: FILES + TWO,
    steps: [
      saved(FILES + TWO.replace('"two"', '"evil"')),
      saved(`${FILES}${TWO.replace('"two"', '"evil"')}enabled = false\n`),
      edited(["backends.two.enabled", null]),
    ],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "one that waits is switched off by a person, and put back as it was approved",
    first: FILES + TWO,
    steps: [
      saved(FILES + TWO.replace('"two"', '"evil"')),
      edited(["backends.two.enabled", "false"]),
      saved(FILES + TWO),
    ],
    runs: { two: null },
    waits: ["backends.two"],
  },
  {
    what: "the file changes under the question, unread: the yes is for what was shown",
    first: FILES,
    steps: [saved(FILES.replace("serve", "better")), unread(EVIL), approved("backends.files"), saved(EVIL)],
    runs: { files: "better /" },
    waits: ["backends.files"],
  },
  {
    what: "the second of two routes comes first, under all",
    first: `${ALL}[[backends.two.routes]]\nurl = "https://a.example/mcp"\n[[backends.two.routes]]\nurl = "https://b.example/mcp"\n`,
    steps: [
      saved(
        `${ALL}[[backends.two.routes]]\nurl = "https://b.example/mcp"\n[[backends.two.routes]]\nurl = "https://a.example/mcp"\n`,
      ),
    ],
    runs: { two: "https://a.example/mcp or https://b.example/mcp" },
    waits: ["backends.two"],
  },
  {
    what: "one of two routes is left",
    first: `${FILES}[[backends.two.routes]]\ncommand = "two"\n[[backends.two.routes]]\ncommand = "also"\n`,
    steps: [saved(`${FILES}[backends.two]\ncommand = "two"\n`)],
    runs: { two: "two or also" },
    waits: ["backends.two"],
  },
  {
    what: "names that JavaScript has of its own",
    first: FILES,
    steps: [
      saved(
        `${FILES}[backends.constructor]\ncommand = "evil"\n[backends.toString]\ncommand = "evil"\n[backends.files.env]\nhasOwnProperty = "evil"\n`,
      ),
    ],
    runs: { files: "serve /", constructor: null, toString: null },
    waits: ["backends.constructor", "backends.toString", "backends.files"],
  },
  {
    what: "a variable whose name the engine uses for what it worked out itself",
    first: FILES + TWO,
    steps: [
      saved(
        `${FILES}[backends.files.env]\nstored = "\${secret:other}"\n${TWO}[backends.two.env]\ncwdGiven = "evil"\n`,
      ),
    ],
    runs: { files: "serve /", two: "two in /srv" },
    waits: ["backends.files", "backends.two"],
    shows: { "backends.files": [[], ['env.stored = "${secret:other}"']] },
  },
  {
    what: "a header of such a name, under all",
    first: ALL + WEB,
    steps: [saved(`${ALL}${WEB}stored = "\${secret:other}"\n`)],
    runs: { web: "https://one.example/mcp Authorization=Bearer <web>" },
    waits: ["backends.web"],
  },
  {
    what: "two shares take each other's names, one after the other, under all",
    first: ALL + SHARED + DOCS,
    steps: [
      saved(ALL + SHARED.replace('name = "CORE"', 'name = "AWAY"')),
      saved(
        ALL +
          SHARED.replace('name = "CORE"', 'name = "AWAY"').replace('name = "MORE"', 'name = "CORE"') +
          DOCS,
      ),
    ],
    runs: { AWAY: null, CORE: null, docs: null },
    waits: ["shares.AWAY", "shares.CORE"],
  },
  {
    what: "`[trust]` is left out, and what it asked for with it",
    first: ALL + CORE,
    steps: [saved(CORE.replace('"b"', '"evil"')), saved(CORE.replace('"b"', '"evil"')), restarted],
    runs: { CORE: "a, b", "the mode": "all" },
    waits: ["shares.CORE", "trust"],
  },
  {
    what: "links and mounts are made elsewhere, under all",
    first: ALL + CORE + DOCS,
    steps: [saved(`${ALL + CORE + DOCS}[global]\nshares_root = "/home/ann/.config/autostart"\n`)],
    runs: { docs: "CORE:docs", "the links": "default" },
    waits: ["global", "aliases.docs"],
  },
  {
    what: "limits are lifted, the audit goes and a pin is taken away, under all",
    first: `${ALL.replace("\n", '\npin = "block"\n')}[limits]\nsessions = 7\n[audit]\npath = "/srv/audit"\n`,
    steps: [saved(ALL)],
    runs: { "the sessions": "7", "the audit": "/srv/audit", "the pin": "block" },
    waits: ["limits", "audit", "trust"],
  },
  {
    what: "the page may run commands, by an edit of the file",
    first: FILES,
    steps: [saved(`${FILES}[server]\nport = 9001\n[server.management]\nallow_commands = true\n`)],
    runs: { "may the page run commands": "false" },
    waits: ["incoming_auth"],
  },
  {
    what: "an emptied file that is whole, and then another one",
    first: FILES + TWO,
    steps: [movedThere(QUIET), movedThere(FILES + TWO.replace('"two"', '"evil"'))],
    runs: { files: "serve /", two: null },
    waits: ["backends.two"],
  },
  {
    what: "another operator's layer, and the operator with it",
    first: FILES + FLEET,
    steps: [
      saved(FILES + FLEET.replace(OPERATOR, OTHER_OPERATOR)),
      ({ daemon }) =>
        daemon.service.layers.apply({
          text: '[backends.theirs]\ncommand = "evil"\n',
          revision: 1,
          operator: OTHER_OPERATOR,
        }),
      restarted,
    ],
    runs: { files: "serve /", theirs: null },
    waits: [],
  },
  {
    what: "a person's edit while the layer's server waits",
    first: FILES + FLEET,
    steps: [laid('[backends.theirs]\ncommand = "theirs"\n'), edited(["backends.files.command", "better"])],
    runs: { files: "better /", theirs: null },
    waits: ["backends.theirs"],
  },
  {
    what: "approvals of another home's making",
    first: FILES,
    steps: [
      async (home) => {
        await home.daemon.stop();
        const text = await readFile(sealedIn(home.path), "utf8");
        await writeFile(sealedIn(home.path), text.replaceAll('"serve"', '"evil"'));
        await writeFile(home.path, unwatched(EVIL));
        home.daemon = await home.start();
      },
    ],
    runs: { files: null },
    waits: ["backends.files"],
  },
  {
    what: "a person's edit where approvals are lost approves what it changes alone",
    first: ALL + FILES + TWO + SIGN_IN,
    steps: [lost(ALL + EVIL + TWO + SIGN_IN), edited(["backends.two.args", '["x"]']), restarted],
    runs: { files: null, two: null, "the sign-in": "local 0" },
    waits: ["backends.files", "backends.two", "incoming_auth", "authorization", "trust"],
  },
  {
    what: "approvals are lost under all: limits, links and names are as without the file",
    first: `${ALL}${CORE}[limits]\nsessions = 7\n`,
    steps: [
      lost(`${ALL}${CORE}[limits]\nsessions = 900\n[global]\nshares_root = "/home/ann/.config"\n`),
      approved("shares.CORE"),
    ],
    runs: { CORE: "a, b", "the sessions": "500", "the links": "default" },
    waits: ["limits", "global", "incoming_auth", "authorization", "trust"],
  },
  {
    what: "approvals are lost: nothing runs, and shares that the mode does not guard are mounted",
    first: FILES + CORE + SIGN_IN,
    steps: [lost(FILES + CORE + SIGN_IN)],
    runs: { files: null, CORE: "a, b", "the sign-in": "local 1" },
    waits: ["backends.files"],
  },
  {
    what: "approvals are lost under all: nobody comes in, and nothing goes anywhere",
    first: ALL + FILES + WEB + CORE + SIGN_IN + RULES,
    steps: [lost(`${ALL + FILES + WEB + CORE + SIGN_IN + RULES}[audit]\npath = "/home/ann/.bashrc"\n`)],
    runs: {
      files: null,
      web: null,
      CORE: null,
      "the sign-in": "local 0",
      "the policies": "deny 0",
      "the pin": "block",
      "the audit": "none",
    },
    waits: [
      "backends.files",
      "backends.web",
      "shares.CORE",
      "incoming_auth",
      "authorization",
      "trust",
      "audit",
    ],
  },
  {
    what: "approvals are lost, and the page was off: it stays off",
    first: `${FILES}[server.management]\nenabled = false\n`,
    steps: [lost(`${FILES}[server.management]\nenabled = false\n`)],
    runs: { files: null, "the page": "false" },
    waits: ["backends.files"],
  },
  {
    what: "the keyring is locked: shares that the mode does not guard are mounted",
    first: FILES + CORE,
    steps: [locked(FILES + CORE)],
    runs: { files: null, CORE: "a, b" },
    waits: ["backends.files"],
  },
  {
    what: "the keyring is locked under all, and the file was loosened: a share's password goes to no other host",
    first: ALL + CORE,
    steps: [locked(mode("none") + CORE.replace('"b"', '"evil"'))],
    runs: { CORE: null },
    waits: ["shares.CORE", "incoming_auth", "authorization", "trust"],
  },
];

describe("held edits", { concurrency: 4 }, () => {
  for (const { what, file = "config.toml", first, steps, runs, waits, shows = {} } of ROWS) {
    const title = what.startsWith("B12") ? `E2 ${what}` : `E2 B6 held edit: ${what}`;
    test(title, async (t) => {
      const made = await sceneHome(t, unwatched(first), file);
      const start = () => made.start({ approvals: true });
      const home: Home = { path: made.path, daemon: await start(), start };
      for (const step of steps) await step(home);
      const running = new Map(Object.entries(runningOf(home.daemon.config())));
      const found = Object.fromEntries(Object.keys(runs).map((name) => [name, running.get(name) ?? null]));
      assert.deepEqual(found, runs);
      const { waiting } = home.daemon.service.control.approvals();
      assert.deepEqual(waiting.map(({ id }) => id).toSorted(), waits.toSorted());
      for (const [id, [before, after]] of Object.entries(shows)) {
        const entry = waiting.find((each) => each.id === id);
        const lines = (each = "") => new Set(each.split("\n"));
        const missing = [
          ...before.filter((line) => !lines(entry?.approved).has(line)),
          ...after.filter((line) => !lines(entry?.waiting).has(line)),
        ];
        assert.deepEqual(missing, [], `${id} shows:\n${entry?.approved}---\n${entry?.waiting}`);
      }
    });
  }
});
