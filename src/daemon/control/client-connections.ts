// Connects clients for the page, and imports their servers. A child process reads their files, because these may be large, and
// their parsers would stay in the daemon's memory.

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { servingNames } from "../../api/client/backend-phases.ts";
import { errorFromBody } from "../../api/operations/http-errors.ts";
import type { Control, InputOf } from "../../api/operations/operations.ts";
import type { Connection, KnownClients } from "../../api/setup/client-connection.ts";
import { keepWhile, storedNames } from "../../api/setup/home-secrets.ts";
import type { ImportRequest, ServerImport } from "../../api/setup/server-import.ts";
import { newToken } from "../../config/edit/gateway-token.ts";
import { TOKEN_SECRET } from "../../config/secret-names.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { ownNode } from "../../runtime/process/build-copy.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import { openHomeSecrets } from "../compose/home-secrets.ts";

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
  readonly editText: Control["editText"];
}

export interface ConnectionJob extends Pick<Parts, "home" | "configPath" | "launcher"> {
  /** The client to connect; null lists all clients. `serving`: names of the backends that serve. */
  readonly connect: (InputOf<"connectClient"> & { readonly serving: readonly string[] }) | null;
  /** The import to plan; null: another job. */
  readonly import: ImportJob | null;
}

/** An import with what only the daemon may know of it. */
export interface PlannedImport {
  readonly shown: Omit<ServerImport, "saved">;
  /** The configuration's new text, and the digest of the text that it replaces. */
  readonly after: string;
  readonly base_sha256: string;
  /** The secrets to store, by name. */
  readonly values: readonly (readonly [name: string, value: string])[];
}

interface ImportJob extends Pick<ImportRequest, "client" | "text"> {
  /** Names that new secrets cannot have. */
  readonly taken: readonly string[];
  /** Makes the digest tell nothing of the secrets that it covers. */
  readonly digestKey: string;
}

export function createClientConnections({ status, editText, environment, ...parts }: Parts) {
  const digestKey = randomBytes(32).toString("base64");
  /** One import at a time: the next one must see the secrets that it stores. */
  const inTurn = oneByOne();
  const env = Object.fromEntries(Object.entries(environment).map(([name, value = ""]) => [name, value]));
  return {
    knownClients: (_, signal) => run<KnownClients>({ ...parts, connect: null, import: null }, env, signal),
    async connectClient(request, signal, rights) {
      const { backends = [] } = await status(null, signal, rights);
      return run<Connection>(
        { ...parts, connect: { ...request, serving: servingNames(backends) }, import: null },
        env,
        signal,
      );
    },
    async importServers({ client, text, agreed }, signal, rights) {
      if ((client === null) === (text === null))
        throw new MountaineerError("usage", "an import reads either a client's files or a text");
      return inTurn(async (): Promise<ServerImport> => {
        signal.throwIfAborted();
        const store = openHomeSecrets(parts);
        const secretList = await store.list();
        const taken = secretList.secrets.map(({ name }) => name);
        const job = { ...parts, connect: null, import: { client, text, taken, digestKey } };
        const { shown, after, base_sha256, values } = await run<PlannedImport>(job, env, signal);
        if (agreed === null) return { ...shown, saved: null };
        if (agreed !== shown.digest)
          throw new MountaineerError("config_changed", "the import differs from the one that was shown", {
            hint: "check it again; nothing was written",
          });
        if (shown.servers.length === 0) return { ...shown, saved: null };
        const isFirst = shown.makes_token && !storedNames(secretList).has(TOKEN_SECRET);
        const secrets = [...values, ...(isFirst ? [[TOKEN_SECRET, newToken()] as const] : [])];
        const saved = await keepWhile(store, secrets, signal, async () => {
          const edit = { text: after, expected_sha256: base_sha256, source: "page" };
          const report = await editText(edit, signal, rights);
          if (report.errors.length > 0) throw refusalError(report.errors);
          return report;
        });
        return { ...shown, saved };
      });
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
      ...{ signal, deadlineMs: DEADLINE_MS, maxOutputBytes: ANSWER_LIMIT_BYTES },
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
