import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditConfig, IncomingAuthConfig } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { AuditFile, type AuditFileState } from "../../../src/gateway/middleware/audit-file.ts";
import { entryText } from "../../../src/gateway/pins/pinned-entry.ts";
import type { PendingChange, PinsState } from "../../../src/gateway/pins/pins.ts";
import type { GatewayCondition } from "../../../src/gateway/serving/condition-rows.ts";
import { createGatewayConditions } from "../../../src/gateway/serving/gateway-conditions.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { createRules, type GatewayRules, NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { isoTime, systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { catalogOf, FIRST_WINS, source } from "../catalog/sources.ts";
import { tool } from "../pins/tools.ts";

const clock = createManualClock();
const rulesOf = (change: Partial<GatewayRules["config"]> = {}): GatewayRules =>
  createRules({ ...NO_GATEWAY, ...change }, null, {
    clock,
    logger: noopLogger,
    environment: {},
    redact() {},
    listens: false,
  });
const twins = [source("a", { tools: ["echo"] }), source("b", { tools: ["echo", "own"] })];
const NO_CATALOG = catalogOf();

test("C3 names that the strategy hides are named, once for each pair of backends", () => {
  const conditions = createGatewayConditions({ wallMs: () => 1 });
  const resources = ["a", "b", "c", "d", "e", "f", "g"];
  const catalog = catalogOf(
    source("one", { resources }),
    source("two", { resources }),
    source("three", { resources: ["a", "own"] }),
  );
  const found = conditions(rulesOf(), catalog, null);
  assert.deepEqual(pluck(found, "code", "severity", "title"), [
    [
      "catalog_hidden",
      "info",
      "one and two offer the same names, and those of two are not published: resource a, resource b, resource c, resource d, resource e and 2 more",
    ],
    [
      "catalog_hidden",
      "info",
      "one and three offer the same names, and those of three are not published: resource a",
    ],
  ]);
});

test("names that were prefixed are reported, once for each backend", () => {
  const [found, ...more] = createGatewayConditions({ wallMs: () => 1 })(rulesOf(), catalogOf(...twins), null);
  assert.deepEqual([found?.code, found?.severity, more.length], ["names_prefixed", "info", 0]);
  assert.match(found?.title ?? "", /^b offers names that others had before, .* with its own: b_echo$/u);
});

test("D4 a server's find_tool that the gateway's own hides is reported, where tools are found at all", () => {
  const conditions = createGatewayConditions({ wallMs: () => 1 });
  const catalog = catalogOf(source("files", { tools: ["find_tool", "own"] }));
  assert.deepEqual(conditions(rulesOf(), catalog, null), []);
  const profile = { users: null, clients: ["one"], groups: null, optimizer: true };
  for (const change of [{ optimizer: { enabled: true, keepTools: [] } }, { profiles: [profile] }]) {
    const found = conditions(rulesOf(change), catalog, null);
    assert.deepEqual(pluck(found, "code", "severity"), [["catalog_hidden", "info"]]);
    assert.match(found[0]?.title ?? "", /^files offers a tool find_tool, and where tools are found/);
    assert.match(found[0]?.hint ?? "", /\[backends\.files\.tool_overrides\]/);
  }
});

test("a calm gateway has none, and a collision is a warning under the strategy `error`", () => {
  const conditions = createGatewayConditions({ wallMs: () => 1 });
  assert.deepEqual(conditions(rulesOf(), NO_CATALOG, null), []);
  const conflictResolution = { ...FIRST_WINS, strategy: "error" } as const;
  const [found, ...more] = conditions(
    rulesOf({ conflictResolution }),
    buildCatalog(twins, conflictResolution),
    null,
  );
  assert.deepEqual([found?.code, found?.severity, more.length], ["catalog_collision", "warning", 0]);
  assert.match(found?.title ?? "", /tool echo is offered by a and by b/);
  assert.match(found?.hint ?? "", /\[backends\.b\.tool_overrides\]/);
});

test("E6 a tool is withheld whose arguments cannot be set, and the warning says why", () => {
  const overrides = { echo: { arguments: { repo: "acme/site" } } };
  const catalog = catalogOf(source("a", { tools: ["echo"], toolOverrides: overrides }));
  const [found] = createGatewayConditions({ wallMs: () => 1 })(rulesOf(), catalog, null);
  assert.match(found?.title ?? "", /^tool echo of a is withheld: it has no argument `repo`/);
  assert.deepEqual([found?.code, found?.severity], ["arguments_unfit", "warning"]);
});

