import assert from "node:assert/strict";
import { test } from "node:test";
import { NotTakenYet } from "../../src/mcp-bridge/lasting-effects.ts";
import { createMessageScan } from "../../src/mcp-bridge/message-scan.ts";
import { MOST_WAITING } from "../../src/mcp-bridge/messages.ts";
import { BridgeSession } from "../../src/mcp-bridge/session.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { objectOf } from "../../src/runtime/text/json-object.ts";
import { assertEach } from "../support/assert-each.ts";
import { settle } from "../support/manual-clock.ts";
import { type Act, tellStories, type Words } from "../support/stories.ts";

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: object;
  readonly error?: { readonly code: number; readonly message: string };
}

const LOST = "the daemon ended before it answered; it is not known whether the call took effect";
const CAPABILITIES = { tools: { listChanged: true }, resources: { listChanged: true }, prompts: {} };

const lineOf = (message: unknown) => {
  const line = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
  const scan = createMessageScan();
  scan.push(line);
  return [scan.end(), line] as const;
};

interface Options {
  readonly group?: string | null;
  readonly folder?: string | null;
}

/** A session at one gateway after the other, with all messages that the client and the gateways get. */
function openScene({ group = null, folder = null }: Options = {}) {
  const client: Message[] = [];
  const gateway: Message[] = [];
  const texts: string[] = [];
  const session = new BridgeSession({
    sendToClient(json) {
      texts.push(json);
      client.push(JSON.parse(json));
    },
    group,
    folder,
  });
  const join = () => session.join((bytes) => gateway.push(JSON.parse(bytes.toString())));
  let at = join();
  const self = {
    ...{ client, gateway, texts, session },
    says(message: unknown) {
      const [messages, line] = lineOf(message);
      return session.fromClient(messages, line);
    },
    answers: (message: unknown, from = at) => session.fromGateway(from, ...lineOf(message)),
    get at() {
      return at;
    },
    /** The connection is gone, and there is another one. */
    lost() {
      session.lost(at);
      at = join();
    },
    handsOver(params?: object) {
      assert.equal(self.answers({ method: "notifications/mountaineer/handover", params }), false);
      const before = at;
      at = join();
      return before;
    },
    async resume() {
      const gateway = at;
      await session.introduce(gateway);
      session.continueAt(gateway);
    },
    /** A request, and its result. */
    asks(id: unknown, method: string, params: object, reply: object = { result: {} }) {
      self.says({ id, method, params });
      assert.equal(self.answers({ id, ...reply }), true);
    },
    begins(version = "2025-11-25") {
      const params = { protocolVersion: version, capabilities: { roots: {} }, clientInfo: { name: "a" } };
      self.asks(0, "initialize", params, {
        result: { protocolVersion: version, capabilities: CAPABILITIES },
      });
      self.says({ method: "notifications/initialized" });
      return params;
    },
    /** Takes the session up with a gateway that answers its initialize so. */
    async resumes(reply: object = { result: { protocolVersion: "2025-11-25" } }) {
      gateway.length = 0;
      const resumed = self.resume();
      const [hello] = gateway;
      assert.equal(hello?.method, "initialize");
      assert.equal(self.answers({ id: hello.id, ...reply }), false);
      await resumed;
      return gateway.slice(1);
    },
  };
  return self;
}

/** As `openScene`; the first gateway takes the client's requests. */
async function startScene() {
  const scene = openScene();
  await scene.resume();
  return scene;
}

const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";
const VERSION = "2025-11-25";
const REFUSED = { error: { code: -32602, message: "no" } };

interface World {
  readonly scene: ReturnType<typeof openScene>;
  /** The gateway that has handed over. */
  old: ReturnType<typeof openScene>["at"] | undefined;
  /** Whether what the gateway said last is passed on to the client. */
  isPassedOn: boolean | null;
  /** Where what the client said last goes. */
  to: readonly unknown[];
}

