// Reads the root of a share over one route by `rclone lsjson` or `smbclient`, with the share's own login.

import { rm } from "node:fs/promises";
import { delimiter } from "node:path";
import type { ProbeEndpoint } from "../../network/probe/host-probe.ts";
import { installedRclone } from "../../rclone-release/installed.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import { findProgram } from "../../runtime/process/find-program.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { account, configText, remoteOf } from "../drivers/rclone/files.ts";
import { readLogFailure } from "../drivers/rclone/log.ts";
import { createObscuredPasswords } from "../drivers/rclone/password.ts";
import type { LoginResult, Logins } from "../logins/logins.ts";
import { type RouteName, type ShareSpec, wantsUser } from "../share-spec.ts";
import { createLoginFiles } from "./login-files.ts";
import {
  type CreationTime,
  createSmbclientReader,
  parseRcloneLine,
  SMBCLIENT_ROUNDING_MS,
  smbclientScript,
} from "./program-output.ts";
import { createListingCollector, type RootListing } from "./root-listing.ts";

export type ProofProgram = "rclone" | "smbclient";

export interface ReadRequest {
  readonly share: ShareSpec;
  readonly route: RouteName;
  /** The address that answered a probe; the programs use the same address. */
  readonly endpoint: ProbeEndpoint;
  /** When the program is killed, monotonic ms. */
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal;
}

export interface ReadFailure {
  readonly kind: "failed";
  /** One line for people, without the share's name. */
  readonly text: string;
  /** The server refused the login: another try, even by another program, may lock the account. */
  readonly isRefusedLogin: boolean;
  /** The server has no entry of the name that was asked for. */
  readonly isMissing?: boolean;
}

interface RootRead {
  readonly kind: "read";
  readonly listing: RootListing;
}

/** The result of `creationTimes`. Its listing is empty if only creation times were asked for. */
interface CreationTimesRead extends RootRead {
  /** Creation times by name, "" for the root itself, as far as the server answered. */
  readonly creationTimes: ReadonlyMap<string, CreationTime>;
}

/**
 * Every method resolves at the latest soon after the deadline, and rejects only when the signal aborts. Reads of one
 * route may not overlap.
 */
export type RootReader = ReturnType<typeof createRootReader>;

interface RootReaderOptions {
  readonly clock: Clock;
  readonly stateFolder: string;
  /** Folders in which programs are searched; default: PATH. */
  readonly folders?: () => readonly string[];
  readonly logins: Logins;
}

/** SMB names have at most 255 characters, so a longer line is not an entry. */
const LINE_BYTES_AT_MOST = 16_384;
const COMPLAINT_AT_MOST_BYTES = 64 * 1024;

