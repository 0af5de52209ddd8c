// Requests of clients whose calls wait in the daemon before: the new one passes them to it, and what it says of them back.
import type { Holds, HoldsElsewhere } from "../../gateway/front/holds/holds.ts";
import type { ModernRequest } from "../../gateway/front/modern/request.ts";
import type { CallOutlet } from "../../gateway/front/session/outlet.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  isJsonObject,
  type Reply,
} from "../../gateway/json-rpc.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import type { SaidByNew, SaidByOld } from "./link-messages.ts";

type Passed = Extract<SaidByNew, { readonly say: "request" | "gone" }>;
type SaidOfPassed = Extract<SaidByOld, { readonly say: "notice" | "answer" }>;

/** The new daemon's side. */
export class PassedOn implements HoldsElsewhere {
  readonly #say: (message: Passed) => boolean;
  readonly #open = new Map<number, { readonly request: ModernRequest; readonly outlet: CallOutlet }>();
  #passed = 0;

  /** `say`: false when nobody hears it. */
  constructor(say: (message: Passed) => boolean) {
    this.#say = say;
  }

  resume(request: ModernRequest, outlet: CallOutlet): { readonly gone: () => void } | null {
    const n = ++this.#passed;
    const text = json(request);
    if (text === null || !this.#say({ say: "request", n, request: text })) return null;
    this.#open.set(n, { request, outlet });
    return {
      gone: () => {
        if (this.#open.delete(n)) this.#say({ say: "gone", n });
      },
    };
  }

  hear(message: SaidOfPassed): void {
    const open = this.#open.get(message.n);
    if (open === undefined) return;
    if (message.say === "notice") {
      open.outlet.send(message.json);
      return;
    }
    this.#open.delete(message.n);
    open.outlet.answer(open.request.id, replyIn(message.reply));
  }

  /** The other one has ended. */
  over(): void {
    const reply = errorReply(BACKEND_UNAVAILABLE, "the daemon that ran this call has ended");
    for (const { request, outlet } of this.#open.values()) outlet.answer(request.id, reply);
    this.#open.clear();
  }
}

/** The old daemon's side. */
export class TakenBack {
  readonly #holds: Pick<Holds, "resume">;
  readonly #say: (message: SaidOfPassed) => void;
  readonly #gone = new Map<number, () => void>();

  constructor(holds: Pick<Holds, "resume">, say: (message: SaidOfPassed) => void) {
    this.#holds = holds;
    this.#say = say;
  }

  hear(message: Passed): void {
    const { n } = message;
    if (message.say === "gone") {
      this.#gone.get(n)?.();
      this.#gone.delete(n);
      return;
    }
    const answer = (reply: Reply): void => {
      this.#gone.delete(n);
      const text = json(reply) ?? json(errorReply(INTERNAL_ERROR, "the result cannot be written as JSON"));
      this.#say({ say: "answer", n, reply: text ?? "" });
    };
    const outlet: CallOutlet = {
      congested: null,
      send: (notice) => {
        this.#say({ say: "notice", n, json: notice });
        return true;
      },
      answer: (_id, reply) => answer(reply ?? errorReply(BACKEND_UNAVAILABLE, "the request was cancelled")),
    };
    const request = requestIn(message.request);
    const resumed = request === null ? null : this.#holds.resume(request, outlet);
    if (resumed?.kind === "goes_on") this.#gone.set(n, resumed.gone);
    else if (resumed?.kind === "refused") answer(resumed.reply);
    // Only what waits here is passed.
    else answer(errorReply(INTERNAL_ERROR, "the request cannot be taken up again"));
  }
}

/** As the other daemon has it: of another version it may lack something. */
function requestIn(text: string): ModernRequest | null {
  const found = parseExactly(text);
  const isOne = isJsonObject(found) && isJsonObject(found["params"]) && isJsonObject(found["principal"]);
  return isOne && isJsonObject(found["declared"]) ? (found as unknown as ModernRequest) : null;
}

function replyIn(text: string): Reply {
  const found = parseExactly(text);
  const isOne = isJsonObject(found) && (isJsonObject(found["result"]) || isJsonObject(found["error"]));
  return isOne ? (found as Reply) : errorReply(INTERNAL_ERROR, "the result cannot be read");
}

/** Null: nested too deep, or too long. */
function json(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}