const json = (text: string | undefined) =>
  text === undefined
    ? undefined
    : JSON.parse(
        text
          .replace('"LONG"', JSON.stringify("x".repeat(5_000)))
          .replace('"HUGE"', JSON.stringify("x".repeat(70_000))),
      );
const idOf = (text = ""): unknown => (/^\d+$/.test(text) ? Number(text) : text);
const worldOf = (scene: ReturnType<typeof openScene>): World => ({
  scene,
  old: undefined,
  isPassedOn: null,
  to: [],
});

/** Messages in short: a request that has the client's own id with that, an answer by its id. */
function inShort(messages: Message[]): string {
  const texts = messages.splice(0).map(({ id, method, params, result, error }) => {
    const given = params === undefined ? "" : ` ${JSON.stringify(params)}`;
    const own = typeof id === "number" || /^\w$/.test(String(id)) ? `#${id} ` : "";
    if (method !== undefined) return `${own}${method.replace("notifications/", "")}${given}`;
    if (error === undefined) return `${id} ${JSON.stringify(result)}`;
    return error.message === LOST ? `${id} lost` : `${id} error ${error.code}`;
  });
  return texts.join(" & ") || "nothing";
}

const says = (world: World, message: unknown): void => {
  world.to = world.scene.says(message);
};
const hears = (world: World, from: string | undefined, message: object): void => {
  world.isPassedOn = world.scene.answers(message, from === "old" ? world.old : world.scene.at);
};

const acts: readonly Act<World>[] = [
  [/^says (\S.*)$/, (world, text = "") => says(world, text)],
  [
    /^asks (\S+) (\S+)(?: (\{.*\}))?$/,
    (world, id, method, params) => says(world, { id: idOf(id), method, params: json(params) }),
  ],
  [
    /^(asked|refused) (\S+) (\S+)(?: (\{.*\}))?$/,
    ({ scene }, how, id, method = "", params = "{}") =>
      scene.asks(idOf(id), method, json(params), how === "asked" ? { result: {} } : REFUSED),
  ],
  [
    /^tells (\S+)(?: (\{.*\}))?$/,
    (world, method, params) => says(world, { method: `notifications/${method}`, params: json(params) }),
  ],
  [/^replies (\S+)$/, (world, id) => says(world, { id, result: {} })],
  [
    /^listens (\S+) (\{.*\})$/,
    (world, id, notifications) =>
      says(world, {
        ...{ jsonrpc: "2.0", id: idOf(id), method: "subscriptions/listen" },
        params: {
          notifications: json(notifications),
          _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" },
        },
      }),
  ],
  [
    /^acknowledged (\S+) (\{.*\})$/,
    (world, id, notifications) =>
      hears(world, undefined, {
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: json(notifications), _meta: { [SUBSCRIPTION_ID]: idOf(id) } },
      }),
  ],
  [
    /^(gateway|old) asks (\S+) (\S+)$/,
    (world, from, id, method) => hears(world, from, { id, method, params: {} }),
  ],
  [
    /^(gateway|old) tells (\S+)(?: (\{.*\}))?$/,
    (world, from, method, params) =>
      hears(world, from, { method: `notifications/${method}`, params: json(params) }),
  ],
  [
    /^(gateway|old) (answers|refuses) (\S+)(?: (\{.*\}))?$/,
    (world, from, how, id, result = "{}") =>
      hears(world, from, { id: idOf(id), ...(how === "refuses" ? REFUSED : { result: json(result) }) }),
  ],
  [
    /^hands over(?: (\{.*\}))?$/,
    (world, params) => {
      world.old = world.scene.handsOver(json(params));
    },
  ],
  [/^lost$/, ({ scene }) => scene.lost()],
  [/^old lost$/, ({ scene, old }) => scene.session.lost(old ?? scene.at)],
  [/^no daemon$/, ({ scene }) => scene.session.refuseWaiting()],
  [/^falls silent$/, ({ scene }) => scene.session.fallSilent()],
  // Of what the gateway gets, the hello is looked at already.
  [
    /^resumes$/,
    async ({ scene }) => {
      await scene.resumes();
      scene.gateway.shift();
    },
  ],
  [/^resumes without hello$/, ({ scene }) => scene.resume()],
  [
    /^takes all$/,
    ({ scene }) => {
      for (const { id } of [...scene.gateway])
        if (id !== undefined) assert.equal(scene.answers({ id, result: {} }), false);
    },
  ],
  [
    /^all is read$/,
    ({ scene }) => {
      scene.client.length = 0;
      scene.gateway.length = 0;
    },
  ],
];

