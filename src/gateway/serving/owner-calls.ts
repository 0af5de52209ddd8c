// Requests of the home's owner from the command line (`mountaineer call`). All belong to one session.
import { errorText } from "../../runtime/errors.ts";
import { cancelled } from "../backends/instance/calls.ts";
import { OWNER_IN_PERSON, OWNER_SESSION_ID } from "../client-handle.ts";
import type { CallStream } from "../frontend/session/client-stream.ts";
import type { Session } from "../frontend/session/session.ts";
import { SessionStore } from "../frontend/session/session-store.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../json-rpc.ts";
import { LATEST_VERSION } from "../protocol.ts";

const STOPPING = "the gateway is stopping";

/** The owner's session begins with the first request. It ends like any other session when it is idle. */
export class OwnerCalls {
  readonly #sessions: SessionStore;
  #stopping = false;
  #lastId = 0;

  constructor(options: ConstructorParameters<typeof SessionStore>[0]) {
    this.#sessions = new SessionStore(options);
  }

  get inFlight(): number {
    return this.#sessions.inFlight;
  }

  /** Never rejects. The signal cancels only this request. */
  async request(method: string, params: JsonObject | undefined, signal: AbortSignal): Promise<Reply> {
    if (this.#stopping) return errorReply(BACKEND_UNAVAILABLE, STOPPING);
    if (signal.aborted) return cancelled();
    const found = this.#sessions.find(OWNER_SESSION_ID, OWNER_IN_PERSON);
    // Only the owner has a session with this id, so it is never "foreign".
    const session = found === null || found === "foreign" ? this.#begin() : found;
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const cancel = (): void => {
      const given = { requestId: id, reason: errorText(signal.reason) };
      const message = { jsonrpc: "2.0", method: "notifications/cancelled", params: given } as const;
      session.handle({ kind: "notification", message });
    };
    signal.addEventListener("abort", cancel);
    const stream: CallStream = {
      congested: null,
      // The command takes no notices and answers no questions.
      send: () => false,
      answer(_id, reply) {
        signal.removeEventListener("abort", cancel);
        resolve(reply ?? cancelled());
      },
    };
    session.serve({ jsonrpc: "2.0", id, method, ...(params !== undefined && { params }) }, stream);
    return promise;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    return this.#sessions.end(graceMs, STOPPING);
  }

  // `opened` is left out, because this session has no stream for change notices.
  #begin(): Session {
    return this.#sessions.open({
      id: OWNER_SESSION_ID,
      principal: OWNER_IN_PERSON,
      protocolVersion: LATEST_VERSION,
      capabilities: {},
      clientInfo: { name: "mountaineer" },
    });
  }
}
