// Users and programs that act for them, with a real daemon: added, renewed, let in, limited, removed.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { approveProgram } from "../../../src/cli/clients/program-access.ts";
import { answerCommand, questionsCommand } from "../../../src/cli/commands/questions.ts";
import { CALLBACK, METADATA, plainClient, queryFor } from "../../gateway/authorization-server/rig.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { contextOf } from "../command-context.ts";
import { runCommand, serveHere } from "../command-line.ts";

async function startHome(t: TestContext, rules = "", given: number | null = null) {
  const [home, port] = await Promise.all([temporaryFolder(t), given ?? freePort()]);
  const config = `[server]
port = ${port}
[backends.files]
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(LIGHT_SERVER)}]
${rules}`;
  await writeFile(join(home, "config.toml"), config);
  const served = await serveHere({ home });
  const url = `http://127.0.0.1:${port}/mcp`;
  await eventually(async () => (await run("tools", "list")).stdout.includes("echo"));
  async function run(...args: readonly string[]) {
    return runCommand(args, { home });
  }
  return {
    ...{ home, port, url, run, served, [Symbol.asyncDispose]: async () => void (await served.stop()) },
    /** The token as it is stored under this name. */
    async token(name: string): Promise<string> {
      const { secrets } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8"));
      return secrets[name].value;
    },
    async isLetIn(token: string): Promise<boolean> {
      try {
        await using client = await connectLight(url, { token });
        return (await client.tools()).length > 0;
      } catch {
        return false;
      }
    },
  };
}

test("E1 a second person is one command: a token that is shown once, rights in words, and a question to who came without a token", async (t) => {
  await using b = await startHome(t);
  await using without = await connectLight(b.url);
  await ends(b.run("users", "add", "ann"), 1, "", /nothing was changed/);
  assert.doesNotMatch(await readFile(join(b.home, "config.toml"), "utf8"), /incoming_auth/);

  const added = await ends(b.run("users", "add", "ann", "--role", "dev", "--yes"), 0, null, "");
  const token = await b.token("ann-token");
  assert.ok(token.length > 20 && !added.stdout.includes(token), "without a terminal no token is shown");
  for (const text of [
    `address  ${b.url}`,
    "header   Authorization: Bearer TOKEN",
    "token    stored as ann-token; a terminal shows it once: mountaineer users renew ann",
    `claude mcp add --transport http mountaineer ${b.url} --header 'Authorization: Bearer TOKEN'`,
    "ann  with a token; roles dev",
    "allowed by default, without [authorization]: everything (17 tools",
  ])
    assert.ok(added.stdout.includes(text), `${text} in ${added.stdout}`);
  assert.ok(await b.isLetIn(token));
  assert.equal(await b.isLetIn(""), false);
  await assert.rejects(without.tools());
  await ends(b.run("users", "add", "ann", "--yes"), 2, "", /there is a user ann already.*users renew ann/s);
  assert.match((await b.run("users", "list")).stdout, /^User +Roles.*\nann +dev +with a token/);
});

test("E1 no token is sent to an address at which another program listens, with a daemon and without", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  t.after(() => other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  await using b = await startHome(t, "", port);
  const added = await b.run("users", "add", "ann", "--yes");
  assert.match(added.stdout, /address {2}none now: .*cannot listen at .*: it is taken/);
  await b.served.stop();
  const renewed = await b.run("users", "renew", "ann");
  assert.match(renewed.stdout, /address {2}none now: another program listens at/);
  for (const { stdout } of [added, renewed]) assert.doesNotMatch(stdout, /http:/);
});

test("E1 a user's new token leaves the old one an hour, also after a restart, and none once the user is removed", async (t) => {
  await using b = await startHome(t);
  await b.run("users", "add", "ann", "--yes");
  const old = await b.token("ann-token");
  assert.equal((await b.run("users", "renew", "ann")).code, 0);
  const config = await readFile(join(b.home, "config.toml"), "utf8");
  const [, name = ""] = /token = "secret:([\w-]+)"/.exec(config) ?? [];
  const renewed = await b.token(name);
  assert.match(config, /old_token = "secret:ann-token"/);
  assert.deepEqual([await b.isLetIn(old), await b.isLetIn(renewed)], [true, true]);
  await b.served.stop();
  await using _restarted = await serveHere({ home: b.home });
  await eventually(() => b.isLetIn(old));
  assert.equal((await b.run("users", "renew", "ann", "--overlap", "0")).code, 0);
  assert.deepEqual([await b.isLetIn(old), await b.isLetIn(renewed)], [false, false]);
  await ends(b.run("users", "remove", "ann"), 2, "", /ann is the only user\n.*add another first/);
  await b.run("users", "add", "ben", "--yes");
  await ends(b.run("users", "remove", "ann"), 0, "✓ ann is removed\n");
  assert.doesNotMatch(await readFile(join(b.home, "secrets.json"), "utf8"), /ann/);
  await ends(b.run("users", "remove", "ann"), 2, "");
});