const WORDS: Words<World> = {
  starts: {
    "a session": async () => worldOf(await startScene()),
    "a session that has begun": async () => {
      const scene = await startScene();
      scene.begins();
      return worldOf(scene);
    },
    "a session without initialized": async () => {
      const scene = await startScene();
      scene.asks(0, "initialize", {}, { result: { protocolVersion: VERSION, capabilities: CAPABILITIES } });
      return worldOf(scene);
    },
  },
  acts,
  facts: [
    [
      /^(client|gateway) gets (.*)$/,
      ({ scene }, who, all) => [inShort(who === "client" ? scene.client : scene.gateway), all],
    ],
    [/^it (is passed on|stays here)$/, ({ isPassedOn }, how) => [isPassedOn, how === "is passed on"]],
    [
      /^it goes to (the next|both)$/,
      ({ scene, old, to }, where) => [to, where === "both" ? [old, scene.at] : [scene.at]],
    ],
    [/^(\d+) in flight$/, ({ scene }, count) => [scene.session.inFlight, Number(count)]],
    [/^old is (idle|busy)$/, ({ old }, how) => [old?.isIdle, how === "idle"]],
  ],
};

tellStories(
  WORDS,
  `
a session is resumed unchanged: with its level and its subscriptions
  a session that has begun, asked 1 logging/setLevel {"level":"error"}, refused 2 logging/setLevel {"level":"loud"}
  asked 3 resources/subscribe {"uri":"a:1"}, asked 4 resources/subscribe {"uri":"a:2"}, asked 5 resources/subscribe {"uri":"a:3"}
  asked 6 resources/unsubscribe {"uri":"a:2"}, refused 7 resources/subscribe {"uri":"a:4"}, lost: client gets nothing
  resumes, takes all: client gets tools/list_changed & resources/list_changed & resources/updated {"uri":"a:1"} & resources/updated {"uri":"a:3"}
  : gateway gets initialized & logging/setLevel {"level":"error"} & resources/subscribe {"uri":"a:1"} & resources/subscribe {"uri":"a:3"}
a client that has not sent initialized gets no list changes, and sends it itself
  a session without initialized, lost, resumes: gateway gets nothing, client gets nothing
calls in flight fail, except lists, which are requested again, once
  a session that has begun, says {"jsonrpc":"2.0","id":7,"method":"tools/list"}, asks call tools/call {"name":"pay"}
  asks 5 logging/setLevel {"level":"error"}, asks 6 tools/call {}, tells cancelled {"requestId":6}
  says [{"id":8,"method":"ping"},3,{"id":9,"method":"tools/list"}]: 5 in flight; lost: client gets call lost & 5 lost & 8 lost & 9 lost
  resumes: gateway gets initialized & #7 tools/list, client gets tools/list_changed & resources/list_changed
  lost: client gets 7 lost; resumes: gateway gets initialized
an unanswered initialize is repeated unchanged, under the client's own id
  a session, asks 1 initialize {"protocolVersion":"2025-06-18"}, lost, resumes without hello: client gets nothing
  : gateway gets #1 initialize {"protocolVersion":"2025-06-18"}
unanswered questions are withdrawn, and only those
  a session, gateway asks m-1 sampling/createMessage, gateway asks m-2 sampling/createMessage, gateway asks m-3 sampling/createMessage
  replies m-1, gateway tells cancelled {"requestId":"m-2"}, lost, lost: client gets cancelled {"requestId":"m-3","reason":"the daemon ended"}
a client that has fallen silent gets no further requests, and none are repeated for it
  a session, gateway asks m-1 roots/list, asks 1 tools/list, falls silent, gateway asks m-2 roots/list, lost: client gets 1 lost
an initialize that failed begins nothing
  a session, refused 1 initialize {}, lost, resumes without hello: gateway gets nothing
overlong requests and those that the client has ended are not restored or requested again
  a session that has begun, asked 1 resources/subscribe {"uri":"LONG"}, lost, resumes: gateway gets initialized
  a session that has begun, asked 1 logging/setLevel {"level":"LONG"}, lost, resumes: gateway gets initialized
  a session that has begun, asks 1 tools/list {"cursor":"LONG"}, lost, resumes: gateway gets initialized
  a session that has begun, says [{"id":3,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}], lost, resumes: gateway gets initialized
  a session that has begun, asked 1 resources/subscribe {"uri":"a:1"}, asks 2 resources/unsubscribe {"uri":"a:1"}, lost, resumes: gateway gets initialized
  a session that has begun, asks 1 resources/subscribe {"uri":"a:1"}, asks 2 resources/unsubscribe {"uri":"a:1"}, gateway answers 1, gateway answers 2
  lost, resumes: gateway gets initialized
  a session that has begun, listens 3 {"toolsListChanged":true}, gateway answers 3, lost, resumes: gateway gets initialized
a client sends initialized while there is no daemon, and the next one receives it
  a session without initialized, lost, asks 1 tools/list, no daemon: 0 in flight; tells initialized, resumes: gateway gets initialized
B11 after a handover requests are the next daemon's at once, and the old one finishes what it has
  a session that has begun, asks 1 tools/call, gateway asks m-1 roots/list, hands over, resumes, asks 2 tools/call: it goes to the next
  replies m-1: it goes to both; tells progress {}: it goes to both, old is busy; all is read, old answers 1: it is passed on, old is idle
  old tells tools/list_changed: it stays here; old tells resources/updated: it stays here; old lost: client gets nothing, 1 in flight
B11 an old daemon that is lost fails its calls; lists are requested from the next one at once
  a session that has begun, asks 1 tools/list, asks 2 tools/call, hands over {"_meta":{"mountaineer/lists":{}}}, resumes, all is read
  old lost: gateway gets #1 tools/list, client gets 2 lost
B11 a level and subscriptions that the old daemon confirms late are repeated at the next one
  a session that has begun, asked 1 resources/subscribe {"uri":"a:1"}, asks 2 logging/setLevel {"level":"error"}, asks 3 resources/subscribe {"uri":"a:2"}
  asks 4 resources/unsubscribe {"uri":"a:1"}, asks 5 logging/setLevel {"level":"loud"}, hands over, resumes, all is read
  old answers 2, old answers 3, old answers 4, old refuses 5
  : gateway gets logging/setLevel {"level":"error"} & resources/subscribe {"uri":"a:2"} & resources/unsubscribe {"uri":"a:1"}
D2 a client of 2026-07-28 keeps listening with the next daemon, and is notified of possible changes
  a session, listens a {"toolsListChanged":true}, acknowledged a {"toolsListChanged":true}: it is passed on, 0 in flight; lost: client gets nothing
  resumes without hello: gateway gets #a subscriptions/listen {"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}
  acknowledged a {"toolsListChanged":true}: it stays here, client gets tools/list_changed {"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}
  acknowledged a {"toolsListChanged":true}: it is passed on
D2 streams that end because another daemon takes over do not end for the client, others do
  a session, listens 1 {"toolsListChanged":true}, listens 2 {"toolsListChanged":true}, gateway answers 2 {"resultType":"complete"}: it is passed on
  hands over: old is idle; old answers 1 {"resultType":"complete"}: it stays here
D2 a stream that was cancelled is not requested again, and one too long to store ends with an error
  a session, listens 1 {"toolsListChanged":true}, tells cancelled {"requestId":1}, listens 2 {"resourceSubscriptions":["HUGE"]}
  lost: client gets 2 lost; lost: client gets nothing; resumes without hello: gateway gets nothing
B11 D2 a stream that is cancelled while there is no daemon is not requested again, others are
  a session, listens 1 {"toolsListChanged":true}, listens 2 {"toolsListChanged":true}, lost, no daemon, tells cancelled {"requestId":1}, resumes without hello
  : gateway gets #2 subscriptions/listen {"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}
  : client gets nothing
B11 a ping and the end of a subscription are answered while there is no daemon
  a session that has begun, asked 1 resources/subscribe {"uri":"a:1"}, asked 2 resources/subscribe {"uri":"a:2"}, lost, no daemon
  asks 8 ping, asks 9 resources/unsubscribe {"uri":"a:1"}, asks 10 resources/unsubscribe {}, asks 11 resources/subscribe {"uri":"a:3"}
  : client gets 8 {} & 9 {} & 10 error -32000 & 11 error -32000; resumes: gateway gets initialized & resources/subscribe {"uri":"a:2"}
D2 discovery is requested again, a call of 2026-07-28 is not
  a session, asks 1 server/discover {}, asks 2 tools/call {}, lost: client gets 2 lost; resumes without hello: gateway gets #1 server/discover {}
`,
);

