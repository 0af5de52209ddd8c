// The state of a session that passes through a bridge, with which the next daemon can continue it: its initialize
// request, its subscriptions and log level, and the requests in flight. Does no I/O and reads no clock.
import { randomBytes } from "node:crypto";
import { MountaineerError } from "../runtime/errors.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { idOf, type MessageId, messagesOf, type SeenMessage } from "./message-scan.ts";

/** The gateway lets 512 be in flight, and refuses the rest at once; of more than this the oldest are forgotten. */
export const MOST_WAITING = 4_096;
/** Of what is kept for each of them, and of a resource's URI. */
const KEPT_BYTES = 4_096;

/** As the gateway has it for what is no fault of the request. */
const UNAVAILABLE = -32000;
const LOST = "the daemon ended before it answered; it is not known whether the call took effect";
const NOT_TAKEN = "the daemon ended before it had the whole message; the call took no effect";
const NO_DAEMON = "no Mountaineer daemon runs (mountaineer up starts one); the call took no effect";

/** They change nothing and cost little, so they may be repeated. */
const ASKED_AGAIN: ReadonlySet<string> = new Set([
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "prompts/list",
  "skills/list",
  "ping",
  "server/discover",
]);
/** Requests whose effect outlasts their answer. */
const EFFECTS: ReadonlySet<string> = new Set([
  "initialize",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
]);
const LIST_KINDS = ["tools", "resources", "prompts"] as const;
const OPEN_OBJECT = 0x7b;
/** From a daemon that hands over: another one is in charge. */
const HANDOVER = "notifications/mountaineer/handover";
const RESOURCES_CHANGED = "notifications/resources/list_changed";
/**
 * Sent first of all: the group that the client is to be served. Daemons from before groups existed answer with an
 * error.
 */
const GROUP_METHOD = "mountaineer/group";
const NO_SUCH_GROUP = -32602;
/** As a gateway answers that has no time left for anybody. */
const STOPPING = "the gateway is stopping";
const LISTEN = "subscriptions/listen";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

/** The gateway refuses the session now; it, or the next one, may take it later. */
export class NotTakenYet extends Error {}

interface BridgeSessionEnds {
  /** Each is one message, without its newline. */
  readonly tellClient: (json: string) => void;
  readonly tellGateway: (json: string) => void;
  /** The group that the client is to be served; absent: everything. */
  readonly group?: string | null;
}

/** What holds in the session once a request is answered. */
type Effect =
  | { readonly kind: "initialize"; readonly params: JsonMembers }
  | { readonly kind: "level"; readonly level: string }
  | { readonly kind: "subscribe" | "unsubscribe"; readonly uri: string };

interface Waiting {
  readonly effect: Effect | null;
  /** What may be sent again to the next daemon; null: nothing. */
  readonly again: string | null;
}

interface Introduction {
  readonly params: JsonMembers;
  readonly protocolVersion: unknown;
  /** Notices of changed lists that the client was promised. */
  readonly notices: readonly string[];
}

