// A call in flight of a session, and `runCall`, which passes any call to the middleware chain.
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { CallAbort } from "../../call-signal.ts";
import type { CallHandle, ServerRequest } from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  type JsonObject,
  jsonOf,
  type Reply,
  type RpcId,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { GatewayRequest, ServingSet } from "../../middleware/middleware.ts";
import { tooManyValues } from "../../written-results.ts";
import type { CallStream } from "./client-stream.ts";
import type { FrontGateway, SessionPort } from "./front-contract.ts";
import type { PendingServerRequests } from "./pending-server-requests.ts";

/** Sends nothing after `close`, because the answer is the last message of its stream. */
export class Call implements CallHandle {
  readonly client: SessionPort;
  readonly id: RpcId;
  /** The request for the middleware chain. */
  work: GatewayRequest;
  readonly #given: GatewayRequest;
  readonly #abort = new CallAbort();
  readonly #serverRequests: PendingServerRequests;
  #stream: CallStream | null;

  constructor(
    client: SessionPort,
    serverRequests: PendingServerRequests,
    message: RpcRequest,
    stream: CallStream,
    served: ServingSet,
  ) {
    const { id, method, params } = message;
    this.client = client;
    this.id = id;
    this.#serverRequests = serverRequests;
    this.#stream = stream;
    const given = { method, params, handle: this, signal: this.#abort, served };
    this.#given = stream.trace === undefined ? given : { ...given, trace: stream.trace };
    this.work = served.finalRequest(this.#given);
  }

  /** The request as it is once its tools are known. */
  afterWait(served: ServingSet): GatewayRequest {
    this.work = served.finalRequest({ ...this.#given, served });
    return this.work;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (this.#stream === null) return;
    const json = jsonOf({ jsonrpc: "2.0", method, params });
    if (json === null) return;
    if (this.#stream.notify === undefined) this.#stream.send(json);
    else this.#stream.notify(json);
  }

  request(...serverRequest: ServerRequest): Promise<Reply | null> {
    if (this.#stream === null) return Promise.resolve(null);
    return this.#serverRequests.request(this.#stream, ...serverRequest);
  }

  /** Returns the stream at the first call, and null at later calls. */
  close(): CallStream | null {
    const stream = this.#stream;
    this.#stream = null;
    return stream;
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }
}

/** Runs the call once the backend that it needs is ready, or has failed to start. `onReply` gets the reply, once. */
export function runCall(
  gateway: FrontGateway,
  logger: Logger,
  call: Pick<Call, "client" | "work" | "afterWait">,
  onReply: (reply: Reply) => void,
): void {
  const { client, work } = call;
  const handleAfter = async (ready: Promise<void>): Promise<Reply> => {
    await ready;
    if (work.signal.aborted) return errorReply(BACKEND_UNAVAILABLE, "the request was cancelled");
    const served = gateway.served.forClient(client);
    return served.handle(call.afterWait(served));
  };
  const failed = (error: unknown): void => {
    const unread = tooManyValues(error);
    if (unread === null) {
      logger.error("a request was not handled", { method: work.method, error: errorText(error) });
    }
    onReply(unread ?? errorReply(INTERNAL_ERROR, "internal error"));
  };
  try {
    const ready = gateway.awaited(client, work);
    const handled = ready === null ? work.served.handle(work) : handleAfter(ready);
    handled.then(onReply, failed);
  } catch (error) {
    failed(error);
  }
}
