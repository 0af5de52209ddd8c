// A reader of configurations in the test's own process, in place of one that is started for each content: a tenth of a
// second of CPU each. What parts a reader from the daemon is proved in test/config/worker.
import { answerRequest } from "../../src/config/worker/answer-request.ts";
import type { StartReader } from "../../src/config/worker/reader-process.ts";
import type { WorkerReply, WorkerRequest } from "../../src/config/worker/worker-messages.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";

/** Each takes so long before it reads, ms of the given clock. */
export function readersInProcess(delayMs = 0): StartReader {
  return (clock) => {
    let isRunning = true;
    return {
      get isRunning() {
        return isRunning;
      },
      async call(request: WorkerRequest, signal?: AbortSignal): Promise<WorkerReply> {
        if (delayMs > 0) await clock.sleep(delayMs);
        const aborted = () => new MountaineerError("aborted", `reading ${request.path} was cancelled`);
        if (signal?.aborted) throw aborted();
        // As both would come over a pipe.
        const asked: WorkerRequest = JSON.parse(JSON.stringify(request));
        const reply: WorkerReply = JSON.parse(JSON.stringify(await answerRequest(asked)));
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

/** Stands for the one of `src/config/worker/reader-process.ts` in commands of the test's process (`command-in-process.ts`). */
export const startReaderProcess: StartReader = readersInProcess();