export function createBridgeSession({ tellClient, tellGateway, group = null }: BridgeSessionEnds) {
  const own = createOwnRequests();
  const waiting = new Map<MessageId, Waiting>();
  const questions = new Set<MessageId>();
  const listening = createListening(tellClient);
  const lasting = createLasting((method, params, onAnswer) => tellGateway(own.ask(method, params, onAnswer)));
  let initialized = false;
  let silent = false;
  let movesOn = false;
  /** The group was served once, so groups are known there, and an error is about something else. */
  let hadGroup = false;

  const tellFailure = (id: MessageId, message: string): void =>
    tellClient(
      `{"jsonrpc":"2.0","id":${id},"error":{"code":${UNAVAILABLE},"message":${JSON.stringify(message)}}}`,
    );

  const request = (id: MessageId, method: string, line: Buffer | null, params: () => JsonMembers): void => {
    const effect = EFFECTS.has(method) ? effectOf(method, params()) : null;
    if (effect?.kind === "unsubscribe") lasting.unsubscribe(effect.uri);
    makeRoom(waiting);
    waiting.set(id, { effect, again: againOf(method, line) });
  };

  return {
    /** Requests of the client that wait for an answer. */
    get inFlight() {
      return waiting.size;
    },
    /** Another daemon is in charge, and neither side owes an answer: at this moment nobody notices a change. */
    get mayMove() {
      return movesOn && waiting.size === 0 && questions.size === 0;
    },
    /** What the client was asked and has not answered. */
    get openQuestions() {
      return questions.size;
    },
    /** Another daemon is in charge. */
    get movesOn() {
      return movesOn;
    },
    /** What the client says, before it goes on; `line` is null when it was too long to be looked at. */
    fromClient(messages: readonly SeenMessage[], line: Buffer | null): void {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        const params = (): JsonMembers => objectOf(read(index)["params"]);
        if (method === LISTEN && id !== null && listening.size < MOST_WAITING) {
          listening.begin(id, line?.at(0) === OPEN_OBJECT ? line : null);
        } else if (method !== null && id !== null) request(id, method, line, params);
        else if (id !== null) questions.delete(id);
        else if (method === "notifications/initialized") initialized = true;
        else if (method === "notifications/cancelled")
          for (const kept of [waiting, listening]) forget(kept, params());
      }
    },
    /** A message of the gateway; false: it answers the bridge, and is not for the client. */
    fromGateway(messages: readonly SeenMessage[], line: Buffer | null): boolean {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        if (method === HANDOVER) {
          movesOn = true;
          return false;
        }
        // It goes on listening with the next one.
        if (method === null && id !== null && movesOn && listening.has(id)) return false;
        if (method === ACKNOWLEDGED && listening.isAcknowledgedAgain(objectOf(read(index)["params"]))) {
          return false;
        }
        if (method === null && own.isOwn(id)) {
          own.settle(id, read(index));
          return false;
        }
        if (method === null && id !== null) {
          const effect = waiting.get(id)?.effect ?? null;
          waiting.delete(id);
          listening.delete(id);
          if (effect !== null) lasting.settle(effect, read(index));
        } else if (id !== null) {
          if (silent) continue;
          makeRoom(questions);
          questions.add(id);
        } else if (method === "notifications/cancelled") forget(questions, objectOf(read(index)["params"]));
        else if (method === RESOURCES_CHANGED) lasting.subscribeRefused();
      }
      return true;
    },
    /** The client says no more: it answers nothing, and no other daemon will hear of it. */
    fallSilent(): void {
      silent = true;
      questions.clear();
    },
    /** The client's message that was cut off with its connection: no daemon can make sense of it. */
    notTaken(messages: readonly SeenMessage[]): void {
      for (const { id, method } of messages) if (id !== null && method !== null) tellFailure(id, NOT_TAKEN);
    },
    /** No daemon is there, and none comes soon: most of what the client says is refused. `line` as in `fromClient`. */
    refuse(messages: readonly SeenMessage[], line: Buffer | null): void {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        if (id !== null && method !== null) {
          if (answersAlone(method, read(index), lasting))
            tellClient(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
          else tellFailure(id, NO_DAEMON);
        } else if (method === "notifications/initialized") initialized = true;
        // The next daemon is not asked for what the client does not listen to any more.
        else if (method === "notifications/cancelled") forget(listening, objectOf(read(index)["params"]));
      }
    },
    /** Refuses what still waits to be sent again. */
    refuseWaiting(): void {
      for (const id of [...waiting.keys()]) tellFailure(id, NO_DAEMON);
      waiting.clear();
    },
    /**
     * The connection is gone: tells the client what will not be answered any more, and keeps what can be sent again.
     */
    lost(): void {
      movesOn = false;
      own.forget();
      lasting.forgetRefused();
      for (const [id, { again }] of [...waiting]) {
        if (again !== null && !silent) continue;
        waiting.delete(id);
        tellFailure(id, LOST);
      }
      for (const id of listening.lost()) tellFailure(id, LOST);
      for (const requestId of questions) tellClient(withdrawn(requestId));
      questions.clear();
    },
    /**
     * Takes the session up on a new connection; resolves when the client's messages may follow. Rejects with
     * `daemon_unreachable` when this gateway can never take it, `group_unknown` when it has no such group, and NotTakenYet
     * when it does not take it now. Settles not at all when the connection is lost meanwhile.
     */
    async resume(): Promise<void> {
      if (group !== null) {
        await join(group, hadGroup, (...asked) => tellGateway(own.ask(...asked)));
        hadGroup = true;
      }
      const notices = await lasting.introduce();
      if (notices !== null) {
        if (initialized) tellGateway(notice("notifications/initialized"));
        lasting.ask();
        if (initialized) for (const method of notices) tellClient(notice(method));
      }
      for (const request of [...askAgain(waiting), ...listening.askAgain()]) tellGateway(request);
    },
  };
}

/** Answers what needs no daemon: pings, and requests to listen for less. */
function answersAlone(
  method: string,
  message: JsonMembers,
  lasting: { unsubscribe(uri: string): void },
): boolean {
  if (method === "ping") return true;
  const effect = method === "resources/unsubscribe" ? effectOf(method, objectOf(message["params"])) : null;
  if (effect?.kind !== "unsubscribe") return false;
  lasting.unsubscribe(effect.uri);
  return true;
}

/** The requests for the next daemon, each only once: it may be what ended the previous one. */
function* askAgain(waiting: Map<MessageId, Waiting>): Generator<string, void> {
  for (const [id, { again, effect }] of [...waiting]) {
    if (again === null) continue;
    waiting.set(id, { effect, again: null });
    yield again;
  }
}

