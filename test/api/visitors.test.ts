// Each operation, asked by everybody who may send a request: over the home's socket, and at the address.
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { OWNER_RIGHTS, type Rights } from "../../src/api/operations/operation.ts";
import { OPERATION_NAMES, type OperationName } from "../../src/api/operations/operations.ts";
import { OPERATIONS } from "../../src/api/operations/table.ts";
import { LISTENER_LIMIT } from "../../src/api/server/event-streams.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { answerOf, request, startHttpApi } from "./http/http-api-rig.ts";
import { get, post, startRig, talk } from "./management-rig.ts";
import { scriptedConfig } from "./sample-config.ts";
import { sampleReport, sampleResult, scriptedControl } from "./sample-report.ts";

const VISITOR: Rights = { isOwner: false, runsCommands: false, isOwnersTab: false };
const TRUSTED: Rights = { isOwner: false, runsCommands: true, isOwnersTab: false };
/** Of a tab whose code was typed. */
const OWNERS_TAB: Rights = { isOwner: false, runsCommands: true, isOwnersTab: true };

/** What a visitor may do, or the code of the refusal. */
type Expected = Rights | "not_signed_in" | "permission_denied";

interface Answer {
  readonly status: number;
  readonly body: string;
}

type Ask = (method: string, path: string, body: string) => Promise<Answer>;

async function setUp(t: TestContext) {
  const clock = createManualClock();
  const performed: (readonly [OperationName, Rights])[] = [];
  const control = Object.fromEntries(
    OPERATION_NAMES.map((name) => [
      name,
      (_: unknown, _signal: AbortSignal, rights: Rights) => {
        performed.push([name, rights]);
        return {};
      },
    ]),
  );
  const { server } = await startRig(t, { control });
  const rig = await startHttpApi(t, { clock, control });
  const trusting = await startHttpApi(t, { clock, control, settings: { runsCommands: true } });
  const token = `Authorization: Bearer ${rig.token}`;
  const secret = (await rig.access.signIn(rig.token))?.secret ?? "";
  const session = `Authorization: Bearer ${secret}`;
  /** The header of a tab whose code was typed just now. */
  const right = (): string => {
    const { right, code } = rig.httpApi.owners.request(secret);
    rig.httpApi.owners.grant(code);
    return `X-Mountaineer-Owner: ${right}`;
  };
  const headed = (body: string, headers: readonly string[]): string[] => [
    ...headers,
    ...(body === "" ? [] : ["Content-Type: application/json", `Content-Length: ${body.length}`]),
  ];
  const at =
    (to: typeof rig, headers: () => readonly string[]): Ask =>
    (method, path, body) =>
      to.raw(`${method} ${path}`, headed(body, headers()), body);
  const pipe = await openPipe(t, join(rig.home, "handed"), rig.listener);
  const handed =
    (headers: () => readonly string[]): Ask =>
    (method, path, body) => {
      const socket = connect(pipe);
      socket.write(request(rig.port, `${method} ${path}`, headed(body, headers()), body));
      return answerOf(socket);
    };
  const bySocket: Ask = (method, path, body) =>
    talk(server.socketPath, post(path.slice("/manage/v1/".length), body, "", method));
  const visitors: readonly (readonly [string, Ask, Expected])[] = [
    ["the owner, over the socket", bySocket, OWNER_RIGHTS],
    ["nobody", at(rig, () => []), "not_signed_in"],
    ["a stranger with a wrong token", at(rig, () => [`${token}x`]), "not_signed_in"],
    ["who has the token", at(rig, () => [token]), VISITOR],
    ["who has the token, with allow_commands", at(trusting, trustingToken), TRUSTED],
    ["a tab of the page", at(rig, () => [session]), VISITOR],
    ["a tab whose code was typed", at(rig, () => [session, right()]), OWNERS_TAB],
    ["the same, through a proxy", at(rig, () => [session, right(), "Via: 1.1 p"]), VISITOR],
    ["the same, of another session", at(rig, () => [token, right()]), VISITOR],
    [
      "a page of another origin",
      at(rig, () => [session, "Origin: https://evil.example"]),
      "permission_denied",
    ],
    [
      "a page at another port",
      at(rig, () => [session, right(), "Sec-Fetch-Site: same-site"]),
      "permission_denied",
    ],
    ["a connection handed over from nowhere", handed(() => []), "not_signed_in"],
    ["the same, of a tab whose code was typed", handed(() => [session, right()]), VISITOR],
  ];
  function trustingToken(): string[] {
    return [`Authorization: Bearer ${trusting.token}`];
  }
  return { clock, visitors, performed };
}

