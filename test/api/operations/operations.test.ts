import assert from "node:assert/strict";
import { test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import type { LogRequest } from "../../../src/api/contract/records.ts";
import {
  type Control,
  findOperation,
  OPERATION_NAMES,
  type OutputOf,
} from "../../../src/api/operations/operations.ts";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { pluck } from "../../support/pluck.ts";
import { assertRefused, connectedRig, get, post, startRig, talk } from "../management-rig.ts";
import {
  sampleCheck,
  sampleConfig,
  sampleEdit,
  sampleEntry,
  sampleReload,
  sampleSyncReport,
  scriptedConfig,
} from "../sample-config.ts";
import { sampleAudit, scriptedGateway } from "../sample-gateway.ts";
import { sampleAlias } from "../sample-report.ts";

const never = new AbortController().signal;
const fail = () => assert.fail();
const SHA256 = "ab".repeat(32);

test("every operation is found at its path, with its method, and only if a handler exists", () => {
  for (const name of OPERATION_NAMES) {
    const { method, path } = OPERATIONS[name];
    const asked = `/manage/v1/${path.endsWith("/") ? `${path}3` : path}`;
    assert.equal(findOperation(asked, { [name]: fail })?.method, method, path);
    assert.equal(findOperation(asked, {}), null, path);
  }
});

test("each call about the configuration crosses the socket and returns unchanged", async (t) => {
  const config = scriptedConfig();
  const { client } = await connectedRig(t, { config });
  assert.deepEqual(await client.call("sync", null, never), sampleSyncReport());
  assert.deepEqual(await client.call("config", null, never), sampleConfig());
  assert.deepEqual(await client.call("reload", {}, never), sampleReload());
  assert.deepEqual(await client.call("reload", { dry_run: true }, never), sampleReload({ dry_run: true }));
  const edit = {
    edits: [{ key: "global.lsof_recheck", value: null }],
    expected_sha256: SHA256,
    source: "tui",
  };
  assert.deepEqual(await client.call("edit", edit, never), sampleEdit());
  const text = { text: "\ufeff# Füße 🎬\r\n", expected_sha256: SHA256, source: "cli" };
  assert.deepEqual(await client.call("editText", text, never), sampleEdit());
  assert.deepEqual(await client.call("checkConfig", { text: "[global" }, never), sampleCheck());
  assert.deepEqual(await client.call("rollback", { n: 3 }, never), sampleEdit());
  assert.deepEqual(await client.call("history", null, never), { entries: [sampleEntry(0), sampleEntry(1)] });
  assert.equal(await client.call("historyText", { n: 1 }, never), "# before\n");
  await assert.rejects(client.call("historyText", { n: 7 }, never), { code: "history_unknown" });
  assert.deepEqual(pluck(config.calls, "name", "request"), [
    ["reload", {}],
    ["reload", { dry_run: true }],
    ["edit", edit],
    ["editText", text],
    ["checkConfig", { text: "[global" }],
    ["rollback", { n: 3 }],
  ]);
});

test("a text that begins as JSON arrives unchanged, and so does an empty one", async (t) => {
  const config = scriptedConfig();
  config.texts.splice(0, 2, '{"a":1}', "");
  const { client } = await connectedRig(t, { config });
  assert.equal(await client.call("historyText", { n: 0 }, never), '{"a":1}');
  assert.equal(await client.call("historyText", { n: 1 }, never), "");
});

test("an invalid request about the configuration is refused and never reaches it", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  await assertRefused(server, [
    [post("config/edit", '{"edits":[{"key":"\\ud800","value":null}],"source":"x"}'), 400, /edits is not/],
    [post("config/edit", '{"edits":[],"source":"\\u001b[2J"}'), 400, /source is not/],
    [post("config/text", "{}"), 405, /not served/],
    [
      post("config/text", `{"text":"\\ud800","expected_sha256":"${SHA256}","source":"x"}`, "", "PUT"),
      400,
      /text is not/,
    ],
    [post("config/rollback", '{"n":1.5}'), 400, /n is not/],
    [get("config/history/x"), 404, /not served/],
    [get("config/history/-1"), 404, /not served/],
    [get("config/history/"), 404, /not served/],
    [post("config/history/1", "{}"), 405, /not served/],
    [get("config/__proto__"), 404, /not served/],
  ]);
  const noText = Buffer.concat([Buffer.from(post("reload", "xx").slice(0, -2)), Buffer.from([0xff, 0xfe])]);
  const answer = await talk(server.socketPath, noText.toString("latin1"), "latin1");
  assert.match(JSON.parse(answer.body).error.message, /not UTF-8/);
  assert.deepEqual(config.calls, []);
});

