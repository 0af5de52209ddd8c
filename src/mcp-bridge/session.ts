// The session of one client, which outlives each daemon: at any time one gateway takes the client's requests, while those before
// it finish theirs. Does no I/O and reads no clock.
import { randomBytes } from "node:crypto";
import { dropOldest } from "../runtime/bounded-map.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { GatewayExchange, type Waiting } from "./gateway-exchange.ts";
import { LastingEffects, NotTakenYet } from "./lasting-effects.ts";
import { LONGEST_LINE_BYTES } from "./line-passage.ts";
import { Listening } from "./listening.ts";
import { idOf, type MessageId, messagesOf, type ScannedMessage } from "./message-scan.ts";
import { effectOf, listChanges, MOST_WAITING, notice, RETAINED_BYTES } from "./messages.ts";

/** The gateway's error code for failures that the request has not caused. */
const UNAVAILABLE = -32000;
const LOST = "the daemon ended before it answered; it is not known whether the call took effect";
const LONGEST = `${LONGEST_LINE_BYTES / 1024 ** 2} MiB, which mountaineer mcp passes at most`;
const TOO_LONG = `the message is longer than the ${LONGEST}; the call took no effect`;
const ANSWER_TOO_LONG = `the answer is longer than the ${LONGEST}; the call is done`;
const NO_DAEMON = "no Mountaineer daemon runs (mountaineer up starts one); the call took no effect";

/** Cheap requests without side effects, which may be repeated. */
const REPEATED: ReadonlySet<string> = new Set([
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "prompts/list",
  "ping",
  "server/discover",
]);
const OPEN_OBJECT = 0x7b;
const INITIALIZED = "notifications/initialized";
const CANCELLED = "notifications/cancelled";
/** A daemon's notice that it has handed over to the next one. */
const HANDOVER = "notifications/mountaineer/handover";
const RESOURCES_CHANGED = "notifications/resources/list_changed";
/** Outside of calls, the client gets these only from the newest daemon. */
const CHANGES: ReadonlySet<string> = new Set([...listChanges(), "notifications/resources/updated"]);
/** The first request: selects the client's group. */
const GROUP_METHOD = "mountaineer/group";
/**
 * Tells the folder in which the client was started, and a mark by which each daemon knows this process again. Daemons that do not
 * know this request refuse it.
 */
const FOLDER_METHOD = "mountaineer/folder";
const NO_SUCH_GROUP = -32602;
const LISTEN = "subscriptions/listen";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

interface BridgeSessionOptions {
  /** Sends one message, given without a newline. */
  readonly sendToClient: (json: string) => void;
  /** Serves the client only this group; null: everything. */
  readonly group: string | null;
  /** The folder in which the client was started; null: not known. */
  readonly folder: string | null;
}

export class BridgeSession {
  readonly #options: BridgeSessionOptions;
  readonly #mark = randomBytes(18).toString("base64url");
  readonly #lasting: LastingEffects;
  readonly #listening: Listening;
  #current: GatewayExchange | null = null;
  /** All gateways that have not ended, the oldest first. */
  readonly #gateways = new Set<GatewayExchange>();
  /** Requests that a lost gateway has not answered, for the next one. */
  readonly #unanswered = new Map<MessageId, Waiting & { readonly again: string }>();
  /** The client has sent `initialized`. */
  #isInitialized = false;
  /** The client has ended its input: it answers no questions, and does not continue at another daemon. */
  #isSilent = false;

  constructor(options: BridgeSessionOptions) {
    this.#options = options;
    this.#lasting = new LastingEffects(options.sendToClient);
    this.#listening = new Listening(options.sendToClient);
  }

