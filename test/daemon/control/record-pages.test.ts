import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import {
  type AuditRequest,
  auditReportShape,
  type LogRequest,
  logReportShape,
} from "../../../src/api/contract/records.ts";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { auditReport } from "../../../src/daemon/control/audit-report.ts";
import { createLogReader, createRecordPages } from "../../../src/daemon/control/record-pages.ts";
import { createSetupControl } from "../../../src/daemon/control/setup-control.ts";
import { startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../../src/demo/stage/smb-available.ts";
import { startLog } from "../../../src/runtime/log/log-file.ts";
import type { readLinesBackwards } from "../../../src/runtime/log/read-backwards.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../src/secrets/secret-store.ts";
import { sampleReload } from "../../api/sample-config.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";

const never = new AbortController().signal;
const at = (second: number): string => `2026-01-31T12:00:${String(second).padStart(2, "0")}.000Z`;

const request = (second: number, changes: object = {}): object => ({
  time: at(second),
  principal: "ada",
  session: "0123456789ab",
  method: "tools/call",
  target: "tool:read",
  backend: "files",
  outcome: "ok",
  duration_ms: 1.5,
  ...changes,
});

async function auditOf(t: Scope, lines: readonly (object | string)[]) {
  const path = join(await temporaryFolder(t), "audit.jsonl");
  const texts = lines.map((line) => (typeof line === "string" ? line : `${JSON.stringify(line)}\n`));
  await writeFile(path, texts.join(""));
  const pages = createRecordPages(systemClock);
  return async (asked: AuditRequest) => {
    const report = await auditReport({ path, keep: 2 }, asked, pages, never);
    assert.equal(auditReportShape.faultIn(report), null);
    assert.equal(report.path, path);
    return report;
  };
}

test("F2 the audit is listed newest first, each kind of record by its name, and torn or foreign lines are skipped", async (t) => {
  const ask = await auditOf(t, [
    { time: at(1), event: "config.entry_waits", entry: "backends.files", summary: "npx files" },
    "{\n",
    {
      time: at(2),
      principal: null,
      remote: "127.0.0.1",
      outcome: "refused:401",
      reason: "no token",
      count: 3,
    },
    "[1]\n{}\n",
    { time: at(3), dropped: 4, since: at(2) },
    request(4, { arguments: { path: "/a" }, method: "tools/call", duration_ms: "long" }),
    '{"time":"2026',
  ]);
  assert.deepEqual(await ask({}), {
    enabled: true,
    path: (await ask({})).path,
    records: [
      {
        time: at(4),
        kind: "request",
        principal: "ada",
        target: "tool:read",
        backend: "files",
        session: "0123456789ab",
        method: "tools/call",
        outcome: "ok",
        arguments: { path: "/a" },
      },
      { time: at(3), kind: "lost", since: at(2), dropped: 4 },
      {
        time: at(2),
        kind: "refused",
        principal: null,
        remote: "127.0.0.1",
        outcome: "refused:401",
        reason: "no token",
        count: 3,
      },
      {
        time: at(1),
        kind: "notice",
        event: "config.entry_waits",
        entry: "backends.files",
        summary: "npx files",
      },
    ],
    more: false,
    next: null,
  });
});

test("F2 the audit is filtered by backend, tool, principal, outcome, text and time, and paged", async (t) => {
  const ask = await auditOf(t, [
    request(1),
    request(2, { backend: "web", target: "tool:fetch", principal: "bob" }),
    request(3, { outcome: "error:-32602" }),
    request(4, { outcome: "error:-32603", arguments: { q: "Füße" } }),
    request(5, { outcome: "denied" }),
  ]);
  const seconds = async (asked: AuditRequest) =>
    (await ask(asked)).records.map(({ time }) => Number(time.slice(17, 19)));
  const cases: readonly (readonly [AuditRequest, readonly number[]])[] = [
    [{}, [5, 4, 3, 2, 1]],
    [{ backend: "web" }, [2]],
    [{ tool: "read", outcome: "ok" }, [1]],
    [{ principal: "bob" }, [2]],
    [{ outcome: "error" }, [4, 3]],
    [{ outcome: "error:-32602" }, [3]],
    [{ outcome: "den" }, []],
    [{ text: "FÜSSE" }, []],
    [{ text: "füß" }, [4]],
    [{ text: "FETCH" }, [2]],
    [{ text: "duration" }, []],
    [{ before: at(3) }, [2, 1]],
    [{ before: "2026-01-31T12:00:03Z" }, [2, 1]],
    [{ since: at(3) }, [5, 4, 3]],
    [{ since: at(3), before: at(5) }, [4, 3]],
    [{ since: at(9) }, []],
    [{ limit: 0 }, [5]],
  ];
  for (const [asked, expected] of cases) {
    assert.deepEqual(await seconds(asked), expected, JSON.stringify(asked));
  }
  const first = await ask({ limit: 2, tool: "read" });
  assert.deepEqual([first.records.map(({ time }) => time), first.more], [[at(5), at(4)], true]);
  const second = await ask({ limit: 2, tool: "read", before: first.next ?? "" });
  assert.deepEqual([second.records.map(({ time }) => time), second.more], [[at(3), at(1)], false]);
  assert.equal((await ask({ since: at(3) })).next, null, "nothing older is wanted");
});

test("without an audit nothing is read, and the answer says so", async () => {
  assert.deepEqual(await auditReport(null, {}, () => assert.fail("nothing is read"), never), {
    enabled: false,
    path: null,
    records: [],
    more: false,
    next: null,
  });
});

test("an answer stays small where records are large, and the next page continues it", async (t) => {
  const ask = await auditOf(
    t,
    Array.from({ length: 12 }, (_, index) => request(index, { arguments: "x".repeat(500_000) })),
  );
  const seen: string[] = [];
  let before: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof ask>> = await ask(before === null ? {} : { before });
    assert.ok(JSON.stringify(page).length < 3 * 1024 * 1024);
    seen.push(...page.records.map(({ time }) => time));
    before = page.next;
  } while (before !== null);
  assert.deepEqual(
    seen,
    Array.from({ length: 12 }, (_, index) => at(11 - index)),
  );
});

