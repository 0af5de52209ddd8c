// A reader of configurations in the test's own process, in place of one that is started for each content: a tenth of a
// second of CPU each. What parts a reader from the daemon is proved in test/config/worker.
import { answerApart } from "../../src/config/worker/answer-apart.ts";
import type { ApartReply, ApartRequest } from "../../src/config/worker/apart-messages.ts";
import type { StartReader } from "../../src/config/worker/reader-process.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";

/** Each takes so long before it reads, ms of the given clock. */
export function readersInProcess(delayMs = 0): StartReader {
  return (clock) => {
    let isRunning = true;
    return {
      get isRunning() {
        return isRunning;
      },
      async ask(request: ApartRequest, signal?: AbortSignal): Promise<ApartReply> {
        if (delayMs > 0) await clock.sleep(delayMs);
        const aborted = () => new MountaineerError("aborted", `reading ${request.path} was cancelled`);
        if (signal?.aborted) throw aborted();
        // As it would come over a pipe.
        const reply = JSON.parse(JSON.stringify(await answerApart(request))) as ApartReply;
        // What was begun is over before that is told.
        if (signal?.aborted) throw aborted();
        if (reply.kind !== "failed") return reply;
        const { code, message, hint } = reply;
        throw new MountaineerError(code, message, hint === null ? {} : { hint });
      },
      end() {
        isRunning = false;
      },
    };
  };
}