type AskGateway = (method: string, params: JsonMembers, onAnswer: (answer: JsonMembers) => void) => void;

/** What the client asked for that lasts beyond its answer, for the next gateway to be asked again. */
function createLasting(askGateway: AskGateway) {
  const subscriptions = new Set<string>();
  /** Subscriptions the new gateway has refused so far: their backend may still be starting. */
  let refused: string[] = [];
  let introduction: Introduction | null = null;
  let level: string | null = null;

  const subscribe = (uri: string): void =>
    askGateway("resources/subscribe", { uri }, ({ error }) => {
      if (error !== undefined) refused.push(uri);
    });

  return {
    settle(effect: Effect, answer: JsonMembers): void {
      // What the client cancelled stays cancelled, whatever the answer was.
      if (effect.kind === "unsubscribe") subscriptions.delete(effect.uri);
      if (answer["result"] === undefined) return;
      if (effect.kind === "level") level = effect.level;
      else if (effect.kind === "subscribe") {
        makeRoom(subscriptions);
        subscriptions.add(effect.uri);
      } else if (effect.kind === "initialize" && introduction === null) {
        const { protocolVersion, capabilities } = objectOf(answer["result"]);
        introduction = { params: effect.params, protocolVersion, notices: promisedNotices(capabilities) };
      }
    },
    unsubscribe: (uri: string): void => void subscriptions.delete(uri),
    subscribeRefused(): void {
      const again = refused;
      refused = [];
      for (const uri of again) if (subscriptions.has(uri)) subscribe(uri);
    },
    forgetRefused(): void {
      refused = [];
    },
    /**
     * Resolves with the notices that the client was promised, or null if it never began. Rejects unless the gateway
     * takes the session on as it was: with NotTakenYet for an error, with `daemon_unreachable` for another MCP version.
     */
    async introduce(): Promise<readonly string[] | null> {
      if (introduction === null) return null;
      const { params, protocolVersion, notices } = introduction;
      const answered = Promise.withResolvers<JsonMembers>();
      askGateway("initialize", params, answered.resolve);
      const { result, error } = await answered.promise;
      // It may be stopping, or not be whole yet: the one after it may take the session.
      if (result === undefined) throw new NotTakenYet(`it answers initialize with ${JSON.stringify(error)}`);
      const spoken = objectOf(result)["protocolVersion"];
      if (spoken === protocolVersion) return notices;
      throw notTakenOn(
        `it speaks MCP ${String(spoken)}, but the client began with ${String(protocolVersion)}`,
      );
    },
    /** Asks for the log level and the subscriptions. */
    ask(): void {
      if (level !== null) askGateway("logging/setLevel", { level }, () => {});
      for (const uri of subscriptions) subscribe(uri);
    },
  };
}

/** What the bridge asks the gateway itself, between the requests of its client: under ids that no client has. */
function createOwnRequests() {
  const prefix = `"mountaineer-bridge-${randomBytes(12).toString("base64url")}-`;
  const waiting = new Map<MessageId, (answer: JsonMembers) => void>();
  let asked = 0;
  return {
    /** The request as JSON; its answer, a JSON-RPC response, goes to `onAnswer`. */
    ask(method: string, params: JsonMembers, onAnswer: (answer: JsonMembers) => void): string {
      asked += 1;
      const id = `${prefix}${asked}"`;
      waiting.set(id, onAnswer);
      return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
    },
    isOwn(id: MessageId | null): id is MessageId {
      return id?.startsWith(prefix) === true;
    },
    settle(id: MessageId, answer: JsonMembers): void {
      const onAnswer = waiting.get(id);
      waiting.delete(id);
      onAnswer?.(answer);
    },
    /** The gateway that was asked is gone. */
    forget: (): void => waiting.clear(),
  };
}

/** What may be sent again of a request; null: nothing. */
function againOf(method: string, line: Buffer | null): string | null {
  const isAgain = method === "initialize" || (ASKED_AGAIN.has(method) && (line?.length ?? 0) <= KEPT_BYTES);
  // A message of a batch is answered within a batch, and cannot be sent again by itself.
  return isAgain && line?.at(0) === OPEN_OBJECT ? line.toString("utf8").trimEnd() : null;
}

function effectOf(method: string, params: JsonMembers): Effect | null {
  if (method === "initialize") return { kind: "initialize", params };
  const { level, uri } = params;
  if (method === "logging/setLevel") return isKept(level) ? { kind: "level", level } : null;
  if (!isKept(uri)) return null;
  return { kind: method === "resources/subscribe" ? "subscribe" : "unsubscribe", uri };
}

function isKept(value: unknown): value is string {
  return typeof value === "string" && value.length <= KEPT_BYTES;
}

