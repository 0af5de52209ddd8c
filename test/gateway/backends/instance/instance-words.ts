// The words of stories about one instance on a scripted link. `a`, `b` … are clients and `a1` their calls; a call of nobody's
// begins with `x`. In JSON, which has no space after a comma or colon, `"#a1"` is the instance's own id of that call. What
// somebody hears, and what is news, counts from the last look at it.
import assert from "node:assert/strict";
import type { InstanceOptions } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import { progressTokenOf } from "../../../../src/gateway/backends/instance/calls.ts";
import type { TransportFailure } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import type { JsonObject, Reply, RpcId } from "../../../../src/gateway/json-rpc.ts";
import { isLogLevel, LIST_CHANGED } from "../../../../src/gateway/protocol.ts";
import { settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { type Act, type Fact, tellStories, type Words } from "../../../support/stories.ts";
import { FAILURE, INITIALIZED, type ScriptedLink, toolOf } from "../programs/instance-scripted-link.ts";
import {
  createTestClient,
  type Question,
  type TestCall,
  type TestClient,
  type Told,
} from "../programs/instance-test-client.ts";
import { startUnderTest, type UnderTest } from "../programs/instance-under-test.ts";

interface Call {
  /** null: of nobody's. */
  readonly port: TestCall | null;
  /** -1: it was not sent at once. */
  readonly id: number;
  readonly cancel: AbortController;
}

interface World {
  readonly options: Partial<InstanceOptions>;
  /** What is done to the link before the start. */
  readonly prepared: ((link: ScriptedLink) => void)[];
  under: UnderTest | null;
  readonly clients: Map<string, TestClient>;
  readonly calls: Map<string, Call>;
  /** What calls, and clients that subscribe, got. */
  readonly replies: Map<string, Reply>;
  /** So many messages of the instance were looked at, and so many times it was news. */
  heard: number;
  seen: number;
  listings: number;
}

type Groups = (string | undefined)[];
type Do = (world: World, ...groups: Groups) => unknown;

const OK: Reply = { result: { content: [] } };

const of = ({ under }: World): UnderTest => under ?? assert.fail("it is not started");

function start(world: World): World {
  world.under = startUnderTest(world.options, (link) => {
    for (const prepare of world.prepared) prepare(link);
  });
  return world;
}

const worldOf = (options: Partial<InstanceOptions> = {}, prepare?: (link: ScriptedLink) => void): World => ({
  options,
  prepared: prepare === undefined ? [] : [prepare],
  under: null,
  clients: new Map(options.owner == null ? [] : [["a", options.owner as TestClient]]),
  calls: new Map(),
  replies: new Map(),
  heard: 0,
  seen: 0,
  listings: 0,
});

async function ready(options: Partial<InstanceOptions> = {}, prepare?: (link: ScriptedLink) => void) {
  const world = start(worldOf(options, prepare));
  await settle();
  return world;
}

function clientOf({ clients }: World, name = ""): TestClient {
  const client = clients.get(name) ?? createTestClient(name);
  clients.set(name, client);
  return client;
}

const callOf = ({ calls }: World, name = ""): Call => calls.get(name) ?? assert.fail(`no call ${name}`);

const someone = (world: World, name = ""): { readonly told: Told[]; readonly asked: Question[] } =>
  /\d/.test(name) ? (callOf(world, name).port ?? assert.fail(`${name} is nobody's`)) : clientOf(world, name);

const json = (world: World, text = "{}"): JsonObject =>
  JSON.parse(text, (_, value) =>
    typeof value === "string" && value.startsWith("#") ? callOf(world, value.slice(1)).id : value,
  );

const idOf = (text = ""): RpcId => (/^[\d"]/.test(text) ? JSON.parse(text) : text);

function call(world: World, name = "", more: { method?: string; params?: string; seconds?: string } = {}) {
  const cancel = new AbortController();
  const port = name.startsWith("x") ? null : clientOf(world, name.slice(0, 1)).call(Number(name.slice(1)));
  return begin(world, name, port, cancel, more);
}

function begin(
  world: World,
  name: string,
  port: TestCall | null,
  cancel: AbortController,
  { method, params, seconds }: { method?: string; params?: string; seconds?: string } = {},
): void {
  const { id, reply } = of(world).call(port, params === undefined ? undefined : json(world, params), {
    ...(method !== undefined && { method }),
    ...(seconds !== undefined && { timeoutMs: Number(seconds) * 1_000 }),
    signal: cancel.signal,
  });
  world.calls.set(name, { port, id, cancel });
  void reply.then((got) => world.replies.set(name, got));
}

/** Does it to the link, or before the start of one. */
const server =
  (act: (link: ScriptedLink, ...groups: Groups) => unknown): Do =>
  (world, ...groups) => {
    if (world.under === null) world.prepared.push((link) => void act(link, ...groups));
    else act(world.under.link, ...groups);
  };

const KINDS = { tools: "tools/list", resources: "resources/list", prompts: "prompts/list" } as const;
const given = (text: string, kind = "tools"): JsonObject => ({
  [kind]: text.split(" ").filter(Boolean).map(toolOf),
});
const failing = (kind = "", text?: string): TransportFailure =>
  FAILURE(kind as TransportFailure["kind"], text);

const ACTS: readonly (readonly [RegExp, Do])[] = [
  [/^starts$/, start],
  [/^(\d+) ms$/, (world, ms) => of(world).clock.advance(Number(ms))],
  [/^(\d+) s$/, (world, seconds) => of(world).clock.advance(Number(seconds) * 1_000)],
  [/^gives tools(?: ([^{}]*))?$/, server((link, names = "") => link.gives("tools/list", given(names)))],
  [/^gives (\S+) (\{.*\})$/, server((link, method = "", text = "") => link.gives(method, JSON.parse(text)))],
  [/^hangs (\S+)$/, server((link, method = "") => link.hangs(method))],
  [/^refuses (\S+) "(.*)"$/, server((link, method = "", text = "") => link.refuses(method, text))],
  [/^knows no (\S+)$/, server((link, method = "") => link.answers.delete(method))],
  [
    /^fails (\S+) (\w+)(?: "(.*)")?$/,
    server((link, method = "", kind, text) => link.answers.set(method, () => failing(kind, text))),
  ],
  [
    /^loses (\S+) once and then gives (\{.*\})$/,
    server((link, method = "", text = "") =>
      link.answers.set(method, () => {
        link.gives(method, JSON.parse(text));
        return FAILURE("session_lost");
      }),
    ),
  ],
  [
    /^speaks (\S+)$/,
    server((link, protocolVersion = "") =>
      link.gives("initialize", { ...("result" in INITIALIZED && INITIALIZED.result), protocolVersion }),
    ),
  ],
  [
    /^declares (\{.*\})$/,
    server((link, text = "") =>
      link.gives("initialize", {
        protocolVersion: "2025-11-25",
        capabilities: JSON.parse(text),
        serverInfo: { name: "other", version: "2" },
      }),
    ),
  ],
  [
    /^(initialize|ping|\S+\/\S+) (answered|refused)(?: (\{.*\}))?$/,
    (world, method = "", how, text) => {
      const plain = method === "initialize" ? INITIALIZED : { result: {} };
      const told = text === undefined ? null : json(world, text);
      const reply = told === null ? plain : how === "refused" ? { error: told } : { result: told };
      of(world).link.answerTo(method, reply as Reply);
    },
  ],
  [
    /^says levels (.*)$/,
    (world, levels = "") => {
      for (const level of levels.split(" "))
        of(world).link.notify("notifications/message", { level, data: "" });
    },
  ],
  [
    /^says (\S+)(?: (\{.*\}))?(?: in (\w+))?$/,
    (world, method = "", text, stream) =>
      void of(world).link.notify(
        `notifications/${method}`,
        text === undefined ? undefined : json(world, text),
        stream === undefined ? null : callOf(world, stream).id,
      ),
  ],
  [
    /^(\d+) times (\d+) ms and a message$/,
    async (world, times, ms) => {
      for (let count = 0; count < Number(times); count++) {
        await of(world).clock.advance(Number(ms));
        of(world).link.notify("notifications/message", { level: "info", data: "still at it" });
      }
    },
  ],
  [
    /^asks (\S+) (\S+)(?: (\{.*\}))?(?: in (\w+))?$/,
    (world, id, method = "", text, stream) =>
      of(world).link.ask(
        idOf(id),
        method,
        text === undefined ? undefined : json(world, text),
        stream === undefined ? null : (world.calls.get(stream)?.id ?? Number(stream)),
      ),
  ],
  [
    /^(\d+) times a gap and (\d+) ms$/,
    async (world, times, ms) => {
      for (let count = 0; count < Number(times); count++) {
        of(world).link.gap();
        await of(world).clock.advance(Number(ms));
      }
    },
  ],
  [
    /^(\d+) times tools change at once$/,
    (world, times) => {
      for (let count = 0; count < Number(times); count++) notice(world, "tools");
    },
  ],
  [/^due lists are read for a notice$/, (world) => of(world).instance.readDueLists("notice")],
  [/^(tools|resources|prompts) change$/, (world, kind) => notice(world, kind)],
  [/^gap$/, (world) => of(world).link.gap()],
  [/^suspect$/, (world) => of(world).link.suspect()],
  [/^dies "(.*)"$/, (world, text) => of(world).link.die(FAILURE("closed", text?.replace("⏎", "\n")))],
  [/^prints "(.*)"$/, (world, line = "") => of(world).link.log(line)],
  [
    /^notified (\S+)(?: (\{.*\}))?$/,
    (world, method = "", text) =>
      of(world).instance.notify(
        `notifications/${method}`,
        text === undefined ? undefined : json(world, text),
      ),
  ],
  [
    /^adopts (\S+) of ([a-z])$/,
    (world, uri = "", name) => of(world).instance.adopt(new Map([[uri, new Set([clientOf(world, name)])]])),
  ],
  [
    /^(\d+) times a call is answered$/,
    async (world, times) => {
      for (let count = 0; count < Number(times); count++) {
        const { id, reply } = of(world).call(null);
        of(world).link.answer(id, OK);
        await reply;
      }
    },
  ],
  [/^checked$/, (world) => of(world).instance.check()],
  [/^refreshed$/, (world) => of(world).instance.refresh()],
  [/^closed "(.*)"$/, (world, message = "") => void of(world).instance.close({ code: -32_000, message })],
  [
    /^starts with level (\w+)$/,
    (world, level) => start(Object.assign(world, { options: { ...world.options, logLevel: level } })),
  ],
  [/^level (\w+)$/, (world, level) => of(world).instance.setLogLevel(isLogLevel(level) ? level : null)],
  [
    /^([a-z]) wants (\w+)$/,
    (world, name, level) => {
      clientOf(world, name).logLevel = isLogLevel(level) ? level : null;
    },
  ],
  [
    /^([a-z]) can (\{.*\})$/,
    ({ clients }, name = "", text = "") => void clients.set(name, createTestClient(name, JSON.parse(text))),
  ],
  [
    /^([a-z]\d+) calls(?: (\w+\/\w+))?(?: (\{.*\}))?(?: for ([\d.]+) s)?$/,
    (world, name, method, params, seconds) =>
      call(world, name, {
        ...(method !== undefined && { method }),
        ...(params !== undefined && { params }),
        ...(seconds !== undefined && { seconds }),
      }),
  ],
  [
    /^([a-z]\d+) calls and may be evicted$/,
    (world, name = "") => {
      const cancel = new AbortController();
      const port = clientOf(world, name.slice(0, 1)).call(Number(name.slice(1)));
      const evict = (): void => cancel.abort("another one waits");
      begin(world, name, { ...port, mayBeEvicted: true, evict } as TestCall, cancel);
    },
  ],
  [
    /^([a-z]\d+) answered(?: (\{.*\}))?$/,
    (world, name, text) =>
      of(world).link.answer(callOf(world, name).id, text === undefined ? OK : { result: json(world, text) }),
  ],
  [
    /^([a-z]\d+) refused (\{.*\})$/,
    (world, name, text) =>
      of(world).link.answer(callOf(world, name).id, { error: json(world, text) } as unknown as Reply),
  ],
  [
    /^([a-z]\d+) fails as (\w+)(?: "(.*)")?$/,
    (world, name, kind, text) =>
      of(world).link.failRequest(callOf(world, name).id, failing(kind, text?.replace("⏎", "\n"))),
  ],
  [
    /^(\d+) times a session is lost$/,
    async (world, times) => {
      for (let count = 0; count < Number(times); count++) {
        of(world).link.failRequest(of(world).call(null).id, FAILURE("session_lost"));
        await settle();
      }
    },
  ],
  [
    /^([a-z]\d+) cancelled by an error "(.*)"$/,
    (world, name, text) => callOf(world, name).cancel.abort(new Error(text?.replace("⏎", "\n"))),
  ],
  [
    /^([a-z]\d+) calls once cancelled$/,
    (world, name = "") => {
      const cancel = new AbortController();
      cancel.abort();
      begin(world, name, null, cancel);
    },
  ],
  [/^([a-z]\d+) cancelled(?: "(.*)")?$/, (world, name, reason) => callOf(world, name).cancel.abort(reason)],
  [
    /^([a-z]\d*) replies(?: to (\d))?(?: (\{.*\}))?$/,
    (world, name, nth = "1", text) =>
      someone(world, name).asked[Number(nth) - 1]?.answer(
        text === undefined ? OK : { result: json(world, text) },
      ),
  ],
  [/^([a-z]\d+) breaks off$/, (world, name) => callOf(world, name).port?.asked[0]?.breakOff()],
  [
    /^([a-z]\d+) progresses (\{.*\})$/,
    (world, name, text) => {
      const { params, onProgress } = someone(world, name).asked.at(-1) ?? assert.fail("it is not asked");
      onProgress?.({ progressToken: progressTokenOf(params), ...json(world, text) });
    },
  ],
  [
    /^([a-z]) has left$/,
    ({ clients }, name = "") =>
      void clients.set(name, { ...createTestClient(name), ended: AbortSignal.abort() }),
  ],
  [/^([a-z]) leaves$/, (world, name) => of(world).instance.forget(clientOf(world, name))],
  [
    /^([a-z]) (subscribes|unsubscribes|watches) (\S+)(?: as (\w+))?$/,
    (world, name = "", how, uri = "", as = "") => {
      const { instance } = of(world);
      const client = clientOf(world, name);
      const reply =
        how === "watches"
          ? instance.watchTask({ id: uri, name: as }, client)
          : how === "subscribes"
            ? instance.subscribe(uri, client)
            : instance.unsubscribe(uri, client);
      world.replies.delete(name);
      void reply.then((got) => world.replies.set(name, got));
    },
  ],
];

function notice(world: World, kind = ""): void {
  of(world).link.notify(LIST_CHANGED[kind as keyof typeof LIST_CHANGED]);
}

/** What follows from an act at once follows before the next, unless that one comes `at once`. */
const acts: readonly Act<World>[] = ACTS.flatMap(([words, act]): Act<World>[] => [
  [new RegExp(`^at once ${words.source.slice(1)}`), (world, ...groups) => void act(world, ...groups)],
  [
    words,
    async (world, ...groups) => {
      await act(world, ...groups);
      await settle();
    },
  ],
]);

const messages = (world: World, text = ""): unknown[] =>
  text === "nothing"
    ? []
    : text.split(" & ").map((one) => {
        const [, method, params] = /^(\S+)(?: (\{.*\}))?$/.exec(one) ?? assert.fail(one);
        return [method, params === undefined ? undefined : json(world, params)];
      });
const short = (method: string): string => method.replace("notifications/", "");
const messageIn = (reply: Reply | null | undefined): string =>
  reply != null && "error" in reply ? reply.error.message : "no error";

const UNCLEAR = 'the client that this belongs to is unknown; set instances = "per-client" for server files';
const replyTo = (world: World, id?: string): Reply | null => of(world).link.replyTo(idOf(id));
const failure = (world: World): TransportFailure | null => {
  const { state } = of(world).instance.observed;
  return state.kind === "ended" ? state.failure : null;
};

const facts: readonly Fact<World>[] = [
  [/^is (starting|ready|ended|closing)$/, (world, kind) => [of(world).instance.observed.state.kind, kind]],
  [
    /^ended (as \w+ )?"(…)?(.*)"( before it was ready)?$/,
    (world, kind, isPart, text = "", before) => {
      const { state } = of(world).instance.observed;
      const { kind: as, message } = failure(world) ?? failing("none", "");
      const found = isPart === undefined || !message.includes(text) ? message : text;
      const wasReady = state.kind === "ended" && state.wasReady;
      return [
        [kind === undefined ? "" : `as ${as} `, found, !wasReady || before === undefined],
        [kind ?? "", text, before === undefined || !wasReady],
      ];
    },
  ],
  [/^says no control character$/, (world) => [/\p{Cc}/u.test(failure(world)?.message ?? ""), false]],
  [/^hints \/(.*)\/$/, (world, text = "") => [new RegExp(text).test(failure(world)?.hint ?? ""), true]],
  [/^the link is closed$/, (world) => [of(world).link.closed, true]],
  [/^no timers$/, (world) => [of(world).clock.pendingTimers, 0]],
  [
    /^(\d+) sessions?$/,
    (world, count) => {
      const { link } = of(world);
      return [
        [link.established.length, link.told("notifications/initialized").length],
        [Number(count), Number(count)],
      ];
    },
  ],
  [
    /^(\d+) (\S+) requests?$/,
    (world, count, method = "") => [of(world).link.requests(method).length, Number(count)],
  ],
  [
    /^(\S+\/\S+) was sent (.*)$/,
    (world, method = "", all = "") => [
      pluck(of(world).link.requests(method), "params"),
      all.split(" & ").map((one) => json(world, one)),
    ],
  ],
  [/^(\d+) in flight$/, (world, count) => [of(world).instance.observed.inFlight, Number(count)]],
  [/^missed (\d+)$/, (world, count) => [of(world).instance.observed.missedChecks, Number(count)]],
  [/^is unreachable$/, (world) => [of(world).instance.observed.isUnreachable, true]],
  [
    /^(\d+) news$/,
    (world, count) => {
      const before = world.seen;
      world.seen = of(world).counts.seen;
      return [world.seen - before, Number(count)];
    },
  ],
  [
    /^(\d+) new lists?$/,
    (world, count) => {
      const before = world.listings;
      world.listings = of(world).counts.listings;
      return [world.listings - before, Number(count)];
    },
  ],
  [
    /^introduces (\S+) (\S*) of (\S+)$/,
    (world, name, version, spoken) => {
      const { initializeResult } = of(world).instance;
      return [
        [initializeResult?.serverInfo, initializeResult?.protocolVersion],
        [{ name, version }, spoken],
      ];
    },
  ],
  [/^checked now$/, (world) => [of(world).instance.observed.checkedAtMs, of(world).clock.monotonicMs()]],
  [
    /^requests (no )?roots$/,
    (world, none) => [of(world).instance.observed.requestsRoots, none === undefined],
  ],
  [
    /^the last request is (\S+)$/,
    (world, method) => {
      const last = of(world).link.received.at(-1);
      return [last !== undefined && "method" in last && last.method, method];
    },
  ],
  [
    /^nothing is due for a (notice|list)( of tools)?$/,
    (world, why, kind) => [
      of(world).instance.readDueLists(why as "notice", kind === undefined ? undefined : ["tools"]),
      null,
    ],
  ],
  [
    /^a list of tools is due for a list$/,
    (world) => [of(world).instance.readDueLists("list", ["tools"]) === null, false],
  ],
  [/^no lists$/, (world) => [of(world).instance.listings, null]],
  [/^lists (\{.*\})$/, (world, text) => [of(world).instance.listings, json(world, text)]],
  [
    /^(tools|resources|prompts) ?(.*)$/,
    (world, kind = "", names = "") => [
      pluck(of(world).instance.listings?.[kind as keyof typeof KINDS] ?? [], "name").join(" "),
      names,
    ],
  ],
  [
    /^(?:lists are whole|lists are stale: "(.*)")$/,
    (world, why) => [of(world).instance.observed.listsStaleBecause, why ?? null],
  ],
  [
    /^withheld (\[.*\])$/,
    (world, all = "") => [of(world).instance.observed.withheldEntries, JSON.parse(all)],
  ],
  [
    /^server hears (.*)$/,
    (world, all) => {
      const { received } = of(world).link;
      const heard = received
        .slice(world.heard)
        .flatMap((one) =>
          "method" in one && !("id" in one) && one.method !== "notifications/initialized"
            ? [[short(one.method), one.params]]
            : [],
        );
      world.heard = received.length;
      return [heard, messages(world, all)];
    },
  ],
  [
    /^(?:no log|log (\{.*\}))$/,
    (world, text) => [of(world).logs.splice(0), text === undefined ? [] : [json(world, text)]],
  ],
  [/^log line (.*)$/, (world, line) => [of(world).instance.logLines.at(-1), line]],
  [
    /^(\d+) warnings?(?: "(.*)")?$/,
    (world, count, text) => {
      const told = of(world).logger.lines.filter(({ level }) => level === "warn");
      return [
        [told.length, text === undefined ? "" : told[0]?.message],
        [Number(count), text ?? ""],
      ];
    },
  ],
  [
    /^([a-z]\d*) hears levels (.*)$/,
    (world, name, levels) => [
      someone(world, name)
        .told.splice(0)
        .map(({ params }) => params?.["level"])
        .join(" "),
      levels,
    ],
  ],
  [
    /^([a-z]\d*) hears (.*)$/,
    (world, name, all) => [
      someone(world, name)
        .told.splice(0)
        .map(({ method, params }) => [short(method), params]),
      messages(world, all),
    ],
  ],
  [
    /^([a-z]\d*) was asked (\d+)$/,
    (world, name, count) => [someone(world, name).asked.length, Number(count)],
  ],
  [
    /^([a-z]\d*) last asked (\{.*\})$/,
    (world, name, text) => [someone(world, name).asked.at(-1)?.params, json(world, text)],
  ],
  [
    /^([a-z]\d*) question (\d) is (open|withdrawn)$/,
    (world, name, nth, how) => [
      someone(world, name).asked[Number(nth) - 1]?.signal.aborted,
      how === "withdrawn",
    ],
  ],
  [
    /^([a-z]\d+) is (?:(kept)|evicted)$/,
    (world, name, kept) => [callOf(world, name).cancel.signal.aborted, kept === undefined],
  ],
  [/^([a-z]\d+) was (not )?sent$/, (world, name, not) => [callOf(world, name).id === -1, not !== undefined]],
  [/^([a-z]\d+) waits$/, (world, name = "") => [world.replies.get(name), undefined]],
  [/^([a-z]\d*) is answered$/, (world, name = "") => [world.replies.get(name), OK]],
  [
    /^([a-z]\d*) got (\{.*\})$/,
    (world, name = "", text) => [world.replies.get(name), { result: json(world, text) }],
  ],
  [
    /^([a-z]\d*) got error (\{.*\})$/,
    (world, name = "", text) => [world.replies.get(name), { error: json(world, text) }],
  ],
  [
    /^([a-z]\d*) got an error(?: "(…)?(.*)")?$/,
    (world, name = "", isPart, text) => {
      const message = messageIn(world.replies.get(name));
      if (text === undefined) return [message === "no error", false];
      return [isPart === undefined || !message.includes(text) ? message : text, text];
    },
  ],
  [/^(\S+) waits for a reply$/, (world, id) => [replyTo(world, id), null]],
  [/^(\S+) gets (\{.*\})$/, (world, id, text) => [replyTo(world, id), { result: json(world, text) }]],
  [
    /^(\S+) has no owner$/,
    (world, id) => [replyTo(world, id), { error: { code: -32600, message: UNCLEAR } }],
  ],
  [
    /^(\S+) fails(?: with (-\d+))?(?: "(…)?(.*)")?$/,
    (world, id, code, isPart, text) => {
      const reply = replyTo(world, id);
      const message = messageIn(reply);
      const found = isPart === undefined || !message.includes(text ?? "") ? message : text;
      const error = reply !== null && "error" in reply ? reply.error.code : null;
      return [
        [code === undefined ? error !== null : error, text === undefined ? "" : found],
        [code === undefined ? true : Number(code), text ?? ""],
      ];
    },
  ],
  [
    /^(\d+) repl(?:y|ies) to (\S+)$/,
    (world, count, id) => [
      of(world).link.received.filter((one) => !("method" in one) && one.id === idOf(id)).length,
      Number(count),
    ],
  ],
  [/^subscribed ?(.*)$/, (world, uris) => [[...of(world).instance.subscriptions.keys()].join(" "), uris]],
];

const overHttp = (link: ScriptedLink): void => {
  link.pid = null;
};
/** As server-filesystem does: it asks in one go with what it answers to `initialized`. */
async function asking(): Promise<World> {
  const world = start(worldOf({ owner: createTestClient("a") }, (link) => link.hangs("ping")));
  of(world).link.ask("roots", "roots/list");
  await settle();
  return world;
}

const WORDS: Words<World> = {
  starts: {
    "a server": () => ready(),
    "a server of a": () => ready({ owner: createTestClient("a") }),
    "a server over HTTP": () => ready({}, overHttp),
    "a server over HTTP that is slow to set a level": () =>
      ready({}, (link) => {
        overHttp(link);
        link.hangs("logging/setLevel");
      }),
    "a server to start": () => worldOf(),
    "a silent server to start": () => worldOf({ silentMs: 45_000, fetchMs: 300_000 }),
    "one to start that may fetch nothing": () => worldOf({ silentMs: 45_000, fetchMs: 0 }),
    "a server of a that asks first": asking,
  },
  acts,
  facts,
};

export const stories = (text: string): void => tellStories(WORDS, text);
