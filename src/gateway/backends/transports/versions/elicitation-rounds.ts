// Turns a modern server's `input_required` result into the requests that a legacy server would send, and sends the
// request again with the answers.
import { randomUUID } from "node:crypto";
import { safeLine } from "../../../../runtime/text/safe-line.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcId,
  type RpcRequest,
  rpcRequest,
} from "../../../json-rpc.ts";
import { toolError } from "./legacy-form.ts";

const MOST_ROUNDS = 10;
const MOST_INPUTS = 100;
const METHODS: ReadonlySet<unknown> = new Set(["elicitation/create", "sampling/createMessage", "roots/list"]);
const LONGEST = 300;

/** A client's request for which the server may need input. */
export interface Asker {
  /** The request as it was sent first. */
  readonly message: RpcRequest;
  rounds: number;
  /** Ids of pages that the client was asked to visit; the client is notified when the server continues. */
  readonly pages: string[];
}

interface Round<T extends Asker> {
  readonly asker: T;
  readonly open: Set<RpcId>;
  readonly responses: Record<string, unknown>;
  readonly requestState: unknown;
}

interface RoundEvents<T extends Asker> {
  nextId(): RpcId;
  /** Sends a request of the server to the client. */
  request(asker: T, request: RpcRequest): void;
  /** Sends the request again. `isLater`: after a pause, because the server asked for no input. */
  retry(asker: T, params: JsonObject, isLater: boolean): void;
  fail(asker: T, reply: Reply): void;
}

export class ElicitationRounds<T extends Asker> {
  readonly #events: RoundEvents<T>;
  readonly #open = new Map<
    RpcId,
    { readonly round: Round<T>; readonly key: string; readonly method: string }
  >();

  constructor(events: RoundEvents<T>) {
    this.#events = events;
  }

  begin(asker: T, result: JsonObject): void {
    const { inputRequests = {}, requestState } = result;
    asker.rounds += 1;
    if (asker.rounds > MOST_ROUNDS) {
      this.#fail(asker, `the server asked for input more than ${MOST_ROUNDS} times`);
      return;
    }
    const entries = isJsonObject(inputRequests) ? Object.entries(inputRequests) : [];
    const bad = entries.find(([, one]) => !isJsonObject(one) || !METHODS.has(one["method"]));
    if (entries.length > MOST_INPUTS) {
      this.#fail(asker, `the server asks for more than ${MOST_INPUTS} inputs at once`);
      return;
    }
    if (bad !== undefined) {
      this.#fail(asker, `the server asks for input that no client can give: ${safeLine(bad[0], LONGEST)}`);
      return;
    }
    const round: Round<T> = { asker, open: new Set(), responses: {}, requestState };
    const requests = entries.map(([key, one]) => this.#request(round, key, one as JsonObject));
    if (requests.length === 0) this.#answered(round);
    for (const request of requests) if (this.#open.has(request.id)) this.#events.request(asker, request);
  }

  /** Takes the client's answer to a request; false: no request with this id is open. */
  take(id: RpcId, reply: Reply): boolean {
    const found = this.#open.get(id);
    if (found === undefined) return false;
    const { round, key, method } = found;
    this.#open.delete(id);
    round.open.delete(id);
    if (isError(reply)) {
      this.drop(round.asker);
      this.#fail(round.asker, `the client answered ${method} with an error: ${reply.error.message}`);
      return true;
    }
    // An assignment would not create a key `__proto__`.
    Object.defineProperty(round.responses, key, { value: reply.result, enumerable: true });
    if (round.open.size === 0) this.#answered(round);
    return true;
  }

  /** Forgets the server's open requests that belong to the client's request `asker`. */
  drop(asker: T): void {
    for (const [id, { round }] of [...this.#open]) if (round.asker === asker) this.#open.delete(id);
  }

  #request(round: Round<T>, key: string, { method, params }: JsonObject): RpcRequest {
    const id = this.#events.nextId();
    const name = String(method);
    this.#open.set(id, { round, key, method: name });
    round.open.add(id);
    if (!isJsonObject(params)) return rpcRequest(id, name, undefined);
    if (name !== "elicitation/create" || params["mode"] !== "url") return rpcRequest(id, name, params);
    const elicitationId = randomUUID();
    round.asker.pages.push(elicitationId);
    return rpcRequest(id, name, { ...params, elicitationId });
  }

  #answered({ asker, responses, requestState }: Round<T>): void {
    const hasResponses = Object.keys(responses).length > 0;
    const params = {
      ...asker.message.params,
      ...(hasResponses && { inputResponses: responses }),
      ...(requestState !== undefined && { requestState }),
    };
    this.#events.retry(asker, params, !hasResponses);
  }

  #fail(asker: T, why: string): void {
    const reply = asker.message.method === "tools/call" ? toolError(why) : errorReply(INTERNAL_ERROR, why);
    this.#events.fail(asker, reply);
  }
}