test("a text of half a megabyte is accepted, even where JSON makes it six times as long; a longer one is refused", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const put = (text: string) =>
    talk(
      server.socketPath,
      post("config/text", JSON.stringify({ text, expected_sha256: SHA256, source: "cli" }), "", "PUT"),
    );
  assert.equal((await put("\u0001".repeat(512 * 1024))).status, 200);
  assert.equal((await put("x".repeat(4 * 1024 * 1024))).status, 413);
  const edits = JSON.stringify({ edits: [{ key: "a", value: "x".repeat(70_000) }], source: "cli" });
  assert.equal((await talk(server.socketPath, post("config/edit", edits))).status, 413);
});

test("errors about the configuration have their own HTTP statuses", async (t) => {
  const statuses = {
    config_changed: 409,
    config_invalid: 422,
    config_uneditable: 422,
    config_key_unknown: 400,
    config_unwritable: 500,
  } as const;
  for (const [code, status] of Object.entries(statuses)) {
    const config = scriptedConfig({
      edit: () => {
        throw new MountaineerError(code as keyof typeof statuses, "no");
      },
    });
    const { server } = await startRig(t, { config });
    const answer = await talk(server.socketPath, post("config/rollback", ""));
    assert.equal(answer.status, status, code);
    assert.equal(JSON.parse(answer.body).error.code, code);
  }
});

const NEVER = new AbortController().signal;

const ALIAS = sampleAlias();

type Places = Pick<Control, "aliases" | "reconcileAliases">;

function scripted(): Places & { readonly calls: unknown[] } {
  const calls: unknown[] = [];
  const report: OutputOf<"aliases"> = { aliases: [ALIAS] };
  return {
    calls,
    async aliases() {
      calls.push("aliases");
      return report;
    },
    async reconcileAliases() {
      calls.push("reconcile");
      return { aliases: [{ ...ALIAS, link: "taken", detail: "a file" }] };
    },
  };
}

test("A8 each request of a client reaches the daemon and returns unchanged", async (t) => {
  const places = scripted();
  const { home } = await startRig(t, { places });
  const { call } = (await connectToDaemon(home)) ?? assert.fail();
  assert.deepEqual(await call("aliases", null, NEVER), { aliases: [ALIAS] });
  assert.equal((await call("reconcileAliases", null, NEVER)).aliases[0]?.link, "taken");
  assert.deepEqual(places.calls, ["aliases", "reconcile"]);
});

test("a server without aliases serves none", async (t) => {
  const { client } = await connectedRig(t);
  await assert.rejects(client.call("aliases", null, NEVER), { code: "protocol" });
});

const LOG: OutputOf<"daemonLog"> = {
  path: "/home/ada/.mountaineer/mountaineer.log",
  lines: [
    {
      at: "2026-01-31T12:00:00.000Z",
      level: "warn",
      message: "slow",
      fields: { share: "CORE", ms: 5, of: ["a"] },
    },
    { at: "2026-01-31T11:00:00.000Z", level: "info", message: "running" },
  ],
  more: false,
  next: null,
};

test("F2 each query of the audit and the log crosses the socket and returns unchanged", async (t) => {
  const gateway = scriptedGateway();
  const asked: LogRequest[] = [];
  const records = {
    daemonLog: async (request: LogRequest) => {
      asked.push(request);
      return LOG;
    },
  };
  const { client } = await connectedRig(t, { gateway, records });
  const audit = {
    limit: 5,
    before: "64768-1234.5678",
    backend: "files",
    tool: "read_file",
    principal: "ada",
    outcome: "error",
    text: "Füße",
  };
  assert.deepEqual(await client.call("audit", audit, never), sampleAudit());
  assert.deepEqual(pluck(gateway.calls, "request"), [audit]);
  const lines = { limit: 2, before: "2026-01-31T12:00:00Z", level: "info", text: "core" } as const;
  assert.deepEqual(await client.call("daemonLog", lines, never), LOG);
  assert.deepEqual(asked, [lines]);
});

test("an invalid request for records is refused and reaches nothing", async (t) => {
  const gateway = scriptedGateway();
  const { server } = await startRig(t, {
    gateway,
    records: { daemonLog: () => assert.fail("it was asked") },
  });
  await assertRefused(server, [
    [post("audit", '{"limit":-1}'), 400, /limit is not a whole number/],
    [post("audit", '{"before":"yesterday"}'), 400, /before is not a page's/],
    [post("audit", '{"since":"x"}'), 400, /since is not/],
    [post("log", '{"level":"loud"}'), 400, /level is not debug, info, warn or error/],
    [post("log", '{"before":"1-1.x"}'), 400, /before is not a page's/],
    [get("log"), 405, /not served/],
  ]);
  assert.deepEqual(gateway.calls, []);
});
