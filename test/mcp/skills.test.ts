// The real program in front of two servers with skills of the same names, to clients of both versions: all are
// listed, got and read, each from its own server, and what a host checks of them holds.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { SKILLS_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type Json, LightError } from "./light-client.ts";
import { ask } from "./modern-wire.ts";

type Era = "legacy" | "modern";

interface Skill {
  readonly uri: string;
  readonly frontmatter: { readonly name: string; readonly description: string };
  readonly resources: readonly { readonly uri: string; readonly digest: string; readonly size: number }[];
}

interface Asker extends AsyncDisposable {
  /** Capabilities that the gateway declares. */
  readonly extensions: Json;
  /** The result; rejects with a LightError. */
  request(method: string, params?: Json): Promise<Json>;
}

const CONNECT: Readonly<Record<Era, (url: string) => Promise<Asker>>> = {
  async legacy(url) {
    const client = await connectLight(url);
    const { extensions = {} } = client.initialized["capabilities"] as Json;
    return {
      extensions: extensions as Json,
      request: (...asked) => client.request(...asked),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
  async modern(url) {
    const request = async (method: string, params: Json = {}): Promise<Json> => {
      const { result, error } = await ask(url, method, params);
      if (error !== undefined) throw new LightError(error.code, error.message);
      return result ?? {};
    };
    const { extensions = {} } = (await request("server/discover"))["capabilities"] as Json;
    return { extensions: extensions as Json, request, async [Symbol.asyncDispose]() {} };
  },
};

const skillText = (name: string, of: string): string =>
  `---\nname: ${name}\ndescription: The ${name} of ${of}.\n---\n\nSee [more](refs/more.md).\n`;

async function served(t: TestContext, eras: Readonly<Record<string, Era>>): Promise<GatewayRig> {
  const folder = await temporaryFolder(t);
  const backends: Record<string, Section> = {};
  for (const [of, era] of Object.entries(eras)) {
    const skills = {
      git: { "SKILL.md": skillText("git", of), "refs/more.md": `More of ${of}: ü.` },
      [`${of}/sql`]: { "SKILL.md": skillText("sql", of) },
    };
    const file = path.join(folder, `${of}.json`);
    await writeFile(file, JSON.stringify({ skills }));
    backends[of] = nodeBackend(SKILLS_SERVER, [era, file]);
  }
  const rig = await startGatewayRig(t, { backends });
  await rig.untilReady(...Object.keys(eras));
  return rig;
}

async function skillsOf(client: Asker): Promise<readonly Skill[]> {
  return (await client.request("skills/list"))["skills"] as readonly Skill[];
}

/** Reads it as a host does, and holds size and digest against its bytes. */
async function verified(client: Asker, { uri, digest, size }: Skill["resources"][number]): Promise<string> {
  const { contents } = await client.request("resources/read", { uri });
  const [first, ...others] = contents as readonly { readonly uri: string; readonly text: string }[];
  assert.ok(first !== undefined && others.length === 0);
  assert.equal(first.uri, uri);
  assert.equal(Buffer.byteLength(first.text), size);
  assert.equal(`sha256:${createHash("sha256").update(first.text).digest("hex")}`, digest);
  return first.text;
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => "none",
    (error: unknown) => (error instanceof LightError ? error.code : error),
  );
}

// How long their list holds, and with more servers: test/gateway/catalog/skills.test.ts.
test("D1 skills of two servers with one name, one of each version: each is read from its own", async (t) => {
  const rig = await served(t, { a: "legacy", b: "modern" });
  for (const front of ["legacy", "modern"] as const)
    await t.test(`D1 for a ${front} client`, async () => {
      await using client = await CONNECT[front](rig.url);
      assert.deepEqual(client.extensions["io.modelcontextprotocol/skills"], { directoryRead: true });
      const skills = await skillsOf(client);
      assert.deepEqual(
        skills.map(({ uri, frontmatter: { description } }) => [uri, description]),
        [
          ["skill://git/SKILL.md", "The git of a."],
          ["skill://a/sql/SKILL.md", "The sql of a."],
          ["skill://b/git/SKILL.md", "The git of b."],
          ["skill://b/sql/SKILL.md", "The sql of b."],
        ],
      );
      for (const skill of skills) {
        const texts = [];
        for (const one of skill.resources) texts.push(await verified(client, one));
        assert.match(texts.join(), new RegExp(skill.frontmatter.description));
        const { skill: got } = await client.request("skills/get", { uri: skill.uri });
        assert.deepEqual(got, skill);
      }
      const folder = await client.request("resources/directory/read", { uri: "skill://b/git" });
      assert.deepEqual(folder["resources"], [
        { uri: "skill://b/git/SKILL.md", name: "SKILL.md" },
        { uri: "skill://b/git/refs", name: "refs", mimeType: "inode/directory" },
      ]);
      const none = { uri: "skill://none/SKILL.md" };
      assert.equal(await codeOf(client.request("skills/get", none)), -32602);
      assert.equal(await codeOf(client.request("resources/directory/read", none)), -32602);
      const list = await client.request("skills/list");
      assert.deepEqual(
        [list["ttlMs"], list["cacheScope"], list["resultType"]],
        front === "modern" ? [0, "private", "complete"] : Array(3).fill(undefined),
      );
    });
});
