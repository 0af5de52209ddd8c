// The commands of mountaineer-fs that mount nothing: compare the servers behind two routes, list a server's shares or a share's root.
import { MountaineerError } from "../../runtime/errors.ts";
import { ensureFolder } from "../../runtime/files/durable-file.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { list, nullable, number, object, optional, reader, record, text } from "../../runtime/shape.ts";
import { isObject, jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { accountArguments, loginsFolder, routeArguments } from "./arguments.ts";
import { passwordOf, type SignIn } from "./sign-in.ts";

interface CommandTools {
  readonly clock: Clock;
  readonly home: string;
  /** The folder of a share in the home, which has the record of its server. */
  readonly folderOf: (share: string) => string;
  /** The program; null: it is not installed. */
  readonly program: () => Promise<string | null>;
}

interface CommandRequest {
  readonly signIn: SignIn;
  /** A person asked: one login is tried even if refusals forbid it. */
  readonly logInNow?: boolean;
}

/** `code`: as mountaineer-fs says it, such as `logon_failure`; null: the program could not be run. */
export interface CommandFailure {
  readonly ok: false;
  readonly code: string | null;
  readonly text: string;
}

export interface ServerComparison {
  readonly ok: true;
  /** `same` and `first` are recorded, so that the server is recognized later. */
  readonly verdict: "same" | "first" | "different" | "empty" | "unproved" | "none";
  readonly text: string | null;
  /** Why a route does not lead to the share, by its name. */
  readonly failures: Readonly<Record<string, { readonly code: string; readonly text: string }>>;
  /** How many snapshots the server shows. */
  readonly snapshots?: number;
}

interface Names {
  readonly ok: true;
  readonly names: readonly string[];
}

const WITHIN_MS = 10_000;
/** The program keeps to its own deadline, and needs a moment to end. */
const GRACE_MS = 5_000;
const OUTPUT_BYTES_AT_MOST = 1024 * 1024;
const TEXT_AT_MOST = 300;
const VERDICTS = ["same", "first", "different", "empty", "none"] as const;

const checkedOf = reader(
  object({
    verdict: text,
    text: optional(nullable(text)),
    routes: record(
      object({ error: optional(object({ code: text, message: text })), snapshots: optional(number) }),
    ),
  }),
);
const sharesOf = reader(object({ shares: list(object({ name: text })) }));
const entriesOf = reader(object({ entries: list(object({ name: text })) }));

export type ProgramCommands = ReturnType<typeof createProgramCommands>;

/** They reject only when their signal aborts. */
export function createProgramCommands(tools: CommandTools) {
  const namesIn = (output: Output, read: (answer: unknown) => readonly { readonly name: string }[]) =>
    output.ok ? ({ ok: true, names: read(output.answer).map(({ name }) => name) } as const) : output;
  return {
    /**
     * Opens a share over each of the routes, and compares the servers with each other, and with the record of the share that
     * the login is of.
     */
    async compareServers(
      {
        shareName,
        keepsRecord = false,
        newServer = false,
        ...request
      }: CommandRequest & {
        readonly shareName: string;
        /** Only looks: the record stays as it is. */
        readonly keepsRecord?: boolean;
        /** A person lets a new server in: it is recorded. */
        readonly newServer?: boolean;
      },
      signal: AbortSignal,
    ): Promise<ServerComparison | CommandFailure> {
      const { share } = request.signIn;
      if (share !== null && !keepsRecord) await ensureFolder(tools.folderOf(share.name), 0o700);
      const options = [...(keepsRecord ? ["-keep-record"] : []), ...(newServer ? ["-new-server"] : [])];
      const output = await run(tools, ["check", "-share", shareName, ...options], request, signal);
      if (!output.ok) return output;
      const found = checkedOf(output.answer);
      if (found === null) return { ok: false, code: null, text: "mountaineer-fs gave no verdict" };
      const failures = Object.entries(found.routes).flatMap(([name, { error }]) =>
        error === undefined ? [] : [[name, { code: error.code, text: short(error.message) }] as const],
      );
      return {
        ok: true,
        verdict: VERDICTS.find((one) => one === found.verdict) ?? "unproved",
        text: found.text == null ? null : short(found.text),
        failures: Object.fromEntries(failures),
        snapshots: Math.max(0, ...Object.values(found.routes).map(({ snapshots = 0 }) => snapshots)),
      };
    },
    /** The names of a server's shares, without administrative ones. */
    async listShares(signIn: SignIn, signal: AbortSignal): Promise<Names | CommandFailure> {
      const { share } = signIn;
      const recorded = share === null ? [] : ["-share", share.shareName];
      return namesIn(
        await run(tools, ["shares", ...recorded], { signIn }, signal),
        (answer) => sharesOf(answer)?.shares ?? [],
      );
    },
    /** The names in a share's root. */
    async listRoot(signIn: SignIn, shareName: string, signal: AbortSignal): Promise<Names | CommandFailure> {
      const output = await run(tools, ["list", "-share", shareName], { signIn }, signal);
      return namesIn(output, (answer) => entriesOf(answer)?.entries ?? []);
    },
  };
}

type Output = { readonly ok: true; readonly answer: Readonly<Record<string, unknown>> } | CommandFailure;

async function run(
  { clock, home, folderOf, program: findProgram }: CommandTools,
  [command = "", ...more]: readonly string[],
  { signIn, logInNow = false }: CommandRequest,
  signal: AbortSignal,
): Promise<Output> {
  const program = await findProgram();
  if (program === null) return { ok: false, code: null, text: "mountaineer-fs is not installed" };
  const args = [
    ...[command, "-within", `${WITHIN_MS}ms`, "-logons", loginsFolder(home)],
    ...Object.entries(signIn.endpoints).flatMap(([name, endpoint]) => routeArguments(name, endpoint)),
    ...accountArguments(signIn),
    ...(signIn.share === null ? [] : ["-state", folderOf(signIn.share.name)]),
    ...(logInNow ? ["-login-now"] : []),
    ...more,
  ];
  try {
    const { stdout, timedOut } = await runCommand(program, args, {
      ...{ clock, signal, deadlineMs: WITHIN_MS + GRACE_MS, killGraceMs: 0 },
      ...{ stdin: `${passwordOf(signIn) ?? ""}\n`, maxOutputBytes: OUTPUT_BYTES_AT_MOST },
    });
    if (timedOut) return { ok: false, code: null, text: "mountaineer-fs did not end in time" };
    const answer = objectOf(jsonObject(stdout.trim().split("\n").at(-1) ?? ""));
    const { error } = answer;
    if (!isObject(error)) return { ok: true, answer };
    return { ok: false, code: String(error["code"]), text: short(String(error["message"])) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof MountaineerError)) throw error;
    return { ok: false, code: null, text: error.message };
  }
}

function short(message: string): string {
  return printable(message).slice(0, TEXT_AT_MOST);
}