const RULES = `[incoming_auth]
type = "local"
users = [{ name = "ann", token = "secret:a", roles = ["dev"] }, { name = "ben", token = "secret:b" }]
[authorization]
default_effect = "deny"
[[authorization.policies]]
effect = "allow"
roles = ["dev"]
[[authorization.policies]]
effect = "ask"
users = ["ben"]
resources = ["tool:echo"]
`;

test("E1 access says what a user may do and by which rule, of the rules that serve", async (t) => {
  await using b = await startHome(t, RULES);
  const ben = await b.run("access", "ben", "--tool", "echo");
  assert.match(ben.stdout, /^ben {2}.*\n {2}files\n {4}asks first by policy 2: echo\n/);
  assert.match((await b.run("access", "--role", "dev")).stdout, /role dev[\s\S]*allowed by policy 1: /);
  await ends(b.run("access", "--role", "x"), 0, /^role x {2}.*; may use nothing until a policy of/);
  await ends(b.run("access", "ben", "--tool", "drop"), 0, /^ben {2}.*\n {2}no server has drop\n$/);
  const { people } = JSON.parse((await b.run("access", "ben", "--json")).stdout);
  assert.equal(people.length, 1);
  await ends(b.run("access", "zoe"), 2, "");
  const file = join(b.home, "config.toml");
  await writeFile(file, `${await readFile(file, "utf8")}effect = 7\n`);
  const inUse =
    /^By the rules in use\. The configuration file on disk is not in use: .*\nben .*\n.*\n.*asks first by policy 2/;
  assert.match((await b.run("access", "ben", "--tool", "echo")).stdout, inUse);
});

test("E1 a person lets a program in by its code and a yes at a terminal, limits it, and ends its access", async (t) => {
  await using b = await startHome(t, RULES);
  for (const name of ["a", "b"])
    await runCommand(["secret", "set", name, "--in", "file"], {
      home: b.home,
      input: `token-${name}-0123456789\n`,
    });
  await eventually(() => b.isLetIn("token-a-0123456789"));
  const program = plainClient(b);
  const id = (await program.register(METADATA)).body["client_id"] ?? "";
  const approve = async (code: string, answer: "y" | "n", user: string | null) => {
    const shown: string[] = [];
    const questions: string[] = [];
    const prompt = async (question: string): Promise<string> => {
      questions.push(question);
      return answer;
    };
    const context = contextOf(b.home, { prompt, print: (text) => void shown.push(text) });
    const exit = await approveProgram(context, { code, user, backends: null, readOnly: false });
    return { exit, shown: shown.join(""), questions };
  };
  const first = await program.authorize(queryFor(id));
  await ends(b.run("clients", "approve", first.code, "--as", "ann"), 2, "");
  await assert.rejects(approve(first.code, "y", null), /several users/);
  const refused = await approve(first.code, "n", "ann");
  assert.equal(refused.exit, 1);
  assert.deepEqual(refused.questions, ["Let A Client act as ann? [y/N] "]);
  for (const text of [
    "calls itself A Client",
    "published by no one",
    "a program on the computer",
    b.url,
    "opened from 127.0.0.1",
    "allowed by policy 1",
  ])
    assert.ok(refused.shown.includes(text), `${text} in ${refused.shown}`);
  const back = new URL(String((await program.answer(first, null)).headers["location"]));
  assert.equal(back.searchParams.get("error"), "access_denied");
  await assert.rejects(approve(first.code, "y", "ann"), /no open page shows this code/);

  const second = await program.authorize(queryFor(id));
  assert.equal((await approve(second.code.toLowerCase().replace("-", " "), "y", "ann")).exit, 0);
  const { headers } = await program.answer(second, null);
  const code = new URL(String(headers["location"])).searchParams.get("code") ?? "";
  const { access_token: access = "" } = (
    await program.redeem({ client_id: id, code, redirect_uri: CALLBACK })
  ).body;
  await using session = await connectLight(b.url, { token: access });
  assert.equal(await session.call("echo", { text: "x" }), "x");
  const third = await program.authorize(queryFor(id));
  for (const form of [
    [
      ["answer", "token"],
      ["token", await b.token("a")],
    ],
    [
      ["answer", "allow"],
      ["all", "yes"],
    ],
  ] as const)
    await program.answer(third, form);
  const went = new URL(String((await program.answer(third, null)).headers["location"]));
  const byToken = { client_id: id, code: went.searchParams.get("code") ?? "", redirect_uri: CALLBACK };
  const { access_token: own = "" } = (await program.redeem(byToken)).body;
  await ends(b.run("users", "renew", "ann", "--overlap", "0", "--keep-grants"), 0);
  assert.ok(await b.isLetIn(own), "kept, although its token ended at once");
  const list = await b.run("clients", "list");
  const grant = /\n([\da-f]{12}) +A Client +ann +all that the user may, at http/.exec(list.stdout)?.[1] ?? "";
  assert.notEqual(grant, "", list.stdout);
  assert.equal((await b.run("clients", "revoke", grant, "--read-only")).code, 0);
  await assert.rejects(session.call("echo", { text: "x" }), /Unknown tool/);
  assert.match((await b.run("clients", "list")).stdout, /only what changes nothing/);
  assert.equal((await b.run("clients", "revoke", grant)).code, 0);
  await assert.rejects(session.tools());
  assert.equal((await b.run("clients", "revoke", grant)).code, 2);
  assert.match((await b.run("users", "list")).stdout, /^ann .* \d+ s ago +1$/m, "her programs were heard");
});

