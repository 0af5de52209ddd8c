// Rules that are edited while a person is asked about a call, made directly, through `call_tool` or by a script.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { PolicyConfig } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { CallHandle, ServerRequest } from "../../../src/gateway/client-handle.ts";
import type { Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import type { ServingSetOptions } from "../../../src/gateway/serving/serving-set.ts";
import { annotated, DESTROYS, READS, scriptRig, text, textOf } from "../scripts/script-rig.ts";
import { callPort, client, policy, user } from "./requests.ts";

const ann = client(user("ann", "staff"));
const TOOLS = { remove: DESTROYS, read: READS };
const SOURCES = [annotated("files", TOOLS)];
const OTHERS = policy("allow", { resources: ["tool:run_script", "tool:call_tool"] });
const PROMPTS = policy("ask", { resources: ["tool:rem*"] });
const rules = (...policies: readonly PolicyConfig[]) => ({
  authorization: { defaultEffect: "deny" as const, policies: [...policies, OTHERS] },
});

interface Edit {
  readonly sources?: readonly CatalogSource[];
  readonly options: Partial<ServingSetOptions>;
}

const WAYS = ["directly", "through call_tool", "by a script"] as const;

/** Makes the call; the rules are edited while the person is asked for the first time. */
async function callWhileEdited(t: TestContext, way: (typeof WAYS)[number], edit: Edit) {
  const records: AuditRecord[] = [];
  const config = { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: false, redact: [] };
  const audit = { config, write: (record: AuditRecord) => void records.push(record) };
  const optimized = way === "through call_tool";
  const done = async (): Promise<Reply> => text("done");
  const rig = scriptRig(t, SOURCES, done, { ...rules(PROMPTS), audit, optimized });
  const from = { ...ann, capabilities: { elicitation: {} } };
  let questions = 0;
  const port: CallHandle = {
    ...callPort(from),
    request: async (..._question: ServerRequest) => {
      questions += 1;
      if (questions === 1) rig.serve(edit.sources ?? SOURCES, edit.options);
      return { result: { action: "accept", content: {} } };
    },
  };
  const how = { from, port };
  const given = { path: "/a" };
  const calls = {
    directly: () => rig.call("remove", given, how),
    "through call_tool": () => rig.call("call_tool", { name: "remove", arguments: given }, how),
    "by a script": () => rig.run(`return await tools.remove(${JSON.stringify(given)})`, how),
  };
  const reply = await calls[way]();
  const outcomes = records.filter(({ target }) => target === "tool:remove").map(({ outcome }) => outcome);
  return { said: textOf(reply), made: rig.calls.length, questions, outcomes };
}

const known = (roles: readonly string[] | null) => ({
  ...{
    resource: null,
    signed: null,
    isWithdrawn: () => roles === null,
    authenticate: () => assert.fail("not asked"),
  },
  refresh: () => user("ann", ...(roles ?? [])),
});

for (const way of WAYS) {
  test(`E2 a call made ${way} continues after the answer if the current rules allow it, or the same rule asks`, async (t) => {
    const same: readonly Edit[] = [
      { options: rules(policy("allow", { resources: ["tool:remove"] })) },
      // The same rule in another place.
      { options: rules(policy("deny", { resources: ["tool:other"] }), PROMPTS) },
      { options: { authorization: null } },
    ];
    for (const [at, edit] of same.entries()) {
      const { made, questions, outcomes } = await callWhileEdited(t, way, edit);
      assert.deepEqual([made, questions, outcomes], [1, 1, ["ok"]], String(at));
    }
  });

  test(`E2 a call made ${way} is asked about again if another rule asks by the time of the answer`, async (t) => {
    const edit = { options: rules(policy("ask", { resources: ["tool:remove"] })) };
    const { made, questions, outcomes } = await callWhileEdited(t, way, edit);
    assert.deepEqual([made, questions, outcomes], [1, 2, ["ok"]]);
  });

  test(`E2 a call made ${way} is not made if it is forbidden, gone or changed by the time of the answer`, async (t) => {
    const prompts = rules(PROMPTS);
    const edits: readonly (Edit & { readonly says: RegExp })[] = [
      { options: rules(), says: /Unknown tool: remove|There is no tool remove/ },
      {
        options: rules(policy("deny", { resources: ["remove"], arguments: { path: ["/a"] } }), PROMPTS),
        says: /Unknown tool: remove|A policy does not allow/,
      },
      {
        sources: [annotated("files", { read: READS })],
        options: prompts,
        says: /Unknown tool|no tool remove/,
      },
      {
        sources: [annotated("other", TOOLS)],
        options: prompts,
        says: /tool remove was changed while a person/,
      },
      {
        sources: [annotated("files", { remove: { ...DESTROYS, title: "another" } })],
        options: prompts,
        says: /tool remove was changed while a person was asked: make the call again/,
      },
      { options: { ...prompts, authentication: known(["guest"]) }, says: /your rights were changed/ },
      { options: { ...prompts, authentication: known(null) }, says: /your rights were changed/ },
    ];
    for (const { says, ...edit } of edits) {
      const { said, made } = await callWhileEdited(t, way, edit);
      assert.match(said, says);
      assert.equal(made, 0, said);
    }
  });
}

test("E2 calls that a person has allowed in advance are asked about again under another rule", async (t) => {
  const rig = scriptRig(t, SOURCES, async () => text("done"), rules(PROMPTS));
  const from = { ...ann, capabilities: { elicitation: {} } };
  let questions = 0;
  const port: CallHandle = {
    ...callPort(from),
    request: async () => {
      questions += 1;
      return { result: { action: "accept", content: { calls: 5 } } };
    },
    notify: (_method, params) => {
      if (params?.["progress"] === 3) rig.serve(SOURCES, rules(policy("ask", { resources: ["remove"] })));
    },
  };
  const script = "for (let i = 0; i < 4; i++) await tools.remove({ i }); return 1";
  await rig.run(script, { from, port, params: { _meta: { progressToken: 1 } } });
  assert.deepEqual([rig.calls.length, questions], [4, 2]);
});
