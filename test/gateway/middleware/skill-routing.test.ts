import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import { pluck } from "../../support/pluck.ts";
import { away, skill, source } from "../catalog/sources.ts";
import { ask, client, policy, recordingServices, servingSet, user } from "./requests.ts";

const GIT = "skill://git/SKILL.md";
const THEIRS = "skill://b/git/SKILL.md";
const SOURCES = [
  source("a", { skills: ["git"], resources: ["x://1"] }),
  source("b", { skills: ["git"], resources: ["x://2"] }),
];

function code(reply: Reply): number | string {
  return isError(reply) ? reply.error.code : "none";
}

function serving(result: JsonObject, sources = SOURCES, options: Parameters<typeof servingSet>[2] = {}) {
  const services = recordingServices(() => ({ result }));
  return { services, served: servingSet(sources, services, options) };
}

test("D1 requests about skills: skills/list gives those of all servers; where none has any, the method is unknown", async () => {
  const { served, services } = serving({});
  const reply = await ask(served, "skills/list");
  assert.ok(!isError(reply));
  const uris = (reply.result["skills"] as readonly JsonObject[]).map(({ uri }) => uri);
  assert.deepEqual(uris, [GIT, THEIRS]);
  assert.deepEqual(services.calls, []);
  assert.equal(code(await ask(served, "skills/list", { cursor: "1" })), -32602);
  const without = serving({}, [source("a", {}), source("b", {})]);
  for (const method of ["skills/list", "skills/get", "resources/directory/read"])
    assert.equal(code(await ask(without.served, method, { uri: GIT })), -32601);
});

test("D1 requests about skills: a sole server without skills is asked itself, as for any unknown method", async () => {
  const { served, services } = serving({ ok: true }, [source("a", {})]);
  assert.deepEqual(await ask(served, "resources/directory/read", { uri: "x://1" }), {
    result: { ok: true },
  });
  assert.equal(services.calls.length, 1);
});

test("D1 requests about skills: skills/get asks the server for its own URI, and names the result as the list does", async () => {
  const fresh = skill("git", "Newer than the list.", ["a.md", "b.md"]);
  const { served, services } = serving({ skill: fresh, _meta: { k: 1 } });
  const reply = await ask(served, "skills/get", { uri: THEIRS, _meta: { progressToken: 1 } });
  assert.deepEqual(services.calls, [
    { backend: "b", what: "skills/get", params: { uri: GIT, _meta: { progressToken: 1 } } },
  ]);
  assert.ok(!isError(reply));
  const { skill: got, _meta } = reply.result as { skill: JsonObject; _meta: JsonObject };
  assert.deepEqual(_meta, { k: 1 });
  assert.deepEqual(got["frontmatter"], fresh["frontmatter"]);
  const files = got["resources"] as readonly JsonObject[];
  assert.deepEqual(pluck(files, "uri"), [THEIRS, "skill://b/git/a.md", "skill://b/git/b.md"]);
  assert.equal(code(await ask(served, "skills/get", { uri: "skill://none/SKILL.md" })), -32602);
  assert.equal(code(await ask(served, "skills/get", {})), -32602);
});

test("D3 requests about skills: a malformed answer is an error that names the backend and the fault", async () => {
  for (const [given, fault] of [
    [{ ...skill("git", "x"), resources: null }, /resources is neither/u],
    [skill("other", "x"), /another one/u],
    [null, /no skill in it/u],
  ] as const) {
    const reply = await ask(serving({ skill: given }).served, "skills/get", { uri: GIT });
    assert.ok(isError(reply));
    assert.equal(reply.error.code, -32603);
    assert.match(reply.error.message, /Server a /u);
    assert.match(reply.error.message, fault);
  }
});

test("E3 requests about skills: a pending backend's skill is given as approved, and no other", async () => {
  const withheld = SOURCES.map((each) => ({ ...each, withholdsSkills: true }));
  const same = serving({ skill: skill("git", "git of b") }, withheld);
  assert.equal(code(await ask(same.served, "skills/get", { uri: THEIRS })), "none");
  const changed = serving({ skill: skill("git", "git of b, and evil") }, withheld);
  assert.equal(code(await ask(changed.served, "skills/get", { uri: THEIRS })), -32602);
});