test("the next daemon gets the client's own initialize, under another id", async () => {
  const scene = await startScene();
  const params = scene.begins();
  scene.lost();
  void scene.resume();
  const hello = scene.gateway.at(-1);
  assert.deepEqual(hello?.params, params);
  assert.notEqual(hello?.id, 0);
});

test("B7 after a handover the next daemon compares the lists; after a crash the client is notified of all lists", async () => {
  const scene = await startScene();
  scene.begins();
  const lists = { tools: "1", resources: "2", prompts: "3" };
  const params = { _meta: { "mountaineer/lists": lists } };
  scene.handsOver(params);
  for (const [known, notices] of [
    [lists, 0],
    [undefined, 2],
  ] as const) {
    const resuming = scene.resume();
    const hello = scene.gateway.findLast(({ method }) => method === "initialize");
    assert.deepEqual((hello?.params as typeof params | undefined)?._meta?.["mountaineer/lists"], known);
    scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
    await resuming;
    assert.equal(scene.client.length, notices);
    scene.lost();
  }
});

test("the digits of an id are reported as received", async () => {
  const scene = await startScene();
  scene.says('{"id":12345678901234567890,"method":"tools/call"}');
  scene.lost();
  assert.match(scene.texts[0] ?? "", /"id":12345678901234567890,/u);
});

