// Stands for `src/config/worker/reader-process.ts` where commands run in the test's own process (`command-in-process.ts`):
// it answers as the reader's process does, and saves its start. That a hostile file cannot hold anybody up is proved below
// test/config, with real processes.
import { answerRequest } from "../../src/config/worker/answer-request.ts";
import type { ApartReply, ApartRequest } from "../../src/config/worker/apart-messages.ts";
import type { ReaderProcess, startReaderProcess as start } from "../../src/config/worker/reader-process.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";

export const startReaderProcess: typeof start = (): ReaderProcess => {
  let isRunning = true;
  return {
    get isRunning() {
      return isRunning;
    },
    async ask(request, signal) {
      if (signal?.aborted) throw new MountaineerError("aborted", `reading ${request.path} was cancelled`);
      // As it comes from another process: of plain data, and nobody else's.
      const asked: ApartRequest = JSON.parse(JSON.stringify(request));
      const reply: ApartReply = JSON.parse(JSON.stringify(await answerRequest(asked)));
      if (reply.kind !== "failed") return reply;
      const { code, message, hint } = reply;
      throw new MountaineerError(code, message, hint === null ? {} : { hint });
    },
    end() {
      isRunning = false;
    },
  };
};
