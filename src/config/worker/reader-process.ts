// One process that reads and edits configurations. It answers one request at a time.

import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { MountaineerError } from "../../runtime/errors.ts";
import { ownNode } from "../../runtime/process/build-copy.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { WorkerReply, WorkerRequest } from "./worker-messages.ts";

/** What the process may compute, in seconds: far more than its start and the largest file need. The system ends it then. */
const CPU_S = 10;
/** The time limit of an answer, ms. A busy machine may need a while for what takes a second of CPU. */
const DEADLINE_MS = 60_000;
/** The longest life of the process, ms; its parent usually ends it long before. */
const LONGEST_LIFE_MS = 10 * 60_000;
/** Garbage collection is a seventh of the work of such a brief process. A large young heap avoids most of it. */
const NODE_FLAGS = ["--max-old-space-size=256", "--min-semi-space-size=16", "--max-semi-space-size=16"];
/** Far more than an answer needs: the snapshot of a file of at most 512 KiB, or at most 200 errors. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

const TOO_LONG = "reading it takes too long";

export type StartReader = typeof startReaderProcess;
export type ReaderProcess = ReturnType<StartReader>;

export function startReaderProcess(clock: Clock) {
  const input = new PassThrough();
  const ending = new AbortController();
  let pending: PromiseWithResolvers<WorkerReply> | null = null;
  let isRunning = true;

  const end = (): void => {
    isRunning = false;
    ending.abort();
  };
  const heard = (line: string): void => {
    // The assertion holds: the line comes from load-child.ts, the other half of this protocol.
    pending?.resolve(parseJson(line) as WorkerReply);
  };
  const answers = createLineSplitter(ANSWER_LIMIT_BYTES, () =>
    pending?.reject(new MountaineerError("internal", "the reader's answer is too long")),
  );
  const running = runCommand(
    "/bin/sh",
    [
      ...["-c", `ulimit -c 0; ulimit -S -t ${CPU_S} && exec "$@"`, "sh"],
      ...[ownNode(), ...NODE_FLAGS, fileURLToPath(programBeside(import.meta.url, "load-child"))],
    ],
    {
      clock,
      deadlineMs: LONGEST_LIFE_MS,
      stdin: input,
      killGraceMs: 0,
      signal: ending.signal,
      onStdout(piece) {
        for (const line of answers.take(piece)) heard(line);
      },
    },
  );
  const ended = running.then(
    (result) => result,
    () => null,
  );
  void ended.then(() => {
    isRunning = false;
  });

  const endedInstead = async (path: string): Promise<never> => {
    const { exitCode, exitSignal, stderr } = await running;
    if (exitSignal === "SIGXCPU") throw unreadable(path, TOO_LONG);
    const last = stderr.trim().split("\n").at(-1) ?? "";
    throw unreadable(path, `its reader ended with ${exitSignal ?? exitCode}: ${last}`, "now");
  };

  return {
    /** False once the process has ended, or `end` was called. */
    get isRunning() {
      return isRunning;
    },
    /**
     * Sends a request; must not be called before the previous one is settled. Rejects with the error that the process
     * reports, with `aborted`, and with `config_unreadable` if no answer comes within 10 s of CPU and 60 s in all, or the process ends
     * first (`retry` is "now" only in this case). After a rejection, the process has ended.
     */
    async call(request: WorkerRequest, signal?: AbortSignal): Promise<WorkerReply> {
      const { path } = request;
      const answer = Promise.withResolvers<WorkerReply>();
      pending = answer;
      const leave = (): void => {
        answer.reject(
          new MountaineerError("aborted", `reading ${path} was cancelled`, { cause: signal?.reason }),
        );
      };
      const timer = clock.setTimer(DEADLINE_MS, () => {
        answer.reject(unreadable(path, TOO_LONG));
      });
      signal?.addEventListener("abort", leave, { once: true });
      if (signal?.aborted) leave();
      else input.write(`${JSON.stringify(request)}\n`);
      try {
        const reply = await Promise.race([answer.promise, ended.then(() => endedInstead(path))]);
        if (reply.kind !== "failed") return reply;
        throw new MountaineerError(reply.code, reply.message, { hint: reply.hint });
      } catch (error) {
        // The process must be gone before an error says that nothing was written.
        end();
        await ended;
        throw error;
      } finally {
        pending = null;
        timer[Symbol.dispose]();
        signal?.removeEventListener("abort", leave);
      }
    },
    /** Kills the process. Idempotent. */
    end,
  };
}

function unreadable(path: string, why: string, retry: "now" | "never" = "never"): MountaineerError {
  return new MountaineerError("config_unreadable", `${path} cannot be read: ${why}`, { retry });
}