test("a subscription that the new gateway refuses is requested again when its resources change", async () => {
  const scene = await startScene();
  scene.begins();
  for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.lost();
  const refusal = { error: { code: -32002, message: "unknown resource" } };
  for (const { id, params } of (await scene.resumes()).slice(1)) {
    for (const _ of ["once", "once more"])
      scene.answers({ id, ...(params?.["uri"] === "a:1" ? { result: {} } : refusal) });
  }
  const changed = { method: "notifications/resources/list_changed" };
  for (const reply of [refusal, { result: {} }]) {
    scene.gateway.length = 0;
    assert.equal(scene.answers(changed), true);
    assertEach(scene.gateway, ({ params }) => params?.["uri"], ["a:2"]);
    scene.answers({ id: scene.gateway[0]?.id, ...reply });
  }
  scene.gateway.length = 0;
  scene.answers(changed);
  assert.deepEqual(scene.gateway, []);
  for (const isEnded of [true, false]) {
    scene.lost();
    for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, ...refusal });
    if (isEnded)
      for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/unsubscribe", { uri });
    else {
      scene.lost();
      for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, result: {} });
    }
    scene.gateway.length = 0;
    scene.answers(changed);
    assert.deepEqual(scene.gateway, [], isEnded ? "the client has ended them" : "the next gateway took them");
    for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  }
});

