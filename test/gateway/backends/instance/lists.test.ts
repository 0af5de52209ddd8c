// Lists: how they are read, and when they are read again.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { InstanceOptions } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import type { RequestResult } from "../../../../src/gateway/backends/instance/pending.ts";
import { type ReadKind, readKind } from "../../../../src/gateway/backends/instance/read-kind.ts";
import { ListCache } from "../../../../src/gateway/backends/list-cache/list-cache.ts";
import { NO_LISTINGS } from "../../../../src/gateway/catalog/catalog.ts";
import { judgePage, verdictOf } from "../../../../src/gateway/catalog/schema-verdicts.ts";
import type { JsonObject } from "../../../../src/gateway/json-rpc.ts";
import { LIST_CHANGED, MODERN_VERSION } from "../../../../src/gateway/protocol.ts";
import { readLarge } from "../../../../src/runtime/json/large-json.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { objectOf } from "../../../../src/runtime/text/json-object.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import {
  createScriptedLink,
  FAILURE,
  type ScriptedLink,
  toolOf,
} from "../programs/instance-scripted-link.ts";
import { startReady, startUnderTest } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

type Page = (cursor: string | number | null, method: string) => RequestResult;
const INITIALIZED = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  serverInfo: { name: "s", version: "1" },
  instructions: null,
} as const;
const page = (result: JsonObject): RequestResult => ({ kind: "answered", reply: { result } });

function read(
  answer: Page,
  kind: "tools" | "resources" = "tools",
  oddities: string[] = [],
): Promise<ReadKind> {
  return readKind(kind, {
    send: async (method, params) => {
      const cursor = params?.["cursor"];
      return answer(typeof cursor === "string" || typeof cursor === "number" ? cursor : null, method);
    },
    clock: createManualClock(),
    timeoutMs: 10_000,
    toolFault: () => null,
    isDeclared: true,
    isModern: false,
    before: null,
    onOddity: (method, oddity) => void oddities.push(`${method} ${oddity}`),
  });
}

async function failure(answer: Page): Promise<string> {
  const outcome = await read(answer);
  return outcome.failure === null ? "none" : `${outcome.failure.kind}: ${outcome.failure.message}`;
}