test("F2 the daemon's log is listed newest first, by level and text, including rotated files", async (t) => {
  const path = join(await temporaryFolder(t), "mountaineer.log");
  const clock = createManualClock();
  const log = startLog({ filePath: path, stderr: false, level: "debug", clock, maxFileBytes: 400 });
  for (const word of ["one", "two"]) {
    log.logger.debug("looked", { word });
    log.logger.info("mounted", { share: "CORE", over: ["tb"], took_ms: 5, ok: true });
    log.logger.error("it failed", { reason: "no route" });
    // In several batches, between which the file may be rotated.
    await settle();
  }
  log.logger.info("bare");
  await log[Symbol.asyncDispose]();
  const readLog = createLogReader(path, systemClock);
  const messages = async (asked: LogRequest): Promise<string[]> => {
    const report = await readLog(asked, never, OWNER_RIGHTS);
    assert.equal(logReportShape.faultIn(report), null);
    assert.equal(report.path, path);
    return report.lines.map(({ message }) => message);
  };
  const all = await readLog({}, never, OWNER_RIGHTS);
  assert.deepEqual(all.lines[0], { at: all.lines[0]?.at, level: "info", message: "bare" });
  assert.deepEqual(all.lines[2]?.fields, { share: "CORE", over: ["tb"], took_ms: 5, ok: true });
  assert.ok(all.lines.length >= 4, "the rotated file, too");
  assert.deepEqual((await messages({ level: "error" }))[0], "it failed");
  assert.ok((await messages({ level: "info" })).every((message) => message !== "looked"));
  assert.deepEqual(new Set(await messages({ text: "NO ROUTE" })), new Set(["it failed"]));
  const first = await readLog({ limit: 1 }, never, OWNER_RIGHTS);
  assert.equal(first.more, true);
  assert.equal((await messages({ limit: 1, before: first.next ?? "" }))[0], "it failed");
});

test("a cancelled read ends at once, and does not delay the next", async () => {
  const pages = createRecordPages(createManualClock());
  const asked = (signal: AbortSignal) => pages({ path: "/dev/null", keep: 0, read: () => null }, signal);
  const stop = new AbortController();
  const cancelled = asked(stop.signal);
  stop.abort(new Error("gone"));
  await assert.rejects(cancelled, /gone/);
  assert.deepEqual(await asked(never), { records: [], more: false, next: null });
});

test("F2 a search that takes long answers with what it has found, and where it continues", async () => {
  const clock = createManualClock();
  const slow: typeof readLinesBackwards = async (_, take) => {
    for (let line = 9; line > 0; line -= 1) {
      await clock.advance(1_500);
      if (!take(JSON.stringify({ time: at(line) }))) return { file: "1-1", offset: line };
    }
    return null;
  };
  const pages = createRecordPages(clock, slow);
  const found = await pages({ path: "/a", keep: 0, read: ({ time }) => time }, never);
  assert.deepEqual(found, { records: [at(9), at(8), at(7)], more: true, next: "1-1.7" });
});

test("a disk that does not answer ends each reading after 5 s, and only one reading ever asks it", async () => {
  const clock = createManualClock();
  let asked = 0;
  const disk = Promise.withResolvers<null>();
  const hanging = (): Promise<null> => {
    asked++;
    return disk.promise;
  };
  const pages = createRecordPages(clock, hanging);
  const readings = [1, 2, 3].map(() => pages({ path: "/nas/audit", keep: 0, read: () => null }, never));
  const ended = Promise.allSettled(readings);
  await settle();
  await clock.advance(5_000);
  for (const outcome of await ended) {
    assert.equal(outcome.status, "rejected");
    assert.match(String(outcome.reason), /gave no answer within 5 s/);
  }
  assert.equal(asked, 1);
  const next = () => pages({ path: "/nas/audit", keep: 0, read: () => null }, never);
  let isTold = false;
  const later = assert.rejects(next(), /gave no answer within 5 s/).then(() => {
    isTold = true;
  });
  await settle();
  assert.equal(isTold, true, "at once while the first one hangs");
  await later;
  assert.equal(asked, 1);
  disk.resolve(null);
  await settle();
  assert.deepEqual(await next(), { records: [], more: false, next: null });
});