  /** Number of the client's requests without an answer. */
  get inFlight(): number {
    return [...this.#gateways].reduce((sum, { waiting }) => sum + waiting.size, this.#unanswered.size);
  }

  /** A gateway whose connection has begun. */
  join(write: GatewayExchange["write"]): GatewayExchange {
    const gateway = new GatewayExchange(write);
    this.#gateways.add(gateway);
    return gateway;
  }

  /**
   * Introduces the client to the gateway; resolves when the client's messages may follow. Rejects with
   * `daemon_unreachable` if this gateway can never take the session, with `group_unknown` if it has no such group,
   * and with NotTakenYet if it does not take the session now. Never settles if the connection is lost first.
   */
  async introduce(gateway: GatewayExchange): Promise<void> {
    const { group, folder, sendToClient } = this.#options;
    if (group !== null) await joinGroup(group, gateway);
    // The gateway reads the next messages of the line after it, so the answer is not awaited.
    if (folder !== null) gateway.request(FOLDER_METHOD, { path: folder, mark: this.#mark });
    const notices = await this.#lasting.introduce(gateway);
    if (notices !== null) {
      if (this.#isInitialized) gateway.send(notice(INITIALIZED));
      this.#lasting.restore(gateway);
      if (this.#isInitialized) for (const method of notices) sendToClient(notice(method));
    }
  }

  /** From now on, the gateway takes the client's requests. */
  continueAt(gateway: GatewayExchange): void {
    this.#current = gateway;
    this.#repeatUnanswered(gateway);
    for (const request of this.#listening.repeat()) gateway.send(request);
  }

  /** Takes the client's requests; null: no gateway does. */
  get current(): GatewayExchange | null {
    return this.#current;
  }

  /** Takes a line of the client. Returns the gateways that must get it: requests are one's, all else is every one's. */
  fromClient(messages: readonly ScannedMessage[], line: Buffer): readonly GatewayExchange[] {
    const isRequest = messages.some(({ id, method }) => id !== null && method !== null);
    const current = this.#current;
    this.#takeFromClient(messages, line, current);
    if (!isRequest) return [...this.#gateways];
    return current === null ? [] : [current];
  }

  /**
   * To be called with the gateway's messages. Returns false if the client must not get them, for instance answers to the
   * bridge.
   */
  fromGateway(gateway: GatewayExchange, messages: readonly ScannedMessage[], line: Buffer): boolean {
    const read = messagesOf(line);
    for (const [index, { id, method }] of messages.entries()) {
      const params = (): JsonMembers => objectOf(read(index)["params"]);
      if (method === null && id !== null) {
        if (!this.#takeAnswer(gateway, id, () => read(index))) return false;
      } else if (id !== null) {
        if (this.#isSilent) continue;
        dropOldest(gateway.questions, MOST_WAITING - 1);
        gateway.questions.add(id);
      } else if (method !== null && !this.#takeNotice(gateway, method, params)) return false;
    }
    return true;
  }

  /** The client has ended its input. */
  fallSilent(): void {
    this.#isSilent = true;
    for (const { questions } of this.#gateways) questions.clear();
  }

  /** A line of the client was too long: fails its requests. */
  tooLong(messages: readonly ScannedMessage[]): void {
    for (const { id, method } of messages) if (id !== null && method !== null) this.#fail(id, TOO_LONG);
  }

  /** A line of the gateway was too long: fails the requests that it answers. */
  answersTooLong(gateway: GatewayExchange, messages: readonly ScannedMessage[]): void {
    for (const { id, method } of messages)
      if (id !== null && method === null && gateway.waiting.delete(id)) this.#fail(id, ANSWER_TOO_LONG);
  }

  /** No gateway has come: fails the requests that wait for one. */
  refuseWaiting(): void {
    for (const id of this.#unanswered.keys()) this.#fail(id, NO_DAEMON);
    this.#unanswered.clear();
  }

  /** The gateway is gone: fails the client's requests there, except those that can be repeated at the next one. */
  lost(gateway: GatewayExchange): void {
    this.#gateways.delete(gateway);
    if (this.#current === gateway) this.#current = null;
    for (const [id, { effect, again }] of gateway.waiting) {
      if (again === null || this.#isSilent) this.#fail(id, LOST);
      else this.#unanswered.set(id, { effect, again });
    }
    if (!gateway.hasHandedOver) for (const id of this.#listening.lost()) this.#fail(id, LOST);
    for (const requestId of gateway.questions)
      this.#options.sendToClient(
        `{"jsonrpc":"2.0","method":"${CANCELLED}","params":{"requestId":${requestId},"reason":"the daemon ended"}}`,
      );
    if (this.#current !== null) this.#repeatUnanswered(this.#current);
  }

  /** `gateway` null: none takes requests, so they are answered here. */
  #takeFromClient(messages: readonly ScannedMessage[], line: Buffer, gateway: GatewayExchange | null): void {
    const read = messagesOf(line);
    for (const [index, { id, method }] of messages.entries()) {
      const params = (): JsonMembers => objectOf(read(index)["params"]);
      if (id !== null && method !== null) {
        if (gateway === null) this.#answerHere(id, method, params);
        else this.#takeRequest(gateway, id, method, line, params);
      } else if (id !== null) for (const { questions } of this.#gateways) questions.delete(id);
      else if (method === INITIALIZED) this.#isInitialized = true;
      else if (method === CANCELLED) {
        const waiting = [...this.#gateways].map((each) => each.waiting);
        for (const requests of [this.#listening, this.#unanswered, ...waiting])
          forgetCancelled(requests, params());
      }
    }
  }

  #takeRequest(
    { waiting }: GatewayExchange,
    id: MessageId,
    method: string,
    line: Buffer,
    params: () => JsonMembers,
  ): void {
    // A message of a batch is answered within a batch, so it cannot be repeated separately.
    const whole = line.at(0) === OPEN_OBJECT ? line : null;
    if (method === LISTEN && this.#listening.size < MOST_WAITING) {
      this.#listening.begin(id, whole);
      return;
    }
    const effect = effectOf(method, params);
    if (effect?.kind === "unsubscribe") this.#lasting.unsubscribe(effect.uri);
    const isRepeatable = method === "initialize" || (REPEATED.has(method) && line.length <= RETAINED_BYTES);
    dropOldest(waiting, MOST_WAITING - 1);
    waiting.set(id, { effect, again: isRepeatable ? (whole?.toString("utf8").trimEnd() ?? null) : null });
  }

  /** A ping, and the end of a subscription, need no daemon. */
  #answerHere(id: MessageId, method: string, params: () => JsonMembers): void {
    const effect = effectOf(method, params);
    if (effect?.kind === "unsubscribe") this.#lasting.unsubscribe(effect.uri);
    if (method === "ping" || effect?.kind === "unsubscribe")
      this.#options.sendToClient(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    else this.#fail(id, NO_DAEMON);
  }

  #takeAnswer(gateway: GatewayExchange, id: MessageId, answer: () => JsonMembers): boolean {
    if (gateway.complete(id, answer)) return false;
    // The old daemon ends the stream of `subscriptions/listen`, and the next one repeats it. The client must not notice.
    if (gateway.hasHandedOver && this.#listening.has(id)) return false;
    const effect = gateway.waiting.get(id)?.effect ?? null;
    gateway.waiting.delete(id);
    this.#listening.delete(id);
    if (effect !== null) this.#lasting.complete(effect, answer());
    if (
      effect !== null &&
      gateway.hasHandedOver &&
      this.#current !== null &&
      answer()["result"] !== undefined
    )
      this.#lasting.repeat(effect, this.#current);
    return true;
  }

  #takeNotice(gateway: GatewayExchange, method: string, params: () => JsonMembers): boolean {
    if (method === HANDOVER) {
      gateway.hasHandedOver = true;
      if (this.#current === gateway) this.#current = null;
      this.#lasting.handedOver(params());
      for (const id of this.#listening.lost()) this.#fail(id, LOST);
      return false;
    }
    if (method === ACKNOWLEDGED) return !this.#listening.isAcknowledgedAgain(params());
    if (method === CANCELLED) forgetCancelled(gateway.questions, params());
    if (method === RESOURCES_CHANGED && !gateway.hasHandedOver) this.#lasting.subscribeRefused(gateway);
    return !(gateway.hasHandedOver && CHANGES.has(method));
  }

  /** Repeats each request only once, because it may have crashed the previous daemon. */
  #repeatUnanswered(gateway: GatewayExchange): void {
    for (const [id, { effect, again }] of this.#unanswered) {
      gateway.waiting.set(id, { effect, again: null });
      gateway.send(again);
    }
    this.#unanswered.clear();
  }

  #fail(id: MessageId, message: string): void {
    this.#options.sendToClient(
      `{"jsonrpc":"2.0","id":${id},"error":{"code":${UNAVAILABLE},"message":${JSON.stringify(message)}}}`,
    );
  }
}

function forgetCancelled(requests: { delete(id: MessageId): boolean }, { requestId }: JsonMembers): void {
  const id = idOf(requestId);
  if (id !== null) requests.delete(id);
}

async function joinGroup(name: string, gateway: GatewayExchange): Promise<void> {
  const { error } = await gateway.answerOf(GROUP_METHOD, { name });
  if (error !== undefined) throw groupRefused(name, objectOf(error));
}

/** Returns an error for every kind of refusal: a client of a group must not be served everything instead. */
function groupRefused(group: string, { code, message }: JsonMembers): Error {
  if (code === NO_SUCH_GROUP) {
    return new MountaineerError("group_unknown", `no group ${JSON.stringify(group)} is configured`, {
      hint: "mountaineer config show lists what is; one is a table [groups.NAME] with `tools` or `backends`",
    });
  }
  // A gateway that starts or stops may refuse now, and the next one may take the session.
  return new NotTakenYet(`it answers ${GROUP_METHOD} with ${JSON.stringify({ code, message })}`);
}
