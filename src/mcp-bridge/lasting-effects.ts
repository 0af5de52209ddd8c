// What a client's requests have changed for good: its introduction, its log level and its subscriptions. The bridge repeats
// them at the next gateway.
import { dropOldest } from "../runtime/bounded-map.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import type { GatewayExchange } from "./gateway-exchange.ts";
import { type Effect, listChanges, MOST_WAITING, notice } from "./messages.ts";

interface Introduction {
  readonly params: JsonMembers;
  readonly protocolVersion: unknown;
  /** The notifications of changed lists that the server's capabilities declare. */
  readonly notices: readonly string[];
}

/** In the notice of a handover: the lists that the client knows. The next daemon then reports only lists that differ. */
const KNOWN_LISTS = "mountaineer/lists";

/** The gateway refuses the session now; this gateway or the next one may take it later. */
export class NotTakenYet extends Error {}

export class LastingEffects {
  readonly #sendToClient: (json: string) => void;
  readonly #subscriptions = new Set<string>();
  /** Subscriptions that the newest gateway has refused so far, perhaps because their backend is still starting. */
  #refused: string[] = [];
  #introduction: Introduction | null = null;
  #level: string | null = null;
  /** Digests of the lists that the client knows; undefined: the daemon gave none. */
  #lists: unknown;

  constructor(sendToClient: (json: string) => void) {
    this.#sendToClient = sendToClient;
  }

  /** Takes the answer to a request with that effect. */
  complete(effect: Effect, answer: JsonMembers): void {
    // Even if the gateway answered with an error: the client has ended this subscription.
    if (effect.kind === "unsubscribe") this.unsubscribe(effect.uri);
    if (answer["result"] === undefined) return;
    if (effect.kind === "level") this.#level = effect.level;
    else if (effect.kind === "subscribe") {
      dropOldest(this.#subscriptions, MOST_WAITING - 1);
      this.#subscriptions.add(effect.uri);
    } else if (effect.kind === "initialize") {
      const { protocolVersion, capabilities } = objectOf(answer["result"]);
      const declared = objectOf(capabilities);
      const notices = listChanges((kind) => objectOf(declared[kind])["listChanged"] === true);
      this.#introduction = { params: effect.params, protocolVersion, notices };
    }
  }

  /** Takes the notice of a handover. */
  handedOver(params: JsonMembers): void {
    this.#lists = objectOf(params["_meta"])[KNOWN_LISTS];
  }

  unsubscribe(uri: string): void {
    this.#subscriptions.delete(uri);
  }

  /** Tries again to subscribe where the gateway has refused it: its resources have changed. */
  subscribeRefused(gateway: GatewayExchange): void {
    const again = this.#refused;
    this.#refused = [];
    for (const uri of again) if (this.#subscriptions.has(uri)) this.#subscribe(gateway, uri);
  }

  /**
   * Repeats the client's initialize. Resolves with the methods of the change notices that the client must get from
   * here; null: the client never initialized. Rejects with NotTakenYet for an error, and with `daemon_unreachable` for
   * another MCP version.
   */
  async introduce(gateway: GatewayExchange): Promise<readonly string[] | null> {
    if (this.#introduction === null) return null;
    const { params, protocolVersion, notices } = this.#introduction;
    const known = this.#lists;
    const _meta = { ...objectOf(params["_meta"]), [KNOWN_LISTS]: known };
    const again = known === undefined ? params : { ...params, _meta };
    const { result, error } = await gateway.answerOf("initialize", again);
    // This gateway may be starting or stopping, and the next gateway may accept the session.
    if (result === undefined) throw new NotTakenYet(`it answers initialize with ${JSON.stringify(error)}`);
    const spoken = objectOf(result)["protocolVersion"];
    if (spoken === protocolVersion) {
      // After a crash it is unknown which lists have changed.
      this.#lists = undefined;
      return known === undefined ? notices : [];
    }
    const why = `it speaks MCP ${String(spoken)}, but the client began with ${String(protocolVersion)}`;
    const message = `the daemon does not resume this session: ${why}`;
    const hint = "restart the MCP client to begin a new one";
    throw new MountaineerError("daemon_unreachable", message, { hint });
  }

  restore(gateway: GatewayExchange): void {
    this.#refused = [];
    if (this.#level !== null) gateway.request("logging/setLevel", { level: this.#level });
    for (const uri of this.#subscriptions) this.#subscribe(gateway, uri);
  }

  /** Repeats one effect at a gateway that was introduced before the effect was known. */
  repeat(effect: Effect, gateway: GatewayExchange): void {
    if (effect.kind === "level") gateway.request("logging/setLevel", { level: effect.level });
    else if (effect.kind === "unsubscribe") gateway.request("resources/unsubscribe", { uri: effect.uri });
    else if (effect.kind === "subscribe") this.#subscribe(gateway, effect.uri);
  }

  #subscribe(gateway: GatewayExchange, uri: string): void {
    gateway.request("resources/subscribe", { uri }, ({ error }) => {
      if (error !== undefined) this.#refused.push(uri);
      // The resource may have changed while there was no subscription.
      else if (this.#subscriptions.has(uri))
        this.#sendToClient(notice("notifications/resources/updated", { uri }));
    });
  }
}