/** A socket whose connections the address serves without knowing where they come from. Resolves with its path. */
async function openPipe(
  t: TestContext,
  path: string,
  listener: { serve(stream: Socket): void },
): Promise<string> {
  const server = createServer((socket) => listener.serve(socket));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

/** The code of the refusal of who has these rights; null: the operation is served. */
function refusalOf(name: OperationName, expected: Expected): string | null {
  const { right } = OPERATIONS[name];
  if (typeof expected === "string") return expected;
  if (expected.isOwner || right === "signed_in") return null;
  if (right === "socket" || (right === "owner" && !expected.isOwnersTab)) return "owner_only";
  return expected.runsCommands ? null : "commands_refused";
}

test("F4 E2 each operation is served to the callers in its row, over the socket and at the address, with these rights", async (t) => {
  const { clock, visitors, performed } = await setUp(t);
  let served = 0;
  for (const name of OPERATION_NAMES) {
    // Otherwise whoever asks so often without a token is answered late.
    await clock.advance(60_000);
    const { method, path } = OPERATIONS[name];
    const at = `/manage/v1/${path.endsWith("/") ? `${path}1` : path}`;
    for (const [visitor, ask, expected] of visitors) {
      const { status, body } = await ask(method, at, method === "GET" ? "" : "{}");
      const label = `${name}, asked by ${visitor}: ${status} ${body}`;
      const refusal = refusalOf(name, expected);
      const code = status === 200 ? null : JSON.parse(body).error.code;
      if (refusal !== null) assert.equal(code, refusal, label);
      // An operation that needs an input gets none here: who may ask is told so.
      else if (status !== 200) assert.deepEqual([status, code], [400, "protocol"], label);
      else served += 1;
      assert.deepEqual(performed.splice(0), status === 200 ? [[name, expected]] : [], label);
    }
  }
  assert.ok(served > 150, `${served} were performed`);
});

test("E2 a visitor's right is checked when the request is complete: one signed out by then does nothing", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { clock, config });
  const secret = (await rig.access.signIn(rig.token))?.secret ?? "";
  const { right, code } = rig.httpApi.owners.request(secret);
  rig.httpApi.owners.grant(code);
  const approve = JSON.stringify({ entries: [] });
  for (const [path, body, headers, meanwhile, refusal] of [
    [
      "config/approve",
      approve,
      [`Bearer ${secret}`, right],
      () => rig.httpApi.owners.drop(secret),
      "commands_refused",
    ],
    ["reload", "{}", [`Bearer ${secret}`], () => rig.access.signOut(secret), "not_signed_in"],
    ["reload", "{}", [`Bearer ${rig.token}`], () => rig.change({ isEnabled: false }), "protocol"],
    ["reload", "{}", [`Bearer ${rig.token}`], () => rig.access.forgetToken(), "not_signed_in"],
  ] as const) {
    const [bearer, owner = "none"] = headers;
    const socket = connect(rig.port, "127.0.0.1");
    const answer = answerOf(socket);
    const head = [
      ...[`Authorization: ${bearer}`, `X-Mountaineer-Owner: ${owner}`],
      ...["Content-Type: application/json", `Content-Length: ${body.length}`],
    ];
    socket.write(request(rig.port, `POST /manage/v1/${path}`, head, body.slice(0, -1)));
    // Once another one is answered, the head of this one has been read.
    await rig.raw("GET /page/none.js");
    await meanwhile();
    socket.write(body.slice(-1));
    assert.equal(JSON.parse((await answer).body).error.code, refusal, path);
    rig.change({ isEnabled: true });
  }
  assert.deepEqual(config.calls, []);
});

test("E4 the greatest allowed number of visitors at once does not delay the owner", async (t) => {
  const clock = createManualClock();
  const release = Promise.withResolvers<void>();
  const control = scriptedControl(sampleReport(), async (share) => {
    await release.promise;
    return sampleResult({ share });
  });
  const config = scriptedConfig();
  const { server } = await startRig(t, { control, config });
  const rig = await startHttpApi(t, { clock, control, config });
  const ask = () =>
    rig.raw(
      "POST /manage/v1/mount",
      [`Authorization: Bearer ${rig.token}`, "Content-Type: application/json", "Content-Length: 2"],
      "{}",
    );
  const waiting = Array.from({ length: 32 }, ask);
  const streams = Array.from({ length: LISTENER_LIMIT }, () => rig.ask("/manage/v1/events"));
  await eventually(() => control.calls.length === 32 && config.listenerCount === LISTENER_LIMIT);
  assert.equal((await ask()).status, 503);
  assert.equal((await rig.ask("/manage/v1/events")).status, 503);
  const owner = talk(server.socketPath, post("mount", "{}"));
  await eventually(() => control.calls.length === 33);
  const listening = connect(server.socketPath, () => listening.write(get("events")));
  t.after(() => listening.destroy());
  await eventually(() => config.listenerCount === LISTENER_LIMIT + 1);
  release.resolve();
  for (const answer of await Promise.all([...waiting, owner])) assert.equal(answer.status, 200);
  for (const stream of await Promise.all(streams)) await stream.body?.cancel();
});
