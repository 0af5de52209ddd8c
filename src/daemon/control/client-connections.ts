// Connects clients for the page, in a child process: clients' files may be large, and their parsers would stay in the daemon's
// memory.
import { fileURLToPath } from "node:url";
import { servingNames } from "../../api/client/backend-phases.ts";
import { errorFromBody } from "../../api/operations/http-errors.ts";
import type { Control, InputOf } from "../../api/operations/operations.ts";
import type { Connection, KnownClients } from "../../api/setup/client-connection.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { ownNode } from "../../runtime/process/build-copy.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { systemClock } from "../../runtime/time/clock.ts";

const DEADLINE_MS = 60_000;
/** The size limit of an answer, which may contain the whole of a client's file. */
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

interface Parts {
  readonly home: string;
  readonly configPath: string | null;
  /** Path of the program that starts Mountaineer, absolute. */
  readonly launcher: string;
  /**
   * The environment variables, which decide where clients keep their files and what the entries in these files mean.
   */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly status: Control["status"];
}

export interface ConnectionJob extends Pick<Parts, "home" | "configPath" | "launcher"> {
  /** The client to connect; null lists all clients. `serving`: names of the backends that serve. */
  readonly connect: (InputOf<"connectClient"> & { readonly serving: readonly string[] }) | null;
}

export function createClientConnections({ status, environment, ...parts }: Parts) {
  const env = Object.fromEntries(Object.entries(environment).map(([name, value = ""]) => [name, value]));
  return {
    knownClients: (_, signal) => run<KnownClients>({ ...parts, connect: null }, env, signal),
    async connectClient(request, signal, rights) {
      const { backends = [] } = await status(null, signal, rights);
      return run<Connection>(
        { ...parts, connect: { ...request, serving: servingNames(backends) } },
        env,
        signal,
      );
    },
  } satisfies Partial<Control>;
}

/** Runs a job in the child process. Rejects with the error of the job, and with `timed_out` or `aborted`. */
async function run<Answer extends object>(
  job: ConnectionJob,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Answer> {
  const { exitCode, exitSignal, stdout, stderr, timedOut } = await runCommand(
    ownNode(),
    [fileURLToPath(programBeside(import.meta.url, "connection-child"))],
    {
      ...{ clock: systemClock, signal, deadlineMs: DEADLINE_MS, maxOutputBytes: ANSWER_LIMIT_BYTES },
      ...{ env, stdin: JSON.stringify(job) },
    },
  );
  if (timedOut) throw new MountaineerError("timed_out", "the clients' files cannot be read in time");
  const answer = jsonObject(stdout);
  const failure = errorFromBody(answer);
  if (failure !== null) throw failure;
  if (answer === null)
    throw new Error(`connection-child ended with ${exitSignal ?? exitCode}: ${stderr.trim()}`);
  // The assertion holds: connection-child.ts writes answers of this type.
  return answer as Answer;
}