test("D3 a thousand collisions under the strategy `error` are twenty conditions, and one about the rest", () => {
  const tools = Array.from({ length: 1_000 }, (_, at) => `t${at}`);
  const conflictResolution = { ...FIRST_WINS, strategy: "error" } as const;
  const catalog = buildCatalog([source("a", { tools }), source("b", { tools })], conflictResolution);
  const found = createGatewayConditions({ wallMs: () => 1 })(rulesOf({ conflictResolution }), catalog, null);
  assert.equal(found.length, 21);
  assert.match(found.at(-1)?.title ?? "", /^980 more names are offered twice/u);
});

test("C3 one collision is reported once, however often the hidden backend offers the name", () => {
  const sources = [source("a", { resources: ["echo"] }), source("b", { resources: ["echo", "echo"] })];
  const conditions = createGatewayConditions({ wallMs: () => 1 });
  const conflictResolution = { ...FIRST_WINS, strategy: "error" } as const;
  const warned = conditions(rulesOf({ conflictResolution }), buildCatalog(sources, conflictResolution), null);
  assert.deepEqual(pluck(warned, "code"), ["catalog_collision"]);
  const [hidden, ...more] = conditions(rulesOf(), catalogOf(...sources), null);
  assert.match(hidden?.title ?? "", /not published: resource echo$/);
  assert.deepEqual(more, []);
});

test("an unset token is named by its variable, and each condition keeps its start time", () => {
  let nowMs = 1_000;
  const conditions = createGatewayConditions({ wallMs: () => nowMs });
  const rules = rulesOf({
    incomingAuth: {
      type: "local",
      users: [{ name: "ann", token: { kind: "environment", variable: "ANN_TOKEN" }, roles: [] }],
    },
  });
  const since = () => conditions(rules, NO_CATALOG, null).map(({ code, since }) => [code, since]);
  assert.deepEqual(since(), [["auth_token_missing", isoTime(1_000)]]);
  nowMs = 2_000;
  assert.deepEqual(since(), [["auth_token_missing", isoTime(1_000)]]);
  assert.match(conditions(rules, NO_CATALOG, null)[0]?.title ?? "", /ANN_TOKEN/);
  assert.deepEqual(conditions(rulesOf(), NO_CATALOG, null), []);
  nowMs = 3_000;
  assert.deepEqual(since(), [["auth_token_missing", isoTime(3_000)]]);
});

test("a failing listener and an unwritten audit are reported with their own start times", () => {
  const conditions = createGatewayConditions({ wallMs: () => 9_000 });
  const listening: GatewayCondition = {
    code: "listen_failed",
    severity: "error",
    title: "busy",
    hint: null,
    since: isoTime(5),
  };
  const state: AuditFileState = { kind: "failing", reason: "no space left", sinceMs: 7, dropped: 3 };
  const audit = { path: "/nonexistent/audit.jsonl", maxSizeBytes: 1, keep: 1 };
  const file = new AuditFile(audit, { clock, logger: noopLogger });
  const auditFile = Object.assign(file, { state });
  const found = conditions({ ...rulesOf(), auditFile }, NO_CATALOG, listening);
  assert.deepEqual(pluck(found, "code", "since"), [
    ["listen_failed", isoTime(5)],
    ["audit_not_written", isoTime(7)],
  ]);
  assert.match(found[1]?.title ?? "", /no space left \(3 lines lost\)/);
});

test("D3 a tool whose name clients cannot use is published under another, and both are reported", () => {
  const long = `read_${"very_".repeat(12)}long`;
  const catalog = catalogOf(source("files", { tools: [long, "a b", "read"] }));
  const [cut = "", odd = "", ...rest] = [...catalog.tools.keys()];
  assert.deepEqual(rest, ["read"]);
  assert.deepEqual([...catalog.tools.values()][0]?.definition["name"], cut);
  const [found, ...more] = createGatewayConditions({ wallMs: () => 1 })(rulesOf(), catalog, null);
  assert.deepEqual([found?.code, found?.severity, more.length], ["names_shortened", "info", 0]);
  const title = found?.title ?? "";
  assert.ok(title.endsWith(`: ${long} as ${cut}, a b as ${odd}`), title);
});