test("E6 the owner answers the call of a client that cannot ask, at a terminal only, and the audit says so", async (t) => {
  const audit = join(await temporaryFolder(t), "audit.jsonl");
  const rules = `${RULES.replace('"deny"\n', '"deny"\nask = "anywhere"\n')}[audit]\npath = ${JSON.stringify(audit)}\n`;
  await using b = await startHome(t, rules);
  await runCommand(["secret", "set", "b", "--in", "file"], { home: b.home, input: "token-b-0123456789\n" });
  await eventually(() => b.isLetIn("token-b-0123456789"));
  await using ben = await connectLight(b.url, { token: "token-b-0123456789" });
  let isTerminal = true;
  const atTerminal = async (command: typeof answerCommand, answer: string, ...given: readonly string[]) => {
    const shown: string[] = [];
    const prompt = async () => answer;
    const context = contextOf(b.home, { prompt, isTerminal, print: (text) => void shown.push(text) });
    return { exit: await command.run(context, {}, given), text: shown.join("") };
  };
  for (const [said, exit, told] of [
    ["y", 0, /allowed: the call runs, once/],
    ["n", 1, /denied: the same call is refused for ten minutes/],
  ] as const) {
    const call = ben.call("echo", { text: said });
    const shown = await eventually(async () => {
      const { text } = await atTerminal(questionsCommand, "");
      return text === "" ? null : text;
    });
    const [, code = ""] = /^echo of files, .* ago: (\w{3}-\w{3})\n/.exec(shown) ?? [];
    assert.match(shown, new RegExp(`\n {4}For user ben, .*\n {4}Asked [^]*\n {4}"text": "${said}"\n$`));
    for (const option of [[], ["--json"]])
      assert.ok(!(await b.run("questions", ...option)).stdout.includes(code.slice(0, 3)));
    assert.match((await b.run("status")).stdout, /echo of files waits for your answer/);
    isTerminal = false;
    const unseen = await atTerminal(questionsCommand, "");
    assert.match(unseen.text, /^echo of files, .* ago\n/, "read by a program");
    isTerminal = true;
    await ends(b.run("answer", code), 2, "");
    const answered = await atTerminal(answerCommand, said, code.toLowerCase());
    assert.equal(answered.exit, exit);
    assert.match(answered.text, told);
    assert.ok(answered.text.includes(`    "text": "${said}"\n`));
    assert.match(await call, said === "y" ? /^y$/ : /denied it/);
    await assert.rejects(atTerminal(answerCommand, "y", code), /no question has this code/);
  }
  await eventually(async () =>
    /"question.answered","entry":"files\/echo","summary":"denied by the owner \(terminal\) after \d+ \w+, for user ben/.test(
      await readFile(audit, "utf8"),
    ),
  );
});