test("answers owed by a lost gateway to the bridge are forgotten", async () => {
  const scene = await startScene();
  scene.begins();
  let isResumed = false;
  void scene.resume().then(() => {
    isResumed = true;
  });
  const hello = scene.gateway.at(-1);
  scene.lost();
  scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
  await settle();
  assert.equal(isResumed, false);
});

test("the bridge's memory is bounded, whatever a client or a gateway sends", async () => {
  const scene = await startScene();
  const { says, answers, session } = scene;
  scene.begins();
  for (let id = 1; id < MOST_WAITING + 100; id += 1) {
    scene.asks(id, "resources/subscribe", { uri: `a:${id}` });
    answers({ id, method: "roots/list" });
    says({ id, method: "subscriptions/listen" });
  }
  assert.equal(scene.at.questions.size, MOST_WAITING);
  assert.equal(session.inFlight, 99, "the streams beyond the limit wait for an answer");
  for (let id = 0; id < MOST_WAITING + 100; id += 1) says({ id, method: "tools/call" });
  assert.equal(session.inFlight, MOST_WAITING);
  scene.lost();
  const uris = (await scene.resumes()).flatMap(({ params }) => params?.["uri"] ?? []);
  assert.deepEqual([uris.length, uris[0]], [MOST_WAITING, "a:100"]);
});

test("a line that is too long fails its requests, and one of the gateway those that it answers", async () => {
  const scene = await startScene();
  scene.session.tooLong([{ id: "1", method: "tools/call" }]);
  scene.says({ id: 2, method: "tools/call" });
  scene.session.answersTooLong(scene.at, [{ id: "2", method: null }]);
  scene.session.answersTooLong(scene.at, [{ id: "3", method: null }]);
  const errors = scene.client.slice(-2).map(({ id, error }) => `${id} ${error?.message}`);
  assert.match(errors.join("; "), /^1 .* 128 MiB.* took no effect; 2 .* the call is done$/);
});

function groupScene() {
  const scene = openScene({ group: "work" });
  const { gateway } = scene;
  /** The outcome if the gateway answers so: null, or the error. */
  const asked = async (answer: object): Promise<unknown> => {
    gateway.length = 0;
    const resumed = scene.resume().then(
      () => null,
      (error: unknown) => error,
    );
    const [question] = gateway;
    assert.deepEqual([question?.method, question?.params], ["mountaineer/group", { name: "work" }]);
    assert.equal(scene.answers({ id: question?.id, ...answer }), false, "it is not the client's");
    return await resumed;
  };
  const refused = async (code: number, message = "no"): Promise<unknown> => {
    const error = await asked({ error: { code, message } });
    return error instanceof MountaineerError ? [error.code, error.message] : error;
  };
  return { scene, asked, refused };
}

test("D4 a group is requested before the session continues, and one that is not configured is refused", async () => {
  assert.equal(await groupScene().asked({ result: {} }), null);
  assert.deepEqual(await groupScene().refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

test("D4 a gateway that is stopping has not refused the group", async () => {
  const { scene, asked, refused } = groupScene();
  const stopping = await refused(-32600, "the gateway is stopping");
  assert.ok(stopping instanceof NotTakenYet);
  assert.match(stopping.message, /it answers mountaineer\/group with .*stopping/u);
  scene.lost();
  assert.equal(await asked({ result: {} }), null);
  scene.lost();
  assert.deepEqual(await refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

test("D7 the client's folder is sent before the session continues, even to a daemon that does not know the message", async () => {
  for (const answer of [{ result: {} }, { error: { code: -32600, message: "initialize comes first" } }]) {
    const scene = openScene({ folder: "/work/project" });
    const resumed = scene.resume();
    const [told] = scene.gateway;
    const { mark, ...params } = objectOf(told?.params);
    assert.deepEqual([told?.method, params], ["mountaineer/folder", { path: "/work/project" }]);
    assert.equal(scene.answers({ id: told?.id, ...answer }), false, "it is not the client's");
    await resumed;
    scene.lost();
    void scene.resume();
    assert.equal(objectOf(scene.gateway.at(-1)?.params)["mark"], mark, "the next daemon knows it again");
  }
});