test("D3 a server's names for its tools are reported within bounds, and do not control the terminal", () => {
  const names = [`${"x".repeat(100_000)}`, "a\u001b[2Jb", "c\u202ed", "e\u{e0041}"];
  for (const sources of [
    [source("one", { tools: names })],
    [source("one", { resources: names }), source("two", { resources: names })],
  ]) {
    const [found] = createGatewayConditions({ wallMs: () => 1 })(rulesOf(), catalogOf(...sources), null);
    const title = found?.title ?? "";
    assert.ok(title.length < 1_000, String(title.length));
    assert.match(title, /a\\x1b\[2Jb.*c\\u\{202e\}d.*e\\u\{e0041\}/);
  }
});

test("B11 a key of session ids that is not kept is reported, with the reason, for as long as that lasts", () => {
  let now = 1;
  const conditions = createGatewayConditions({ wallMs: () => now });
  const found = (reason: string | null) =>
    conditions(rulesOf(), NO_CATALOG, null, undefined, undefined, {
      sessionKeyUnsavedBecause: reason,
      namesLost: null,
    });
  const [first] = found("ENOSPC: no space left on device");
  assert.deepEqual(
    [first?.code, first?.severity, first?.since],
    ["session_key_not_saved", "warning", isoTime(1)],
  );
  assert.match(first?.title ?? "", /ENOSPC/u);
  now = 2;
  assert.equal(found("ENOSPC: no space left on device")[0]?.since, isoTime(1));
  assert.deepEqual(found(null), []);
});

const CALM: PinsState = { pending: [], beyond: new Map(), lost: null, isUnread: false, unsavedBecause: null };

const trustConditions = (pins: PinsState, catalog: Partial<typeof NO_CATALOG>) =>
  createGatewayConditions({ wallMs: () => 1 })(rulesOf(), { ...NO_CATALOG, ...catalog }, null, pins);

const pending = (backend: string, name: string, change: Partial<PendingChange> = {}): PendingChange => ({
  backend,
  kind: "tool",
  name,
  change: "changed",
  digest: "d",
  definition: tool(name),
  before: null,
  isWithheld: false,
  ...change,
});

test("E3 changed and withheld tools are one condition each for each backend, with the fix", () => {
  assert.deepEqual(trustConditions(CALM, NO_CATALOG), []);
  const many = Array.from({ length: 8 }, (_, at) => pending("files", `t${at}`));
  const told = trustConditions(
    {
      ...CALM,
      pending: [
        ...many,
        pending("web", "go\u202e", { isWithheld: true }),
        pending("web", "new", { isWithheld: true, change: "new" }),
      ],
    },
    NO_CATALOG,
  );
  assert.deepEqual(pluck(told, "code", "severity", "title"), [
    [
      "tools_changed",
      "warning",
      "server files has changed tools since they were approved: t0, t1, t2, t3, t4 and 3 more",
    ],
    [
      "tools_withheld",
      "warning",
      "tools of server web are withheld until you approve them: go\\u{202e} (changed), new (new)",
    ],
  ]);
  assert.match(told[1]?.hint ?? "", /tools approve --backend web/u);
});

test("E3 a tool whose text changes again and again is one condition, with both texts and the remedy", () => {
  const change = { definition: tool("run", { description: "cat, ls" }) };
  const earlier = entryText(tool("run", { description: "ls, cat" }));
  const [one, ...others] = trustConditions(
    { ...CALM, pending: [pending("my shell", "run", { ...change, earlier })] },
    NO_CATALOG,
  );
  assert.deepEqual(others, []);
  const both = "run (- description: ls, cat | + description: cat, ls)";
  assert.deepEqual(
    [one?.code, one?.title],
    ["tools_unsteady", `server my shell describes tools differently again and again: ${both}`],
  );
  assert.match(one?.hint ?? "", /config set 'backends\.my shell\.pin' off/);
});

test("E3 pins that were lost, are unsaved or exceed the limit are reported", () => {
  const beyond = new Map([
    ["a", { count: 3, isWithheld: false }],
    ["b", { count: 1, isWithheld: true }],
  ]);
  const told = trustConditions(
    { ...CALM, beyond, lost: "the seal is not right", unsavedBecause: "disk full" },
    NO_CATALOG,
  );
  assert.deepEqual(
    told.map(({ code, severity }) => `${severity} ${code}`),
    ["error pins_lost", "warning pins_not_saved", "warning tools_not_pinned", "warning tools_not_pinned"],
  );
  assert.match(told[0]?.hint ?? "", /tools approve --all/u);
  const [locked] = trustConditions({ ...CALM, lost: "locked", isUnread: true }, NO_CATALOG);
  assert.match(locked?.hint ?? "", /Unlock the keyring/u);
  assert.match(told[2]?.title ?? "", /3 of them are not watched/u);
  assert.match(told[3]?.title ?? "", /1 of them are withheld/u);
});

test("E3 invisible text is reported once for each backend, and shown", () => {
  const hidden = [..."obey"].map((one) => String.fromCodePoint(0xe0000 + (one.codePointAt(0) ?? 0))).join("");
  const catalog = catalogOf(source("a", { tools: [`say${hidden}`], prompts: ["x\u200b"] }));
  const [found, ...more] = trustConditions(CALM, { unseen: catalog.unseen });
  assert.deepEqual(more, []);
  assert.equal(found?.code, "unseen_characters");
  assert.match(
    found?.title ?? "",
    /tool say\\u\{e006f\}.* \(name: 4 unseen characters that spell "obey", …\)/u,
  );
  const unseen = [
    { backend: "a", kind: "tool", name: "say", faults: ["title: 1 unseen character"] },
  ] as const;
  assert.match(trustConditions(CALM, { unseen })[0]?.title ?? "", /tool say \(title: 1 unseen character\)$/u);
});

const tools = (redacted: string[] = []) => ({
  clock: systemClock,
  logger: noopLogger,
  environment: { TOKEN: "t0ken" },
  redact: (secret: string) => void redacted.push(secret),
  listens: false,
});
const auth = (...roles: string[]): IncomingAuthConfig => ({
  type: "local",
  users: [{ name: "ann", token: { kind: "environment", variable: "TOKEN" }, roles }],
});
const audit = (path: string, change: Partial<AuditConfig> = {}): AuditConfig => ({
  path,
  maxSizeBytes: 1_000_000,
  keep: 1,
  includeArguments: false,
  redact: [],
  ...change,
});

test("B6 equal configuration is kept: tokens are not reread, the audit's file stays open", async (t) => {
  const path = join(await temporaryFolder(t), "audit.jsonl");
  const redacted: string[] = [];
  const config: GatewayConfig = { ...NO_GATEWAY, incomingAuth: auth("reader"), audit: audit(path) };
  const first = createRules(config, null, tools(redacted));
  const same = createRules(structuredClone(config), first, tools(redacted));
  assert.equal(same.authentication, first.authentication);
  assert.equal(same.auditFile, first.auditFile);
  const told = { ...config, audit: audit(path, { includeArguments: true, redact: ["*"] }) };
  assert.equal(createRules(told, first, tools()).auditFile, first.auditFile);
  const other = createRules({ ...config, incomingAuth: auth("writer") }, first, tools(redacted));
  assert.notEqual(other.authentication, first.authentication);
  assert.deepEqual(redacted, ["t0ken", "t0ken"]);
  await first.auditFile?.[Symbol.asyncDispose]();
});

test("B6 another path, size or number is another file, and preparing one writes nothing yet", async (t) => {
  const folder = await temporaryFolder(t);
  const first = createRules({ ...NO_GATEWAY, audit: audit(join(folder, "a")) }, null, tools());
  const changes: Partial<AuditConfig>[] = [{ path: join(folder, "b") }, { maxSizeBytes: 5 }, { keep: 7 }];
  for (const change of changes) {
    const next = createRules({ ...NO_GATEWAY, audit: audit(join(folder, "a"), change) }, first, tools());
    assert.notEqual(next.auditFile, first.auditFile);
    await next.auditFile?.[Symbol.asyncDispose]();
  }
  assert.equal(createRules(NO_GATEWAY, first, tools()).auditFile, null);
  await assert.rejects(stat(join(folder, "b")), { code: "ENOENT" });
  await first.auditFile?.[Symbol.asyncDispose]();
});