/** Names that are safe in a script for smbclient, which interprets some characters. The names come from the server. */
const PLAIN_NAME = /^[\p{L}\p{N}_.@+=,()&~$-][\p{L}\p{M}\p{N} _.@+=,()&~$'-]{0,200}$/u;

export function isPlainName(name: string): boolean {
  return PLAIN_NAME.test(name);
}

interface ReadTools {
  readonly clock: Clock;
  readonly loginFiles: ReturnType<typeof createLoginFiles>;
  readonly find: (program: ProofProgram) => Promise<string | null>;
  readonly obscured: (password: string) => Promise<string>;
}

export function createRootReader(options: RootReaderOptions) {
  const { clock, stateFolder, folders = pathFolders, logins } = options;
  const find = async (program: ProofProgram) =>
    (program === "rclone" ? await installedRclone(stateFolder) : null) ??
    (await findProgram(program, folders()));
  const loginFiles = createLoginFiles(stateFolder);
  const tools: ReadTools = { clock, loginFiles, find, obscured: createObscuredPasswords(clock, stateFolder) };
  const read = <R extends RootRead>(
    { share, signal }: ReadRequest,
    run: () => Promise<R | ReadFailure>,
  ): Promise<R | ReadFailure> => {
    const otherwise = (text: string): ReadFailure => ({ kind: "failed", text, isRefusedLogin: true });
    return logins.attempt(share, () => orFailure(run()), { judge: loginResult, otherwise, signal });
  };
  return {
    /** The installed programs. The one that is better for listings comes first. */
    async programs(): Promise<readonly ProofProgram[]> {
      const order: readonly ProofProgram[] = ["rclone", "smbclient"];
      const there = await Promise.all(order.map(async (name) => ((await find(name)) === null ? [] : [name])));
      return there.flat();
    },
    list: (program: ProofProgram, request: ReadRequest): Promise<RootRead | ReadFailure> =>
      read<RootRead>(request, () =>
        program === "rclone" ? listByRclone(tools, request) : querySmbclient(tools, request, [], true),
      ),
    /**
     * Creation times of the root and of the entries `names`, by smbclient. Leaves out names for which `isPlainName`
     * is false.
     */
    creationTimes: (
      request: ReadRequest,
      names: readonly string[],
      listsRoot: boolean,
    ): Promise<CreationTimesRead | ReadFailure> =>
      read(request, () => querySmbclient(tools, request, names, listsRoot)),
    /**
     * Whether the server also finds the entry `name` of the root by the spelling `twin`; null: not known. Only reads.
     */
    async findsAs(
      program: ProofProgram,
      request: ReadRequest,
      { name, twin }: { readonly name: string; readonly twin: string },
    ): Promise<boolean | null> {
      // The entry is looked up last: if it has since been removed, a missing twin shows nothing.
      if (program === "rclone") {
        const list = (one: string) => read<RootRead>(request, () => listByRclone(tools, request, one));
        const found = await list(twin);
        if (found.kind === "read") return true;
        return found.isMissing === true && (await list(name)).kind === "read" ? false : null;
      }
      const found = await read(request, () => querySmbclient(tools, request, [twin, name], false));
      return found.kind === "read" && found.creationTimes.has(name) ? found.creationTimes.has(twin) : null;
    },
    /** Removes the files with logins that were left by killed processes, for all shares. Never rejects. */
    removeLeftovers: (logger: Logger): Promise<void> => loginFiles.removeLeftovers(logger),
  };
}

function loginResult(read: RootRead | ReadFailure): LoginResult {
  if (read.kind === "read") return "accepted";
  return read.isRefusedLogin ? { refused: read.text } : "unknown";
}

/** `name`: an entry of the root; "" for the root itself. */
async function listByRclone(
  tools: ReadTools,
  request: ReadRequest,
  name = "",
): Promise<RootRead | ReadFailure> {
  const { share, route, endpoint } = request;
  const secret = share.password === null ? null : await tools.obscured(share.password);
  const spec = { ...share.routes[route], host: endpoint.address, port: endpoint.port };
  const collector = createListingCollector();
  const lines = outputLines((line) => {
    const entry = parseRcloneLine(line);
    if (entry !== null) collector.add(entry);
  });
  const file = { kind: "conf", content: configText(share, spec, secret) } as const;
  const result = await run(tools, request, {
    program: "rclone",
    file,
    argumentsWith: (path) => rcloneArguments(share, endpoint, path, name),
    onStdout: lines.push,
  });
  lines.end();
  if (result.exitCode === 0) return { kind: "read", listing: collector.end(1) };
  if (result.timedOut) return late("rclone");
  const logFailure = readLogFailure(result.stderr);
  return {
    kind: "failed",
    text: logFailure?.text ?? lastLine(result.stderr, "rclone"),
    isRefusedLogin: logFailure?.reason === "wrong_credentials",
    isMissing: result.exitCode === RCLONE_NOT_FOUND,
  };
}

async function querySmbclient(
  tools: ReadTools,
  request: ReadRequest,
  names: readonly string[],
  listsRoot: boolean,
): Promise<CreationTimesRead | ReadFailure> {
  const login = authenticationFile(request.share);
  if (login === null) return failed("smbclient cannot take this username or password from a file");
  const queried = ["", ...names.filter(isPlainName)];
  const collector = createListingCollector();
  const reader = createSmbclientReader(queried.length, (entry) => collector.add(entry));
  const lines = outputLines((line) => reader.onLine(line));
  const paths = queried.map((name) => (name === "" ? "\\" : name));
  let start = "";
  const result = await run(tools, request, {
    program: "smbclient",
    file: { kind: "auth", content: login },
    argumentsWith: (path) => smbclientArguments(request, path),
    stdin: smbclientScript(listsRoot, paths),
    onStdout(piece) {
      if (start.length < COMPLAINT_AT_MOST_BYTES) start += piece;
      lines.push(piece);
    },
  });
  lines.end();
  if (result.timedOut) return late("smbclient");
  if (!reader.isConnected()) {
    // Some versions print errors to standard output.
    const text = lastLine(`${start}\n${result.stderr}`, "smbclient");
    return { ...failed(text), isRefusedLogin: isRefusedLogin(text) };
  }
  const error = reader.listingError();
  if (error !== null) return failed(error);
  const creationTimes = new Map<string, CreationTime>();
  for (const [index, creationTime] of reader.creationTimes().entries()) {
    if (creationTime !== null) creationTimes.set(queried[index] ?? "", creationTime);
  }
  return { kind: "read", listing: collector.end(SMBCLIENT_ROUNDING_MS), creationTimes };
}

interface ProgramRun {
  readonly program: ProofProgram;
  /** A file with the login. It is private to this user, and exists only while the program runs. */
  readonly file: { readonly kind: "conf" | "auth"; readonly content: string };
  readonly argumentsWith: (path: string) => readonly string[];
  readonly stdin?: string;
  readonly onStdout: (piece: string) => void;
}

async function run(
  { clock, loginFiles, find }: ReadTools,
  { share, route, deadlineAtMs, signal }: ReadRequest,
  { program, file, argumentsWith, stdin, onStdout }: ProgramRun,
): Promise<CommandResult> {
  // The daemon removes leftovers of all shares only at its start, and a command may have been killed since.
  await loginFiles.removeLeftoversOf(share).catch(() => {});
  const path = await loginFiles.write(share, route, file.kind, file.content);
  try {
    const command = await find(program);
    const remainingMs = deadlineAtMs - clock.monotonicMs();
    if (remainingMs <= 0) throw new MountaineerError("timed_out", `there was no time left for ${program}`);
    if (command === null) throw new MountaineerError("program_unavailable", `${program} is not installed`);
    return await runCommand(command, argumentsWith(path), {
      clock,
      signal,
      deadlineMs: remainingMs,
      killGraceMs: 0,
      maxOutputBytes: COMPLAINT_AT_MOST_BYTES,
      onStdout,
      stdin,
      env: { TZ: "UTC0", LC_ALL: "C" },
    });
  } finally {
    await rm(path, { force: true });
  }
}

export function pathFolders(): readonly string[] {
  return (process.env["PATH"] ?? "").split(delimiter);
}

/** rclone's exit code for a path that does not exist. */
const RCLONE_NOT_FOUND = 3;

export const RCLONE_LIMITS: readonly string[] = [
  ...["--contimeout", "3s", "--timeout", "10s", "--low-level-retries", "1", "--retries", "1"],
];

/** smbclient's option to insist on a signed session. A guest has no key to sign with. */
export function signing(share: ShareSpec): readonly string[] {
  return wantsUser(share) ? ["--client-protection=sign"] : [];
}

function rcloneArguments(
  share: ShareSpec,
  { localAddress }: ProbeEndpoint,
  config: string,
  name: string,
): string[] {
  const path = name === "" ? remoteOf(share.shareName) : `${remoteOf(share.shareName)}/${name}`;
  return [
    ...["lsjson", path, "--config", config, "--no-mimetype"],
    ...RCLONE_LIMITS,
    // --bind accepts no zone; the zone of a link-local address determines the interface anyway.
    ...(localAddress === null || localAddress.includes("%") ? [] : ["--bind", localAddress]),
  ];
}

/** smbclient has no option for the source address. */
function smbclientArguments({ share, endpoint }: ReadRequest, login: string): string[] {
  const { address, port } = endpoint;
  return [
    `//${address.split("%", 1)[0]}/${share.shareName}`,
    ...["-I", address, "-p", String(port), "-A", login],
    // Ignores this user's own settings of smbclient.
    ...["-s", "/dev/null"],
    ...signing(share),
  ];
}

export function isRefusedLogin(text: string): boolean {
  return /LOGON_FAILURE|NT_STATUS_(ACCOUNT|PASSWORD)_/.test(text);
}

/** smbclient's login file; null: the file cannot hold this login (line breaks, leading spaces). */
export function authenticationFile({ username, password }: ShareSpec): string | null {
  const { user, domain } = account(username);
  const members = [
    ["username", password === null ? "guest" : user],
    ...(domain === null ? [] : [["domain", domain]]),
    ["password", password ?? ""],
  ];
  const fits = members.every(([, value]) => value !== undefined && !/^\s|[\r\n\0]/.test(value));
  return fits ? members.map(([key, value]) => `${key} = ${value}\n`).join("") : null;
}

async function orFailure<T>(reading: Promise<T | ReadFailure>): Promise<T | ReadFailure> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "aborted") throw error;
    return failed(errorText(error));
  }
}

function failed(text: string): ReadFailure {
  return { kind: "failed", text, isRefusedLogin: false };
}

function late(program: ProofProgram): ReadFailure {
  return failed(`${program} took too long`);
}

function lastLine(text: string, program: ProofProgram): string {
  const line = text.trim().split("\n").at(-1)?.trim() ?? "";
  return line === "" ? `${program} failed` : line.slice(0, 300);
}

/** Calls `onLine` with each whole line of an output; lines that are too long are dropped. Call `end` after the output. */
function outputLines(onLine: (line: string) => void): { push(piece: string): void; end(): void } {
  const splitter = createLineSplitter(LINE_BYTES_AT_MOST, () => {});
  return {
    push(piece) {
      for (const line of splitter.take(piece)) onLine(line);
    },
    end() {
      const last = splitter.rest();
      if (last !== null) onLine(last);
    },
  };
}