describe("reading a list", () => {
  test("pages, entries and bytes are bounded", async () => {
    let next = 0;
    const endless =
      (tools: readonly unknown[]): Page =>
      () =>
        page({ tools, nextCursor: String(next++) });
    assert.equal(await failure(endless([])), "overloaded: tools/list gives more than 1000 pages");
    const many = Array.from({ length: 1_000 }, (_, index) => ({ name: `t${index}` }));
    assert.equal(await failure(endless(many)), "overloaded: tools/list gives more than 3000 entries");
    const large = [{ name: "x", description: "x".repeat(1_000_000) }];
    next = 0;
    assert.equal(await failure(endless(large)), "overloaded: tools/list gives more than 16 MiB");
    assert.equal(next, 17);
  });
  test("E4 an entry is withheld that is too long, or has too many unseen characters with those before it", async () => {
    const tools = [
      ...[
        "x".repeat(1_000_000),
        "x".repeat(1_100_000),
        "\u200b".repeat(60_000),
        "\u200b".repeat(60_000),
        "y",
      ],
    ].map((description, at) => ({ name: `t${at}`, description, inputSchema: { type: "object" } }));
    const { part, faulty } = await read(() => page({ tools }));
    assert.deepEqual(pluck(part.tools ?? [], "name"), ["t0", "t2", "t4"]);
    const unseen = "with the entries before it, it has more than 100000 unseen characters";
    assert.deepEqual(pluck(faulty.tools ?? [], "entry", "faults", "withheldFrom"), [
      ['tool "t1"', "it has more than 1 MiB of JSON", "all"],
      ['tool "t3"', unseen, "all"],
    ]);
  });
  test("D3 of a list with more entries the first are used; withheld and skipped ones also count", async () => {
    const withheld = { name: "x", inputSchema: 1 };
    const tools = Array.from({ length: 4_000 }, (_, at) =>
      at % 2 === 0 ? withheld : { name: `t${at}`, inputSchema: { type: "object" } },
    );
    const outcome = await read(() => page({ tools }));
    assert.equal(outcome.failure?.message, "tools/list gives more than 3000 entries");
    assert.deepEqual(outcome.partial, ["tools"]);
    assert.equal(outcome.part.tools?.length, 1_500);
  });
  test("E4 a large list that cannot be read where it is looked into is not read, and ends nothing", async () => {
    const entries = Array.from(
      { length: 6_000 },
      (_, at) => `{"name":"t${at}","inputSchema":{"type":"object"}}`,
    );
    const long = `{"name":"x","inputSchema":{"type":"object","x":${"1".repeat(14_000_000)}}}`;
    const large = await readLarge(Buffer.from(`{"tools":[${[long, ...entries].join(",")}]}`));
    assert.equal(
      await failure(() => page(objectOf(large.parse()))),
      "overloaded: it has a number too long to be read",
    );
  });
  test("D3 no more than 100 entries of a list are reported", async () => {
    const tools = Array.from({ length: 150 }, (_, index) => ({ name: `t${index}`, inputSchema: 1 }));
    const outcome = await read(() => page({ tools }));
    assert.equal(outcome.faulty.tools?.length, 100);
  });
  test("E4 templates that make a read take too long are withheld, and said to be of which server", async () => {
    const resourceTemplates = Array.from({ length: 1_000 }, (_, at) => ({
      name: `t${at}`,
      uriTemplate: `${"{+a}".repeat(250)}!${at}`,
    }));
    const { part, faulty } = await read(
      (_, method) => page(method === "resources/list" ? { resources: [] } : { resourceTemplates }),
      "resources",
    );
    assert.equal(part.resourceTemplates?.length, 221);
    assert.equal(faulty.resourceTemplates?.length, 100);
    assert.equal(faulty.resourceTemplates[0]?.withheldFrom, "all");
    const plain = Array.from({ length: 1_001 }, (_, at) => ({ name: "n", uriTemplate: `x://${at}/{name}` }));
    const usual = await read(
      (_, method) => page(method === "resources/list" ? { resources: [] } : { resourceTemplates: plain }),
      "resources",
    );
    assert.equal(usual.part.resourceTemplates?.length, 1_000);
    assert.equal(usual.failure?.message, "resources/templates/list gives more than 1000 entries");
  });
  test("E4 a wrong or long pattern is a fault, and tools whose patterns take too long to make are withheld, while others have their turn", async () => {
    const withPattern = (name: string, pattern: string) => ({
      name,
      inputSchema: { type: "object", properties: { a: { pattern }, b: { type: "string" } } },
    });
    const faultsAmong = async (tools: readonly JsonObject[]) => {
      const { faulty, part } = await read(() => page({ tools }));
      const faults = (faulty.tools ?? []).map(({ entry, faults: texts }) => `${entry}: ${texts}`);
      return { faults, tools: part.tools ?? [] };
    };
    const reason =
      "left out of inputSchema: pattern is not valid, or longer than 1000 characters (in properties.a)";
    assert.deepEqual(
      (
        await faultsAmong([
          withPattern("sound", "^\\p{Lu}[\\p{L}_]+$"),
          withPattern("wrong", "^\\p{Nothing}$"),
          withPattern("long", "[\\p{L}\\p{N}]".repeat(100)),
        ])
      ).faults,
      [`tool "wrong": ${reason}`, `tool "long": ${reason}`],
    );
    const slow = [...Array(150).keys()].map((at) => withPattern(`t${at}`, `${"\\p{L}".repeat(190)}${at}`));
    const last = { name: "last", inputSchema: { type: "object" } };
    let turns = 0;
    const counting = setInterval(() => {
      turns += 1;
    }, 5);
    const { faults, tools } = await faultsAmong([...slow, last]);
    clearInterval(counting);
    assert.ok(turns > 2, "the daemon's thread is free");
    assert.deepEqual([tools.length, tools.at(-1), faults.length], [106, last, 45]);
    assert.match(
      faults[0] ?? "",
      /^tool "t105": with the tools before it, its patterns have more than 20000 classes/,
    );
  });
  test("E4 a list whose schemas take too long is not used, the next one is judged all the same, and verdicts outlive a restart", async () => {
    const many = (count: number, $ref: string) => ({
      name: `t${count}`,
      inputSchema: {
        type: "object",
        properties: { a: { anyOf: Array.from({ length: count }, () => ({ $ref })) } },
      },
    });
    const [slow, quick] = [many(9_999, `#${"/x".repeat(40)}`), many(1, "#/nowhere")];
    const clock = createManualClock();
    const judging = judgePage([slow], [JSON.stringify(slow)], clock);
    await clock.advance(10_000);
    assert.equal(await judging, false);
    const padded = { ...quick, description: "x".repeat(300_000) };
    assert.equal(await judgePage([padded], [JSON.stringify(padded)], clock), true);
    const { faults } = verdictOf(padded);
    assert.deepEqual(faults, [
      'left out of inputSchema: $ref "#/nowhere" leads nowhere (in properties.a.anyOf.0)',
    ]);
    assert.match(verdictOf(many(10_001, "#")).withheld ?? "", /more than 10000 references/);
    const remembered = new ListCache({ clock, logger: noopLogger });
    const lists = {
      initialized: INITIALIZED,
      freshness: {},
      askedAtMs: 0,
      listings: { ...NO_LISTINGS, tools: [padded] },
    };
    assert.equal(remembered.record("a", "key", lists), true);
    const [found] = remembered.find("a", "key")?.listings.tools ?? [];
    assert.ok(found !== undefined && found !== padded);
    assert.equal(verdictOf(found).faults[0], faults[0]);
  });
  test("D3 if a later page fails, the earlier ones are read, and the reason names the missing pages", async () => {
    const unknown: RequestResult = { kind: "answered", reply: { error: { code: -32601, message: "no" } } };
    const message = await failure((cursor) =>
      cursor === null ? page({ tools: [], nextCursor: "a" }) : unknown,
    );
    assert.match(
      message,
      /^protocol: tools\/list was answered with error -32601: no; its pages from 2 on are missing.*timeouts\.cap_fetch/,
    );
  });
  test("one deadline applies to all pages", async () => {
    const clock = createManualClock();
    const asked: number[] = [];
    const toolFault = (): null => null;
    const limits = { clock, timeoutMs: 10_000, before: null };
    const options = { ...limits, toolFault, isDeclared: true, isModern: false, onOddity() {} };
    const outcome = await readKind("tools", {
      ...options,
      send: async (_method, _params, timeoutMs) => {
        asked.push(timeoutMs);
        await clock.advance(4_000);
        return page({ tools: [], nextCursor: String(asked.length) });
      },
    });
    assert.deepEqual(asked, [10_000, 6_000, 2_000]);
    assert.equal(outcome.failure?.kind, "unreachable");
    const late = await readKind("tools", {
      ...options,
      async send(_method, _params, timeoutMs) {
        await clock.advance(timeoutMs === 10_000 ? 4_000 : timeoutMs);
        const failed = { kind: "failed", failure: FAILURE("unreachable", "within 6 s") } as const;
        return timeoutMs === 10_000 ? page({ tools: [], nextCursor: "a" }) : failed;
      },
    });
    assert.match(
      late.failure?.message ?? "",
      /^no answer to tools\/list within 10 s; its pages from 2 on are missing/,
    );
  });
  test("resources and their templates are read together; a missing list is empty and odd", async () => {
    const oddities: string[] = [];
    const outcome = await read(
      (_cursor, method) =>
        method === "resources/templates/list"
          ? page({ resourceTemplates: [{ uriTemplate: "f:///{x}", name: "x" }, { name: "no template" }] })
          : { kind: "answered", reply: { error: { code: -32601, message: "no" } } },
      "resources",
      oddities,
    );
    assert.deepEqual(outcome, {
      part: { resources: [], resourceTemplates: [{ uriTemplate: "f:///{x}", name: "x" }] },
      faulty: { resources: [], resourceTemplates: [] },
      freshness: { resources: null, resourceTemplates: { ttlMs: 0, cacheScope: "private" } },
      failure: null,
      partial: [],
    });
    assert.deepEqual(oddities.sort(), [
      "resources/list no_such_list",
      "resources/templates/list nameless_entry",
    ]);
    await read(
      (_cursor, method) =>
        method === "resources/list"
          ? page({ resources: [] })
          : { kind: "answered", reply: { error: { code: -32601, message: "no" } } },
      "resources",
      oddities,
    );
    assert.equal(oddities.length, 2, "templates are often missing");
  });
  test("entries nested too deep for clients are skipped, and odd; the rest of all pages is read", async () => {
    const oddities: string[] = [];
    for (const deep of [
      JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`),
      JSON.parse(`${'{"0":1,"a":'.repeat(20_000)}1${"}".repeat(20_000)}`),
    ]) {
      let next = 0;
      const outcome = await read(
        () =>
          page({
            tools: [toolOf(`t${next}`), { name: `deep${next}`, inputSchema: deep }],
            nextCursor: next++ < 2 ? String(next) : undefined,
          }),
        "tools",
        oddities,
      );
      assert.deepEqual(outcome, {
        part: { tools: [toolOf("t0"), toolOf("t1"), toolOf("t2")] },
        faulty: { tools: [] },
        freshness: { tools: { ttlMs: 0, cacheScope: "private" } },
        failure: null,
        partial: [],
      });
    }
    assert.deepEqual([...new Set(oddities)], ["tools/list unwritable_entry"]);
  });
});

describe("lists that change", () => {
  stories(`
B7 a notice rereads its kind, and only a changed list is reported
  a server, 1 s, tools change: 2 tools/list requests, 1 prompts/list request, 0 new lists
  1 s, gives tools two, gives resources/list {"resources":[]}, tools change: 1 new list, tools two, resources 1
a server that never stops is listened to ten times a second
  a server, gives tools two, tools change, tools change: 0 new lists; 100 ms: 1 new list, tools two, 2 tools/list requests
B7 a due list is read at once when it is needed, and its wait is then over
  a server: nothing is due for a notice; at once tools change, gives tools late, due lists are read for a notice: tools late, 1 new list, 2 tools/list requests
  10 s: nothing is due for a notice, 2 tools/list requests
D5 a reading that takes longer than a second is published when it comes, and the next one is not waited for
  a server, 5 s, hangs tools/list: a list of tools is due for a list; 1 s: nothing is due for a list of tools
  tools/list answered {"tools":[{"name":"late","inputSchema":{"type":"object"}}]}: tools late; 5 s: nothing is due for a list of tools
  tools/list answered {"tools":[{"name":"soon","inputSchema":{"type":"object"}}]}, 5 s: a list of tools is due for a list
B7 many notices cause one reading after the one in progress
  a server, 1 s, hangs tools/list, 50 times tools change at once: 2 tools/list requests
  gives tools newest, tools/list answered {"tools":[{"name":"newer","inputSchema":{"type":"object"}}]}: tools newer
  100 ms: tools newest, 3 tools/list requests, 1 prompts/list request, 2 new lists
a failed reading leaves the old list, reports it, and is repeated by refresh
  a server, 1 s, refuses prompts/list "disk", prompts change: tools one, is ready, lists are stale: "prompts/list was answered with error -32603: disk"
  gives prompts/list {"prompts":[]}, 1 s: 2 news; refreshed: lists are whole, 1 news, 0 new lists
a notice during the start is not lost, whichever list was read already
  a server to start, hangs prompts/list, starts, gives tools late, tools change, prompts/list answered {"prompts":[]}, 100 ms: tools late
  a server to start, hangs tools/list, starts, tools change, gives tools late, tools/list answered {"tools":[]}, 100 ms: tools late
B7 an end while lists are read leaves no timer, no warning, and nothing that becomes ready
  a server to start, hangs tools/list, starts, tools change, tools/list answered {"tools":[]}, closed "over": is closing, no timers, 0 warnings
  a server, 1 s, hangs prompts/list, at once prompts change, tools change, tools change, gap, gap, 2 times a call is answered, closed "over"
  : is closing, no timers, 0 warnings
D3 withheld entries of a list stay reported while that list cannot be read
  a server to start, gives tools/list {"tools":[{"name":"one","inputSchema":{"type":"string"}}]}, starts, 1 s
  : withheld ["tool \\"one\\" is withheld: inputSchema.type is \\"string\\", not \\"object\\""]
  refuses tools/list "no disk", tools change: lists are stale: "tools/list was answered with error -32603: no disk"
  : withheld ["tool \\"one\\" is withheld: inputSchema.type is \\"string\\", not \\"object\\""]
a notice about a kind that the server does not have causes no reading
  a server to start, declares {"tools":{}}, starts, prompts change: 0 prompts/list requests
D2 a tool that clients of 2026-07-28 would drop is listed for the others, with the reason
  a server to start, gives tools/list {"tools":[{"name":"odd","inputSchema":{"type":"object","items":{"type":"string","x-mcp-header":"Region"}}}]}, starts: tools odd
  : withheld ["tool \\"odd\\" is withheld from clients of 2026-07-28: x-mcp-header of items is not on a plain property"]
B7 after a gap in a server's messages, the lists that it announces are read again
  a server to start, declares {"tools":{"listChanged":true},"prompts":{}}, starts, 1 s, gives tools two, gap: tools two, 1 new list, 1 prompts/list request
  gives tools three, 29 times a gap and 1000 ms: 2 tools/list requests; 1 s: tools three, 3 tools/list requests
`);
  test("B7 an entry that is as it was before the start stays the same object", async () => {
    const { listings } = (await startReady()).instance;
    const { instance } = await startReady({ listings });
    assert.deepEqual(instance.listings, listings);
    assert.ok(instance.listings?.tools[0] !== undefined && instance.listings.tools[0] === listings?.tools[0]);
  });
  test("D5 a server that notices after each reading is not read again for each name that it lacks", async () => {
    const { link, instance, clock } = await startReady();
    for (const waitMs of [50, 100, 200, 400, 800]) {
      for (let round = 0; round < 10; round++) {
        link.notify(LIST_CHANGED.tools);
        await instance.readDueLists("name", ["tools"]);
      }
      await clock.advance(waitMs);
    }
    const readings = link.requests("tools/list").length;
    assert.ok(readings <= 13, `${readings}`);
  });
  test("D5 a list older than five seconds, or than its `ttlMs` up to five minutes, is read once for all who list", async () => {
    const ofVersion = (ttlMs: number) => (scripted: ScriptedLink) => {
      const serverInfo = { name: "scripted", version: "1" };
      scripted.gives("initialize", {
        protocolVersion: MODERN_VERSION,
        capabilities: { tools: {} },
        serverInfo,
      });
      scripted.gives("tools/list", { tools: [toolOf("one")], ttlMs });
    };
    for (const [ttlMs, goodMs] of [
      [0, 5_000],
      [1_000, 5_000],
      [60_000, 60_000],
      [900_000, 300_000],
    ] as const) {
      const { link, instance, counts, clock } = await startReady({}, ofVersion(ttlMs));
      const [one] = instance.listings?.tools ?? [];
      const asked = () => link.requests("tools/list").length;
      assert.equal(instance.remainingMs("tools"), ttlMs);
      assert.equal(instance.remainingMs("prompts"), Number.POSITIVE_INFINITY, "it has none");
      await clock.advance(goodMs - 1);
      assert.deepEqual([instance.readDueLists("list"), asked()], [null, 1]);
      await clock.advance(1);
      await Promise.all([instance.readDueLists("list", ["tools"]), instance.readDueLists("list")]);
      assert.deepEqual([asked(), counts.listings, instance.remainingMs("tools")], [2, 0, ttlMs]);
      assert.equal(instance.listings?.tools[0], one, "an equal entry stays the same object");
      link.gives("tools/list", { tools: [toolOf("one"), toolOf("two")], ttlMs: ttlMs - 1 });
      await clock.advance(goodMs);
      await instance.readDueLists("list");
      assert.deepEqual([asked(), counts.listings, instance.listings?.tools.length], [3, 1, 2]);
      await clock.advance(4_999);
      assert.deepEqual([instance.readDueLists("name"), asked()], [null, 3]);
      await clock.advance(1);
      await instance.readDueLists("name");
      assert.equal(asked(), 4, "for a name that no list has, `ttlMs` does not count");
    }
  });
  test("D5 a list that differs three times in a row without a notice is read every five minutes, and noted", async () => {
    const { link, instance, clock } = await startReady();
    let at = 0;
    const dated = () => ({ result: { tools: [{ ...toolOf("one"), description: `at ${at++}` }] } });
    link.answers.set("tools/list", dated);
    const read = async (afterMs: number) => {
      await clock.advance(afterMs);
      await instance.readDueLists("list", ["tools"]);
      return [at, instance.observed.oddities.includes("unsteady_lists")];
    };
    assert.deepEqual(await read(5_000), [1, false]);
    assert.deepEqual(await read(5_000), [2, false]);
    link.notify(LIST_CHANGED.tools);
    await settle();
    for (const [nth, isNoted] of [
      [4, false],
      [5, false],
      [6, true],
    ])
      assert.deepEqual(await read(5_000), [nth, isNoted]);
    assert.deepEqual(await read(299_999), [6, true]);
    assert.deepEqual(await read(1), [7, true]);
    link.gives("tools/list", { tools: [toolOf("one")] });
    await read(300_000);
    link.answers.set("tools/list", () => ({ result: { tools: [toolOf("one")] } }));
    assert.deepEqual(await read(300_000), [7, false], "it is steady again");
    link.answers.set("tools/list", dated);
    for (const nth of [8, 9, 10, 11])
      assert.deepEqual(await read(60_000), [nth, false], "somebody edits a text");
    const added = () => ({ result: { tools: Array.from({ length: at++ }, (_, n) => toolOf(`${n}`)) } });
    link.answers.set("tools/list", added);
    for (const nth of [12, 13, 14, 15, 16])
      assert.deepEqual(await read(5_000), [nth, false], "somebody adds something each time");
  });
  test("D5 a reading that fails harms nothing: it is tried after 5, 10 … 300 s, not waited for, and as the server wants", async () => {
    const { link, instance, clock, call } = await startReady();
    link.refuses("tools/list", "too busy");
    const asked = () => link.requests("tools/list").length;
    await clock.advance(5_000);
    await instance.readDueLists("list", ["tools"]);
    let tries = asked();
    for (const waitMs of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      await clock.advance(waitMs - 1);
      assert.deepEqual([instance.readDueLists("name", ["tools"]), asked()], [null, tries]);
      await clock.advance(1);
      assert.equal(instance.readDueLists("list", ["tools"]), null);
      await settle();
      tries += 1;
      assert.equal(asked(), tries);
    }
    assert.deepEqual([instance.observed.listsStaleBecause, instance.observed.missedChecks], [null, 0]);
    link.retryAfter(3_600_000);
    await clock.advance(3_599_999);
    void instance.readDueLists("list");
    assert.equal(asked(), tries);
    const busy = call(null);
    await clock.advance(1);
    link.answers.set("tools/list", () => FAILURE("unreachable"));
    void instance.readDueLists("list");
    await settle();
    assert.deepEqual(
      [asked(), instance.observed.isUnreachable, instance.observed.missedChecks],
      [tries + 1, false, 0],
    );
    link.answer(busy.id, { result: {} });
    await busy.reply;
  });
  test("D5 a server that announces a change after each reading is read less and less often, while nothing changes", async () => {
    const { link, clock } = await startReady();
    let reads = 0;
    link.answers.set("tools/list", () => {
      reads += 1;
      link.notify(LIST_CHANGED.tools);
      return { result: { tools: [toolOf("one")] } };
    });
    link.notify(LIST_CHANGED.tools);
    for (let at = 0; at < 1_000; at++) await clock.advance(20);
    assert.ok(reads >= 5 && reads <= 12, `${reads}`);
  });
  test("B7 D3 a list that fails again for the same reason, though with a different count in it, is reported once", async () => {
    const { link, instance, logger, clock } = await startReady();
    let count = 0;
    link.answers.set("tools/list", () => ({ error: { code: -32603, message: `request ${++count} failed` } }));
    for (let notice = 0; notice < 5; notice++) {
      await clock.advance(1_000);
      link.notify(LIST_CHANGED.tools);
      await settle();
    }
    assert.ok(count >= 5);
    assert.match(String(instance.observed.listsStaleBecause), /request 1 failed/);
    assert.equal(logger.lines.filter(({ level }) => level === "warn").length, 1);
    link.refuses("tools/list", "another reason");
    await clock.advance(1_000);
    link.notify(LIST_CHANGED.tools);
    await settle();
    assert.equal(logger.lines.filter(({ level }) => level === "warn").length, 2);
  });
  test("D3 a list that is declared and missing is reported once, and one whose session is lost is not reported", async () => {
    const { link, logger, clock } = await startReady({}, ({ answers }) => answers.delete("prompts/list"));
    let isLost = true;
    link.answers.set("tools/list", () =>
      isLost ? FAILURE("session_lost") : { result: { tools: [toolOf("one")] } },
    );
    for (let notice = 0; notice < 2; notice++) {
      await clock.advance(1_000);
      for (const kind of ["tools", "prompts"] as const) link.notify(LIST_CHANGED[kind]);
      isLost = false;
      await settle();
    }
    const warnings = logger.lines.filter(({ level }) => level === "warn");
    assert.deepEqual(pluck(warnings, "message"), ["a server declares a list that it does not have"]);
  });
  test("D2 the validity of the lists of a server of 2026-07-28 is stored, over all pages, and reported when it changes", async () => {
    const page = (cursor: unknown, ttlMs: number) => ({
      result: { tools: [toolOf(`t${cursor}`)], ttlMs, cacheScope: "public" },
    });
    const { link, instance, counts, clock } = await startReady({}, (link) => {
      const capabilities = { tools: { listChanged: true } };
      const serverInfo = { name: "scripted", version: "1.2.3" };
      link.gives("initialize", { protocolVersion: "2026-07-28", capabilities, serverInfo });
      link.answers.set("tools/list", ({ params }) => {
        if (params?.["cursor"] !== undefined) return page(1, 30);
        return { result: { ...page(0, 50).result, nextCursor: "next" } };
      });
    });
    const others = { resources: null, resourceTemplates: null, prompts: null };
    assert.deepEqual(instance.freshness, { ...others, tools: { ttlMs: 30, cacheScope: "public" } });
    const { listings } = instance;
    link.gives("tools/list", { tools: [toolOf("t0"), toolOf("t1")], ttlMs: 30, cacheScope: "private" });
    await clock.advance(1_000);
    instance.refresh();
    await settle();
    assert.deepEqual(instance.freshness["tools"], { ttlMs: 30, cacheScope: "private" });
    assert.equal(instance.listings, listings);
    assert.equal(counts.listings, 1);
  });
  test("D2 a validity from a server of an older version is ignored, and a list that could not be read has none", async () => {
    const { instance } = await startReady({}, (link) => {
      link.gives("tools/list", { tools: [toolOf("t")], ttlMs: 30, cacheScope: "public" });
      link.answers.set("prompts/list", () => ({ error: { code: -32603, message: "not now" } }));
    });
    assert.deepEqual(instance.freshness["tools"], { ttlMs: 0, cacheScope: "private" });
    assert.equal("prompts" in instance.freshness, false);
  });
  test("entries nested too deep are skipped: read again, they change nothing", async () => {
    const deep = (): unknown => JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
    const { link, counts, clock } = await startReady({}, (link) =>
      link.answers.set("tools/list", () => ({ result: { tools: [{ name: "one", deep: deep() }] } })),
    );
    await clock.advance(1_000);
    link.notify(LIST_CHANGED.tools);
    await settle();
    assert.equal(counts.listings, 0);
  });
  test("a tool that the transport cannot call is not published", async () => {
    const open: InstanceOptions["open"] = (events) => ({
      ...scripted.open(events),
      toolFault: ({ name }) => (name === "one" ? "it cannot be called here" : null),
    });
    const scripted = createScriptedLink();
    const { instance } = startUnderTest({ open });
    await settle();
    assert.deepEqual(instance.listings?.tools, []);
    assert.deepEqual(instance.observed.withheldEntries, ['tool "one" is withheld: it cannot be called here']);
  });
});

test("D3 the last whole reading's entries stay for a page that hangs, and the server is kept while it answers pings", async () => {
  const pages = (second: object | null) => (message: { readonly params?: unknown }) => {
    const isSecond = JSON.stringify(message.params ?? {}).includes("cursor");
    if (isSecond) return second === null ? null : { result: { tools: [second] } };
    return { result: { tools: [toolOf("early")], nextCursor: "2" } };
  };
  const { link, instance, clock } = await startReady({}, (scripted) => {
    scripted.answers.set("tools/list", pages(toolOf("late")));
  });
  const names = () => instance.listings?.tools.map(({ name }) => name);
  assert.deepEqual(names(), ["early", "late"]);
  link.answers.set("tools/list", pages(null));
  link.notify(LIST_CHANGED.tools);
  await clock.advance(20_000);
  assert.deepEqual(names(), ["early", "late"]);
  const missing = /its pages from 2 on are missing; .*`timeouts\.cap_fetch`/;
  assert.match(String(instance.observed.listsStaleBecause), missing);
  instance.check();
  await clock.advance(5_000);
  assert.deepEqual([instance.observed.missedChecks, instance.observed.state.kind], [0, "ready"]);
});
