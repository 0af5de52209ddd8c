// The page's people: what each may do, and the programs that act for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PeopleView } from "../../../src/web/page/settings/people-view.ts";
import { samplePerson } from "../../api/sample-gateway.ts";
import { eventually } from "../../support/eventually.ts";
import { scriptedApp } from "./scripted-app.ts";
import { mount } from "./tiny-dom.ts";

const REQUEST = {
  ...{
    name: "Claude\u202e",
    published_by: null,
    answers_to: "https://claude.ai",
    opened_from: "203.0.113.7",
  },
  ...{ resource: "https://mcp.example/mcp", opened: "2026-11-20T12:00:00.000Z", users: ["ann"] },
};

test("E1 the page shows what a user may do and by which rule, and ends or limits a program's access", async () => {
  using stale = mount(PeopleView, {
    app: scriptedApp({ people: { people: [], file_not_in_use: "line 7" } }),
  });
  await eventually(() => stale.text().includes("file on disk is not in use: line 7"));
  const app = scriptedApp();
  using page = mount(PeopleView, { app });
  (await eventually(() => page.named("button", "ann"))).fire("click");
  await eventually(() => page.text().includes("filesallowedread_filepolicy 1"));
  for (const text of [
    'filesdenieddelete_filedefault_effect = "deny"',
    "Claude: files, only what changes nothing, at http://127.0.0.1:9000/mcp",
  ])
    assert.ok(page.text().includes(text), text);
  page.named("button", "Only read: Claude").fire("click");
  page.named("button", "End access: Claude").fire("click");
  await eventually(() => app.log.length === 2);
  assert.deepEqual(app.log, [
    'changeGrants {"ids":["grant-1"],"to":{"backends":null,"read_only":true}}',
    'changeGrants {"ids":["grant-1"],"to":null}',
  ]);
});

test("E1 servers with equal rights share rows: the exceptions first, and each server's part one key away", async () => {
  const entry = (name: string, effect: "allow" | "ask" | "deny", rule: string) =>
    ({ kind: "tool", name, effect, rule }) as const;
  const alike = Array.from({ length: 20 }, (_, at) => ({
    backend: `s${at}`,
    entries: [entry(`s${at}_write`, "deny", "policy 3"), entry(`s${at}_read`, "allow", "policy 2")],
  }));
  const mail = [entry("mail_send", "ask", "policy 1"), entry("mail_read", "allow", "policy 2")];
  const servers = [
    { backend: "down", entries: [] },
    ...alike,
    { backend: "mail", entries: mail },
    { backend: "gone", entries: [] },
  ];
  using page = mount(PeopleView, {
    app: scriptedApp({ people: { people: [samplePerson({ name: "ben", servers })] } }),
  });
  (await eventually(() => page.named("button", "ben"))).fire("click");
  const table = await eventually(() => page.named("div", "What ben may do"));
  const reads = "s0_read, s1_read, s2_read, s3_read and 16 more";
  const all = "20 servers: s0, s1, s2 and 17 more";
  assert.equal(
    table.textContent,
    [
      ...["ServerMayWhatBy", "mailallowedmail_readpolicy 2", "mailasks firstmail_sendpolicy 1"],
      ...[`${all}allowed${reads}policy 2`, `${all}denied${reads.replaceAll("read", "write")}policy 3`],
      "2 servers: down, gonenothing listed yet",
    ].join(""),
  );
  page.named("button", `${all}: allowed by policy 2`).fire("click");
  await eventually(() => page.text().includes("s19: allowed by policy 2: s19_read; denied by"));
});

test("E1 a program is let in by the code of its page and a yes to what it asks for, and only by the owner", async () => {
  const letIn = async (yes: boolean) => {
    const app = scriptedApp({ accessRequest: REQUEST }, {}, yes);
    using page = mount(PeopleView, { app });
    await eventually(() => page.named("form", "Let a program in"));
    for (const [id, value] of [
      ["Let-a-program-in-0", "7k4 9qx"],
      ["Let-a-program-in-1", "ann"],
      ["Let-a-program-in-2", "files, crm"],
    ] as const) {
      page.byId(id).fire("input", { value });
      await eventually(() => page.byId(id).value === value);
    }
    const form = page.named("form", "Let a program in");
    Object.assign(form, { querySelectorAll: () => [] });
    form.fire("submit");
    await eventually(() => app.log.length === (yes ? 4 : 2));
    return app.log;
  };
  const asked = ['accessRequest {"code":"7k4 9qx"}', "? Let Claude\\u{202e} act as ann?"];
  assert.deepEqual(await letIn(false), asked);
  assert.deepEqual(await letIn(true), [
    ...asked,
    'accessRequest {"code":"7k4 9qx","answer":{"user":"ann","backends":["files","crm"],"read_only":false}}',
    "good: It is let in: its page continues",
  ]);
  const session = { expiresAt: null, mayRunCommands: false, ownerUntil: null };
  using locked = mount(PeopleView, { app: scriptedApp({}, { session }) });
  await eventually(() => /let programs in, run in a terminal/.test(locked.text()));
});
