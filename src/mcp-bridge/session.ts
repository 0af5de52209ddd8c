// What the next daemon needs to continue a client's session: the initialize request, subscriptions, log level, and
// requests in flight. Does no I/O and reads no clock.
import { randomBytes } from "node:crypto";
import { dropOldest } from "../runtime/bounded-map.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { idOf, type MessageId, messagesOf, type ScannedMessage } from "./message-scan.ts";

/**
 * Maximum number of remembered requests; the oldest is forgotten first. The gateway allows only 512 in
 * flight.
 */
export const MOST_WAITING = 4_096;
/** Longest request kept for repeating, and longest URI of a subscription. */
const RETAINED_BYTES = 4_096;

/** The gateway's error code for failures that the request has not caused. */
const UNAVAILABLE = -32000;
const LOST = "the daemon ended before it answered; it is not known whether the call took effect";
const NOT_TAKEN = "the daemon ended before it had the whole message; the call took no effect";
const NO_DAEMON = "no Mountaineer daemon runs (mountaineer up starts one); the call took no effect";

/** Cheap requests without side effects, which may be repeated. */
const REPEATED: ReadonlySet<string> = new Set([
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
/** A daemon's notice that it has handed over to the next one. */
const HANDOVER = "notifications/mountaineer/handover";
/** In the handover's notice: the lists that the client knows. The next daemon then reports only lists that differ. */
const KNOWN_LISTS = "mountaineer/lists";
const RESOURCES_CHANGED = "notifications/resources/list_changed";
/** The first request: selects the client's group. */
const GROUP_METHOD = "mountaineer/group";
/** Tells the folder in which the client was started. Daemons that do not know this request refuse it. */
const FOLDER_METHOD = "mountaineer/folder";
const NO_SUCH_GROUP = -32602;
const LISTEN = "subscriptions/listen";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

/** The gateway refuses the session now; this gateway or the next one may take it later. */
export class NotTakenYet extends Error {}

interface BridgeSessionEnds {
  /** Sends one message, given without a newline. */
  readonly sendToClient: (json: string) => void;
  readonly sendToGateway: (json: string) => void;
  /** Serves the client only this group; absent: everything. */
  readonly group?: string | null;
  /** The folder in which the client was started; absent: not known. */
  readonly folder?: string | null;
}

/** The lasting effect of a request once it has succeeded. */
type Effect =
  | { readonly kind: "initialize"; readonly params: JsonMembers }
  | { readonly kind: "level"; readonly level: string }
  | { readonly kind: "subscribe" | "unsubscribe"; readonly uri: string };

interface Waiting {
  readonly effect: Effect | null;
  /** The request's line, if it may be sent again to the next daemon. */
  again: string | null;
}

interface Introduction {
  readonly params: JsonMembers;
  readonly protocolVersion: unknown;
  /** Methods of the list-change notifications that the server's capabilities declare. */
  readonly notices: readonly string[];
}

export function createBridgeSession({
  sendToClient,
  sendToGateway,
  group = null,
  folder = null,
}: BridgeSessionEnds) {
  const own = createOwnRequests();
  const waiting = new Map<MessageId, Waiting>();
  const questions = new Set<MessageId>();
  const listening = createListening(sendToClient);
  const requestFromGateway: RequestFromGateway = (...request) => sendToGateway(own.request(...request));
  const lasting = createLasting(requestFromGateway, sendToClient);
  let initialized = false;
  let silent = false;
  let movesOn = false;

  const sendFailure = (id: MessageId, message: string): void =>
    sendToClient(
      `{"jsonrpc":"2.0","id":${id},"error":{"code":${UNAVAILABLE},"message":${JSON.stringify(message)}}}`,
    );

  const request = (id: MessageId, method: string, line: Buffer | null, params: () => JsonMembers): void => {
    const effect = EFFECTS.has(method) ? effectOf(method, params()) : null;
    if (effect?.kind === "unsubscribe") lasting.unsubscribe(effect.uri);
    dropOldest(waiting, MOST_WAITING - 1);
    waiting.set(id, { effect, again: repeatableLine(method, line) });
  };

  return {
    /** Number of the client's requests without an answer. */
    get inFlight() {
      return waiting.size;
    },
    /** True after a handover, while neither side waits for an answer: the client does not notice a move now. */
    get mayMove() {
      return movesOn && waiting.size === 0 && questions.size === 0;
    },
    /** Number of the gateway's questions (requests to the client) that the client has not answered. */
    get openQuestions() {
      return questions.size;
    },
    /** The daemon has handed over to the next one. */
    get movesOn() {
      return movesOn;
    },
    /** Call with the client's messages before they are passed on; `line` is null if it is too long to buffer. */
    fromClient(messages: readonly ScannedMessage[], line: Buffer | null): void {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        const params = (): JsonMembers => objectOf(read(index)["params"]);
        if (method === LISTEN && id !== null && listening.size < MOST_WAITING) {
          listening.begin(id, line?.at(0) === OPEN_OBJECT ? line : null);
        } else if (method !== null && id !== null) request(id, method, line, params);
        else if (id !== null) questions.delete(id);
        else if (method === "notifications/initialized") initialized = true;
        else if (method === "notifications/cancelled")
          for (const requests of [waiting, listening]) forgetCancelled(requests, params());
      }
    },
    /**
     * To be called with the gateway's messages. Returns false if the client must not get them, for instance
     * answers to the bridge.
     */
    fromGateway(messages: readonly ScannedMessage[], line: Buffer | null): boolean {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        if (method === HANDOVER) {
          movesOn = true;
          lasting.knows(objectOf(objectOf(read(index)["params"])["_meta"])[KNOWN_LISTS]);
          return false;
        }
        // The old daemon ends the stream of `subscriptions/listen`, and the bridge asks the next daemon for
        // it. The client must not notice.
        if (method === null && id !== null && movesOn && listening.has(id)) return false;
        if (method === ACKNOWLEDGED && listening.isAcknowledgedAgain(objectOf(read(index)["params"]))) {
          return false;
        }
        if (method === null && own.isOwn(id)) {
          own.complete(id, read(index));
          return false;
        }
        if (method === null && id !== null) {
          const effect = waiting.get(id)?.effect ?? null;
          waiting.delete(id);
          listening.delete(id);
          if (effect !== null) lasting.complete(effect, read(index));
        } else if (id !== null) {
          if (silent) continue;
          dropOldest(questions, MOST_WAITING - 1);
          questions.add(id);
        } else if (method === "notifications/cancelled")
          forgetCancelled(questions, objectOf(read(index)["params"]));
        else if (method === RESOURCES_CHANGED) lasting.subscribeRefused();
      }
      return true;
    },
    /** The client has ended its input: it answers no questions, and the session does not continue at another daemon. */
    fallSilent(): void {
      silent = true;
      questions.clear();
    },
    /** Fails the requests of which a daemon got only a part before its connection ended. */
    notTaken(messages: readonly ScannedMessage[]): void {
      for (const { id, method } of messages) if (id !== null && method !== null) sendFailure(id, NOT_TAKEN);
    },
    /**
     * Answers requests while no daemon runs: itself if `answersLocally` can, otherwise with a refusal. `line` has the
     * same meaning as in `fromClient`.
     */
    refuse(messages: readonly ScannedMessage[], line: Buffer | null): void {
      const read = messagesOf(line);
      for (const [index, { id, method }] of messages.entries()) {
        if (id !== null && method !== null) {
          if (answersLocally(method, read(index), lasting))
            sendToClient(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
          else sendFailure(id, NO_DAEMON);
        } else if (method === "notifications/initialized") initialized = true;
        // Forgets the client's `subscriptions/listen`, so that the bridge does not repeat it.
        else if (method === "notifications/cancelled")
          forgetCancelled(listening, objectOf(read(index)["params"]));
      }
    },
    refuseWaiting(): void {
      for (const id of waiting.keys()) sendFailure(id, NO_DAEMON);
      waiting.clear();
    },
    /** The connection is gone: fails the client's requests, except those that can be repeated at the next daemon. */
    lost(): void {
      movesOn = false;
      own.forget();
      for (const [id, { again }] of [...waiting]) {
        if (again !== null && !silent) continue;
        waiting.delete(id);
        sendFailure(id, LOST);
      }
      for (const id of listening.lost()) sendFailure(id, LOST);
      for (const requestId of questions)
        sendToClient(
          `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${requestId},"reason":"the daemon ended"}}`,
        );
      questions.clear();
    },
    /**
     * Resumes the session on a new connection; resolves when the client's messages may follow. Rejects with
     * `daemon_unreachable` if this gateway can never take the session, with `group_unknown` if it has no such group,
     * and with NotTakenYet if it does not take the session now. Never settles if the connection is lost first.
     */
    async resume(): Promise<void> {
      if (group !== null) await joinGroup(group, requestFromGateway);
      // The gateway reads the next messages of the line after it, so the answer is not awaited.
      if (folder !== null) requestFromGateway(FOLDER_METHOD, { path: folder }, () => {});
      const notices = await lasting.introduce();
      if (notices !== null) {
        if (initialized) sendToGateway(notice("notifications/initialized"));
        lasting.restore();
        if (initialized) for (const method of notices) sendToClient(notice(method));
      }
      for (const request of [...repeat(waiting.values()), ...listening.repeat()]) sendToGateway(request);
    },
  };
}

/** Whether the request needs no daemon: a ping, or the end of a subscription, which takes effect here. */
function answersLocally(
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

/** Yields each request to repeat only once, because it may have crashed the previous daemon. */
function* repeat(waiting: Iterable<Waiting>): Generator<string, void> {
  for (const request of waiting) {
    if (request.again !== null) yield request.again;
    request.again = null;
  }
}

type RequestFromGateway = (
  method: string,
  params: JsonMembers,
  onAnswer: (answer: JsonMembers) => void,
) => void;

/** The lasting effects of the client's requests, to be restored at the next gateway. */
/** A resource may have changed while there was no subscription. */
const UPDATED = { jsonrpc: "2.0", method: "notifications/resources/updated" };

function createLasting(requestFromGateway: RequestFromGateway, sendToClient: (json: string) => void) {
  const subscriptions = new Set<string>();
  /** Subscriptions that the new gateway has refused so far, perhaps because their backend is still starting. */
  let refused: string[] = [];
  let introduction: Introduction | null = null;
  let level: string | null = null;
  /** Digests of the lists that the client knows; undefined: the daemon gave none. */
  let lists: unknown;

  const subscribe = (uri: string): void =>
    requestFromGateway("resources/subscribe", { uri }, ({ error }) => {
      if (error !== undefined) refused.push(uri);
      else if (subscriptions.has(uri)) sendToClient(JSON.stringify({ ...UPDATED, params: { uri } }));
    });

  return {
    complete(effect: Effect, answer: JsonMembers): void {
      // Even if the gateway answered with an error: the client has ended this subscription.
      if (effect.kind === "unsubscribe") subscriptions.delete(effect.uri);
      if (answer["result"] === undefined) return;
      if (effect.kind === "level") level = effect.level;
      else if (effect.kind === "subscribe") {
        dropOldest(subscriptions, MOST_WAITING - 1);
        subscriptions.add(effect.uri);
      } else if (effect.kind === "initialize") {
        const { protocolVersion, capabilities } = objectOf(answer["result"]);
        introduction = { params: effect.params, protocolVersion, notices: promisedNotices(capabilities) };
      }
    },
    knows(known: unknown): void {
      lists = known;
    },
    unsubscribe: (uri: string): void => void subscriptions.delete(uri),
    subscribeRefused(): void {
      const again = refused;
      refused = [];
      for (const uri of again) if (subscriptions.has(uri)) subscribe(uri);
    },
    /**
     * Repeats the client's initialize. Resolves with the methods of the change notices that the client must get from
     * here; null: the client never initialized. Rejects with NotTakenYet for an error, and with `daemon_unreachable` for
     * another MCP version.
     */
    async introduce(): Promise<readonly string[] | null> {
      if (introduction === null) return null;
      const { params, protocolVersion, notices } = introduction;
      const known = lists;
      const _meta = { ...objectOf(params["_meta"]), [KNOWN_LISTS]: known };
      const again = known === undefined ? params : { ...params, _meta };
      const { result, error } = await answerOf(requestFromGateway, "initialize", again);
      // This gateway may be starting or stopping, and the next gateway may accept the session.
      if (result === undefined) throw new NotTakenYet(`it answers initialize with ${JSON.stringify(error)}`);
      const spoken = objectOf(result)["protocolVersion"];
      if (spoken === protocolVersion) {
        // After a crash it is unknown which lists have changed.
        lists = undefined;
        return known === undefined ? notices : [];
      }
      const why = `it speaks MCP ${String(spoken)}, but the client began with ${String(protocolVersion)}`;
      const message = `the daemon does not resume this session: ${why}`;
      const hint = "restart the MCP client to begin a new one";
      throw new MountaineerError("daemon_unreachable", message, { hint });
    },
    restore(): void {
      refused = [];
      if (level !== null) requestFromGateway("logging/setLevel", { level }, () => {});
      for (const uri of subscriptions) subscribe(uri);
    },
  };
}

/** The bridge's own requests to the gateway, with ids that no client uses. */
function createOwnRequests() {
  const prefix = `"mountaineer-bridge-${randomBytes(12).toString("base64url")}-`;
  const waiting = new Map<MessageId, (answer: JsonMembers) => void>();
  let lastNumber = 0;
  return {
    /** Returns the request as JSON; `onAnswer` gets the JSON-RPC response. */
    request(method: string, params: JsonMembers, onAnswer: (answer: JsonMembers) => void): string {
      lastNumber += 1;
      const id = `${prefix}${lastNumber}"`;
      waiting.set(id, onAnswer);
      return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
    },
    isOwn(id: MessageId | null): id is MessageId {
      return id?.startsWith(prefix) === true;
    },
    complete(id: MessageId, answer: JsonMembers): void {
      const onAnswer = waiting.get(id);
      waiting.delete(id);
      onAnswer?.(answer);
    },
    forget: (): void => waiting.clear(),
  };
}

function repeatableLine(method: string, line: Buffer | null): string | null {
  const isAgain = method === "initialize" || (REPEATED.has(method) && (line?.length ?? 0) <= RETAINED_BYTES);
  // A message of a batch is answered within a batch, so it cannot be repeated separately.
  return isAgain && line?.at(0) === OPEN_OBJECT ? line.toString("utf8").trimEnd() : null;
}

function effectOf(method: string, params: JsonMembers): Effect | null {
  if (method === "initialize") return { kind: "initialize", params };
  const { level, uri } = params;
  if (method === "logging/setLevel") return isStored(level) ? { kind: "level", level } : null;
  if (!isStored(uri)) return null;
  return { kind: method === "resources/subscribe" ? "subscribe" : "unsubscribe", uri };
}

function isStored(value: unknown): value is string {
  return typeof value === "string" && value.length <= RETAINED_BYTES;
}

function forgetCancelled(requests: { delete(id: MessageId): boolean }, { requestId }: JsonMembers): void {
  const id = idOf(requestId);
  if (id !== null) requests.delete(id);
}

function notice(method: string): string {
  return JSON.stringify({ jsonrpc: "2.0", method });
}

function listNotices(isPromised: (kind: (typeof LIST_KINDS)[number]) => boolean): readonly string[] {
  return LIST_KINDS.filter(isPromised).map((kind) => `notifications/${kind}/list_changed`);
}

function promisedNotices(capabilities: unknown): readonly string[] {
  const promised = objectOf(capabilities);
  return listNotices((kind) => objectOf(promised[kind])["listChanged"] === true);
}

async function answerOf(
  requestFromGateway: RequestFromGateway,
  method: string,
  params: JsonMembers,
): Promise<JsonMembers> {
  const answered = Promise.withResolvers<JsonMembers>();
  requestFromGateway(method, params, answered.resolve);
  return await answered.promise;
}

async function joinGroup(name: string, requestFromGateway: RequestFromGateway): Promise<void> {
  const { error } = await answerOf(requestFromGateway, GROUP_METHOD, { name });
  if (error !== undefined) throw groupRefused(name, objectOf(error));
}

/** Returns an error for every kind of refusal: a client of a group must not be served everything instead. */
function groupRefused(group: string, { code, message }: JsonMembers): Error {
  if (code === NO_SUCH_GROUP) {
    return new MountaineerError("group_unknown", `no group ${JSON.stringify(group)} is configured`, {
      hint: "mountaineer config show lists what is; one is a table [groups.NAME] with tools or backends",
    });
  }
  // A gateway that starts or stops may refuse now, and the next one may take the session.
  return new NotTakenYet(`it answers ${GROUP_METHOD} with ${JSON.stringify({ code, message })}`);
}

// Keeps the `subscriptions/listen` requests of a client of protocol 2026-07-28, and repeats them at the next
// daemon, unnoticed by the client.

/** Longest `subscriptions/listen` that is repeated at the next daemon; a longer one ends with its daemon. */
const STORED_LISTEN_BYTES = 64 * 1024;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

interface Listening {
  /** The line that repeats the request at the next daemon; null if that line is too long. */
  readonly again: string | null;
  /** The request was repeated, and its acknowledgement is still to come. */
  isRepeated: boolean;
}

function createListening(sendToClient: (json: string) => void) {
  const listening = new Map<MessageId, Listening>();
  return {
    get size() {
      return listening.size;
    },
    begin(id: MessageId, line: Buffer | null): void {
      const isStored = line !== null && line.length <= STORED_LISTEN_BYTES;
      listening.set(id, { again: isStored ? line.toString("utf8").trimEnd() : null, isRepeated: false });
    },
    has: (id: MessageId): boolean => listening.has(id),
    delete: (id: MessageId): boolean => listening.delete(id),
    /** Forgets the requests that cannot be repeated, and returns them. */
    lost(): readonly MessageId[] {
      const over = [...listening].filter(([, { again }]) => again === null).map(([id]) => id);
      for (const id of over) listening.delete(id);
      return over;
    },
    repeat(): readonly string[] {
      const repeated: string[] = [];
      for (const one of listening.values()) {
        if (one.again === null) continue;
        one.isRepeated = true;
        repeated.push(one.again);
      }
      return repeated;
    },
    /**
     * True for the acknowledgement of a repeated request. The client does not get this acknowledgement; it gets
     * notices of changed lists instead.
     */
    isAcknowledgedAgain({ _meta, notifications }: JsonMembers): boolean {
      const subscription = objectOf(_meta)[SUBSCRIPTION_ID];
      const id = idOf(subscription);
      const known = id === null ? undefined : listening.get(id);
      if (known?.isRepeated !== true) return false;
      known.isRepeated = false;
      const honoured = objectOf(notifications);
      const params = { _meta: { [SUBSCRIPTION_ID]: subscription } };
      for (const method of listNotices((kind) => honoured[`${kind}ListChanged`] === true))
        sendToClient(JSON.stringify({ jsonrpc: "2.0", method, params }));
      return true;
    },
  };
}
