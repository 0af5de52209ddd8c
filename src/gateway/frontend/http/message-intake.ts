// Receives the body of a POST, and parses it.
import { BodyIntake } from "../../../runtime/http/body-intake.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { UNCOUNTED_BYTES } from "../../answers-in-flight.ts";
import { principalKey } from "../../client-handle.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { type Incoming, readIncoming } from "../session/incoming.ts";
import type { Refusal } from "./answer.ts";
import type { AuthenticatedRequest, Exchange } from "./request.ts";

interface IntakeOptions extends Pick<RuntimeTools, "clock"> {
  readonly bodyLimitBytes: () => number;
  /** False: the token was revoked while the body came, and the request is refused. */
  readonly isStillValid: (authenticated: AuthenticatedRequest) => boolean;
  /** Counts a body of that size until the returned function is called; null: it may not be received now. */
  readonly receiving: FrontGateway["receiving"];
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
  /** Runs `work`; if that throws, only this request fails. */
  readonly guarded: (exchange: Exchange, work: () => void) => void;
}

/** Refusals of a body: all bodies together exceed the limit, or this one arrives too slowly. */
const NOT_READ: Readonly<Record<"busy" | "too_slow", Refusal>> = {
  busy: {
    status: 503,
    message: "too much is being received at once; try again",
    headers: { "Retry-After": "1" },
  },
  too_slow: { status: 408, message: "the body comes too slowly", headers: { Connection: "close" } },
};

export class MessageIntake implements Disposable {
  readonly #options: IntakeOptions;
  readonly #bodies: BodyIntake;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#bodies = new BodyIntake(options.clock);
  }

  /** Calls `take` with what has come, or refuses the request. */
  receive(authenticated: AuthenticatedRequest, take: (incoming: Incoming) => void): void {
    const { isStillValid, receiving, refuse, guarded } = this.#options;
    const { request, principal } = authenticated;
    const limitBytes = this.#options.bodyLimitBytes();
    const bytes = Math.min(Number(request.headers["content-length"] ?? 0), limitBytes);
    const received = bytes > UNCOUNTED_BYTES ? receiving(principal, bytes) : undefined;
    if (received === null) {
      refuse(authenticated, NOT_READ.busy);
      return;
    }
    if (received !== undefined) authenticated.response.once("close", received);
    const done: Parameters<BodyIntake["receive"]>[0]["done"] = (body) =>
      guarded(authenticated, () => {
        if (!isStillValid(authenticated)) return;
        if (body.kind === "too_large") refuse(authenticated, tooLarge(limitBytes));
        else if (body.kind !== "whole") refuse(authenticated, NOT_READ[body.kind]);
        else
          this.#parse(authenticated, body.bytes, (incoming) => {
            // Its call counts it from here on.
            received?.();
            take(incoming);
          });
      });
    this.#bodies.receive({ request, limitBytes, sender: principalKey(principal), done });
  }

  [Symbol.dispose](): void {
    this.#bodies[Symbol.dispose]();
  }

  #parse(exchange: Exchange, bytes: Buffer, take: (incoming: Incoming) => void): void {
    void readIncoming(bytes, take)?.catch((error) =>
      this.#options.guarded(exchange, () => {
        throw error;
      }),
    );
  }
}

function tooLarge(limitBytes: number): Refusal {
  const limit = `${Math.round((limitBytes / 1024 / 1024) * 100) / 100} MiB`;
  return {
    status: 413,
    message: `the body is larger than ${limit}, the limit that [server].body_limit_mb sets`,
  };
}