// What a person needs to add a share or a server, before a real SMB server where one is there.
const signal = AbortSignal.any([]);

async function openControl(t: Scope) {
  const home = await temporaryFolder(t);
  const reloads: unknown[] = [];
  const reload = (input: unknown) => {
    reloads.push(input);
    return sampleReload();
  };
  return { home, control: createSetupControl({ home, configPath: null, reload }), reloads };
}

test("F4 a secret is stored, used at once, listed only by its name and forgotten; the daemon's own key is not touched", async (t) => {
  const { control, reloads } = await openControl(t);
  const { kept } = await control.setSecret({ name: "nas", value: "s3cret word" }, signal, OWNER_RIGHTS);
  assert.deepEqual(reloads, [{ secrets: true }]);
  const report = await control.secrets();
  assert.deepEqual(report.secrets, [{ name: "nas", kept, used_by: [] }]);
  const remove = (name: string) => control.removeSecret({ name }, signal, OWNER_RIGHTS);
  assert.deepEqual(await remove("nas"), { name: "nas", kept });
  assert.deepEqual(reloads, [{ secrets: true }, { secrets: true }]);
  await assert.rejects(remove("nas"), { code: "secret_unknown" });
  await assert.rejects(control.setSecret({ name: "sign-in.key", value: "x" }, signal, OWNER_RIGHTS), {
    code: "usage",
  });
  await assert.rejects(remove("sign-in.key"), { code: "usage" });
});

test("F4 each secret is listed with all its uses, even one that is not stored, and the key of the sign-ins", async (t) => {
  const { home, control } = await openControl(t);
  const backend = (name: string): string =>
    `[backends.${name}]\nurl = "https://${name}.example/mcp"\nheaders = { Authorization = "secret:api" }\n`;
  await writeFile(join(home, "config.toml"), backend("a") + backend("b"));
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });
  const { kept } = await store.set("sign-in.key", "x", null, signal);
  const { secrets, config_error } = await control.secrets();
  assert.equal(config_error, null);
  assert.deepEqual(secrets, [
    {
      name: "api",
      kept: null,
      used_by: ["server a (headers Authorization)", "server b (headers Authorization)"],
    },
    { name: "sign-in.key", kept, used_by: ["logins to servers"] },
  ]);
});

test("F4 an address without a path gets the path at which an MCP server answers", async (t) => {
  const { control } = await openControl(t);
  const asked: string[] = [];
  const server = createServer(({ url = "", headers }, response) => {
    asked.push(`${url} ${headers.authorization ?? "nobody"}`);
    response.writeHead(url === "/mcp" ? 200 : 404, { "content-type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const at = `127.0.0.1:${address.port}`;
  const find = async (url: string) => (await control.mcpAddress({ url }, signal)).url;
  assert.equal(await find(`http://ann:word@${at}`), `http://ann:word@${at}/mcp`);
  assert.deepEqual(asked, ["/ nobody", "/mcp nobody"]);
  for (const other of [`http://${at}/other`, "no address", "data:text/plain,"])
    assert.equal(await find(other), null, other);
  assert.equal(asked.length, 2);
});

test("F4 a server is asked for its shares with the typed login, and another address is distinguished", {
  skip: (await missingForSmb("/nowhere")) ?? false,
}, async (t) => {
  const { control } = await openControl(t);
  await using nas = await startPlainRig({ shares: ["CORE", "MEDIA"] });
  await using stranger = await startPlainRig({ shares: ["CORE"], netbiosName: "OTHER" });
  for (const rig of [nas, stranger]) await writeFile(join(rig.exportPath("CORE"), "a.txt"), rig.tbHost);
  const login = {
    host: `${nas.tbHost}:${nas.tbPort}`,
    username: nas.username,
    password: nas.password,
  };
  const names = await control.shareNames(login, signal);
  assert.ok(names.kind === "listed", JSON.stringify(names));
  assert.deepEqual(new Set(names.names), new Set(["CORE", "MEDIA"]));
  assert.equal((await control.shareNames({ ...login, password: "wrong" }, signal)).kind, "refused");
  assert.equal((await control.shareNames({ ...login, host: "127.0.0.9:9" }, signal)).kind, "failed");
  const pair = (other: string) => control.pairServers({ ...login, share: "CORE", other }, signal);
  assert.deepEqual(await pair(`${nas.fallbackHost}:${nas.fallbackPort}`), { kind: "same", text: "" });
  assert.equal((await pair(`${stranger.tbHost}:${stranger.tbPort}`)).kind, "different");
  const networks = (...hosts: string[]) => control.shareNetworks({ hosts }, signal);
  assert.deepEqual(await networks(login.host), { networks: null }, "no gateway leads to this machine");
  await assert.rejects(networks("a b"), { code: "usage" });
  for (const wrong of [{ host: "a b" }, { username: "\u0000" }])
    await assert.rejects(control.shareNames({ ...login, ...wrong }, signal), { code: "usage" });
});