test("D1 requests about skills: a folder is listed under the URIs by which its files are read, and contains nothing from elsewhere", async () => {
  const child = (uri: string, more: JsonObject = {}) => ({ uri, name: "n", ...more });
  const { served, services } = serving({
    resources: [
      child("skill://git/t/a.md", { mimeType: null }),
      child("skill://git/t/sub", { mimeType: "inode/directory", description: "a\u202eb" }),
      child("skill://sql/x.md"),
      child("skill://git/t/../../sql/x.md"),
      child("x://1"),
      { name: "none" },
      null,
    ],
    nextCursor: "2",
  });
  const reply = await ask(served, "resources/directory/read", { uri: "skill://b/git/t", cursor: "1" });
  assert.deepEqual(services.calls, [
    { backend: "b", what: "resources/directory/read", params: { uri: "skill://git/t", cursor: "1" } },
  ]);
  assert.deepEqual(reply, {
    result: {
      resources: [
        child("skill://b/git/t/a.md"),
        child("skill://b/git/t/sub", { mimeType: "inode/directory", description: "ab" }),
      ],
      nextCursor: "2",
    },
  });
  assert.equal(code(await ask(served, "resources/directory/read", { uri: "skill://no/t" })), -32602);
  const bad = await ask(serving({}).served, "resources/directory/read", { uri: "skill://git/t" });
  assert.equal(code(bad), -32603);
});

test("D1 requests about skills: a server that does not list folders is not asked to", async () => {
  const { served, services } = serving({}, [source("no-folders", { skills: ["git"] })]);
  assert.equal(code(await ask(served, "resources/directory/read", { uri: "skill://git" })), -32602);
  assert.deepEqual(services.calls, []);
});

test("D1 requests about skills: a file of a skill is requested and answered under each one's own URI", async () => {
  const contents = [{ uri: "skill://git/a.md", text: "see skill://git/b.md" }, { uri: "skill://git/b.md" }];
  const { served, services } = serving({ contents });
  const reply = await ask(served, "resources/read", { uri: "skill://b/git/a.md" });
  assert.deepEqual(services.calls.at(-1)?.params, { uri: "skill://git/a.md" });
  assert.deepEqual(reply, {
    result: {
      contents: [{ uri: "skill://b/git/a.md", text: "see skill://git/b.md" }, { uri: "skill://b/git/b.md" }],
    },
  });
});

test("E1 requests about skills: policies over resources apply to skills, their files and the content of a folder", async () => {
  const authorization: AuthorizationConfig = {
    defaultEffect: "deny",
    policies: [
      policy("deny", { resources: ["resource:skill://git/secret*"] }),
      policy("allow", { roles: ["git"], resources: ["resource:skill://git", "resource:skill://git/*"] }),
    ],
  };
  const child = (uri: string) => ({ uri, name: "n" });
  const answer = {
    skill: skill("git", "x"),
    contents: [],
    resources: [child("skill://git/open.md"), child("skill://git/secret.md")],
  };
  const { served, services } = serving(answer, SOURCES, { authorization });
  const known = client(user("ann", "git"));
  const other = client(user("bob"));
  const listed = async (who: typeof known) => {
    const reply = await ask(served, "skills/list", undefined, who);
    assert.ok(!isError(reply));
    return (reply.result["skills"] as readonly JsonObject[]).map(({ uri }) => uri);
  };
  assert.deepEqual(await listed(known), [GIT]);
  assert.deepEqual(await listed(other), []);
  const asked = (method: string, uri: string, who = known) => ask(served, method, { uri }, who).then(code);
  assert.equal(await asked("skills/get", GIT), "none");
  assert.equal(await asked("skills/get", THEIRS), -32602);
  assert.equal(await asked("skills/get", GIT, other), -32602);
  assert.equal(await asked("resources/read", "skill://git/open.md"), "none");
  assert.equal(await asked("resources/read", "skill://git/secret.md"), -32002);
  assert.equal(await asked("resources/read", "skill://git/x/../secret.md"), -32002);
  assert.equal(await asked("resources/directory/read", "skill://git", other), -32602);
  const before = services.calls.length;
  const folder = await ask(served, "resources/directory/read", { uri: "skill://git" }, known);
  assert.equal(services.calls.length, before + 1);
  assert.ok(!isError(folder));
  assert.deepEqual(folder.result["resources"], [child("skill://git/open.md")]);
});

test("C1 requests about skills: skills of a server whose data is away are no longer listed, and requests for them reach its refusal", async () => {
  const services = recordingServices((backend) => ({
    error: { code: -32000, message: `${backend}: share docs is away` },
  }));
  const served = servingSet([away("a", { skills: ["git"] })], services, { backends: ["a", "z"] });
  const reply = await ask(served, "skills/list");
  assert.deepEqual(reply, { result: { skills: [] } });
  const got = await ask(served, "skills/get", { uri: GIT });
  assert.ok(isError(got));
  assert.match(got.error.message, /share docs is away/u);
});
