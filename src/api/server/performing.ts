// Performs operations for clients: limits how many of each kind run at once, and sends 102 (Processing) while they run.
import type { ServerResponse } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { isLarge, readLarge } from "../../runtime/json/large-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { LimitedKind, Rights } from "../operations/operation.ts";
import type { MatchedOperation } from "../operations/operations.ts";
import { wrongBody } from "../operations/requests.ts";

/** Time between two 102 answers, ms. A client assumes a hang after three times as long without any data. */
export const SIGN_OF_LIFE_MS = 2_000;
/**
 * Maximum number of operations of one kind that run at once. Each kind has its own count, so that waiting for
 * files or a slow tool delays no reload.
 */
const IN_PROGRESS_LIMIT = 32;

interface PerformerParts {
  readonly clock: Clock;
  /** Aborted when the daemon stops serving. */
  readonly stopping: AbortSignal;
}

interface PerformedCall {
  readonly operation: MatchedOperation;
  readonly body: string;
  /** What the sender may do, read once the request is complete. Throws if the sender is no longer authorized. */
  readonly admit: () => Rights;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  /** The client needs no 102 responses while it waits. */
  readonly isPatient: boolean;
}

export type Performer = ReturnType<typeof createPerformer>;

export function createPerformer({ clock, stopping }: PerformerParts) {
  const inProgress: Record<LimitedKind, number> = { steps: 0, config: 0, calls: 0, places: 0, records: 0 };
  const unsettled = new Set<Promise<unknown>>();

  return {
    /**
     * Resolves with the answer. Rejects with `daemon_unreachable` if too many operations of the same kind run, or the daemon
     * stops.
     */
    async perform({ operation, body, admit, response, signal, isPatient }: PerformedCall): Promise<unknown> {
      const { counts } = operation;
      const given = isLarge(body)
        ? { value: (await readLarge(Buffer.from(body)).catch(notJson)).parse() }
        : body;
      const call = operation.prepare(given, admit());
      if (stopping.aborted) throw notBegun();
      if (counts === null) return call(signal);
      if (inProgress[counts] >= IN_PROGRESS_LIMIT) {
        const message = `${inProgress[counts]} requests are under way already; this one was not begun`;
        throw new MountaineerError("daemon_unreachable", message, {
          retry: "later",
          hint: "try again in a moment",
        });
      }
      inProgress[counts] += 1;
      let pulse = clock.setTimer(SIGN_OF_LIFE_MS, function beat() {
        if (signal.aborted || isPatient) return;
        response.writeProcessing();
        pulse = clock.setTimer(SIGN_OF_LIFE_MS, beat);
      });
      const work = (async () => call(signal))();
      unsettled.add(work);
      try {
        return await work;
      } finally {
        unsettled.delete(work);
        pulse[Symbol.dispose]();
        inProgress[counts] -= 1;
      }
    },
    /** Resolves when the operations that run now have ended. */
    whenIdle: () => Promise.allSettled(unsettled),
  };
}

/** The error for a request that was not begun, so the client can retry it. */
export function notBegun(): MountaineerError {
  return new MountaineerError("daemon_unreachable", "the daemon stops, or hands over; nothing was done", {
    retry: "later",
    hint: "ask again in a moment",
  });
}

function notJson(error: unknown): never {
  throw error instanceof SyntaxError ? wrongBody("the body is not JSON") : error;
}