/** The oldest gives way. */
function makeRoom<Key>(kept: { size: number; keys(): Iterable<Key>; delete(key: Key): boolean }): void {
  for (const oldest of kept.keys()) {
    if (kept.size < MOST_WAITING) return;
    kept.delete(oldest);
  }
}

/** A cancelled request gets no answer. */
function forget(kept: { delete(id: MessageId): boolean }, { requestId }: JsonMembers): void {
  const id = idOf(requestId);
  if (id !== null) kept.delete(id);
}

function withdrawn(requestId: MessageId): string {
  return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${requestId},"reason":"the daemon ended"}}`;
}

function notice(method: string): string {
  return JSON.stringify({ jsonrpc: "2.0", method });
}

function promisedNotices(capabilities: unknown): readonly string[] {
  const promised = objectOf(capabilities);
  return LIST_KINDS.filter((kind) => objectOf(promised[kind])["listChanged"] === true).map(
    (kind) => `notifications/${kind}/list_changed`,
  );
}

async function join(name: string, hadGroup: boolean, askGateway: AskGateway): Promise<void> {
  const answered = Promise.withResolvers<JsonMembers>();
  askGateway(GROUP_METHOD, { name }, answered.resolve);
  const { error } = await answered.promise;
  if (error !== undefined) throw groupRefused(name, objectOf(error), hadGroup);
}

/** A group that is not served must not fall back to everything. */
function groupRefused(group: string, { code, message }: JsonMembers, hadGroup: boolean): Error {
  if (code === NO_SUCH_GROUP) {
    return new MountaineerError("group_unknown", `no group ${JSON.stringify(group)} is configured`, {
      hint: "mountaineer config show lists what is; one is a table [groups.NAME] with tools or backends",
    });
  }
  // It may be stopping, or not be whole yet: the one after it may take the session.
  if (hadGroup || message === STOPPING) {
    return new NotTakenYet(`it answers ${GROUP_METHOD} with ${JSON.stringify({ code, message })}`);
  }
  return new MountaineerError("daemon_unreachable", "the daemon that runs is of a version without groups", {
    hint: "mountaineer restart brings this version in; then start the MCP client again",
  });
}

function notTakenOn(why: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", `the daemon does not go on with this session: ${why}`, {
    hint: "the MCP client has to begin a new one: start it again",
  });
}

// What a client of protocol 2026-07-28 listens for (`subscriptions/listen`), so that it goes on listening with the next
// daemon and does not notice.

/** Of one request, with all its resources; a longer one ends with its daemon. */
const KEPT_LISTEN_BYTES = 64 * 1024;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

/** What is honoured of each list, and the notice of its change. */
const NOTICES = {
  toolsListChanged: "notifications/tools/list_changed",
  resourcesListChanged: "notifications/resources/list_changed",
  promptsListChanged: "notifications/prompts/list_changed",
} as const;

interface Listening {
  /** What is sent to the next daemon; null: it is not. */
  readonly again: string | null;
  /** The next daemon has been asked, and has not acknowledged it yet. */
  isAskedAgain: boolean;
}

function createListening(tellClient: (json: string) => void) {
  const listening = new Map<MessageId, Listening>();
  return {
    get size() {
      return listening.size;
    },
    begin(id: MessageId, line: Buffer | null): void {
      const isKept = line !== null && line.length <= KEPT_LISTEN_BYTES;
      listening.set(id, { again: isKept ? line.toString("utf8").trimEnd() : null, isAskedAgain: false });
    },
    has: (id: MessageId): boolean => listening.has(id),
    delete: (id: MessageId): boolean => listening.delete(id),
    /** The requests that do not go on; they are forgotten. */
    lost(): readonly MessageId[] {
      const over = [...listening].filter(([, { again }]) => again === null).map(([id]) => id);
      for (const id of over) listening.delete(id);
      return over;
    },
    /** The requests for the next daemon. */
    askAgain(): readonly string[] {
      const asked: string[] = [];
      for (const one of listening.values()) {
        if (one.again === null) continue;
        one.isAskedAgain = true;
        asked.push(one.again);
      }
      return asked;
    },
    /** Whether the client has the acknowledgement already. It is notified of what may have changed meanwhile. */
    isAcknowledgedAgain(params: JsonMembers): boolean {
      const subscription = objectOf(params["_meta"])[SUBSCRIPTION_ID];
      const id = idOf(subscription);
      const known = id === null ? undefined : listening.get(id);
      if (known?.isAskedAgain !== true) return false;
      known.isAskedAgain = false;
      const honoured = objectOf(params["notifications"]);
      for (const [flag, method] of Object.entries(NOTICES)) {
        if (honoured[flag] !== true) continue;
        const _meta = { [SUBSCRIPTION_ID]: subscription };
        tellClient(JSON.stringify({ jsonrpc: "2.0", method, params: { _meta } }));
      }
      return true;
    },
  };
}
