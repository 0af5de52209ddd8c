// Finds the configuration for a command, and changes it through the running daemon, or else under the home's lock.
import type { DaemonClient } from "../../api/client/client.ts";
import type { EditReport } from "../../api/contract/config.ts";
import { type CallOperation, callerOf, type InputOf } from "../../api/operations/operations.ts";
import { openHistory } from "../../config/history/history.ts";
import {
  configFormat,
  findHomeContext,
  type HomeContext,
  locateConfig,
  noFileAt,
} from "../../config/home-context.ts";
import { decodedText, readConfigIfPresent } from "../../config/read/config-bytes.ts";
import type { ConfigFormat } from "../../config/snapshot.ts";
import { errorText, isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { ensurePrivateFolder } from "../../runtime/files/durable-file.ts";
import { acquireHomeLock } from "../../runtime/process/home-lock.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { openSignIn } from "../in-process/open.ts";
import type { CommandContext, Signals, Target } from "../input/command.ts";
import { type ConfigFile, createOwnEditor, type EditOperation } from "./config-offline.ts";
import { onceOpened, withDaemonOr } from "./control-session.ts";

/** How long to wait for a lock that another command holds, ms. */
const LOCK_WAIT_MS = 10_000;

export interface ConfigView extends ConfigFile {
  /** null if no daemon runs. */
  readonly daemon: DaemonClient | null;
  readonly format: ConfigFormat;
  readonly call: CallOperation<"history" | "historyText">;
}

/** Runs `use` with the configuration of this home; takes no lock and writes nothing. Rejects as `withDaemonOr` does. */
export function viewConfig<T>(context: Target & Signals, use: (view: ConfigView) => Promise<T>): Promise<T> {
  return withDaemonOr(
    context,
    "look",
    async (daemon) => use(await daemonView(context, daemon)),
    async () => ({ kind: "done", value: await use(await ownView(context)) }),
  );
}

/** Rejects with `config_unreadable` if `--config` names a missing file. */
export async function requireNamedFile(
  { configPath }: Pick<CommandContext, "configPath">,
  { path, read }: Pick<ConfigView, "path" | "read">,
): Promise<void> {
  if (configPath !== null && (await read()) === null) throw noFileAt(path);
}

/**
 * Runs `use` with a function that edits the configuration. The daemon makes the edits; if none runs, this process
 * makes them and holds the home's lock.
 */
export function changeConfig<T>(
  context: CommandContext,
  use: (call: CallOperation<EditOperation>, view: ConfigView) => Promise<T>,
): Promise<T> {
  const { home, command, signal } = context;
  return withDaemonOr(
    context,
    "change",
    async (daemon) => use(daemon.call, await daemonView(context, daemon)),
    () =>
      onceOpened(lockHome(home, command, signal), async () => {
        const view = await ownView(context);
        return use(createOwnEditor(context, view), view);
      }),
  );
}

/**
 * Rejects with `config_unreadable` if the file is missing although `--config` names it or the running daemon
 * uses it. Otherwise the change would make a new file that contains nothing else.
 */
export async function refuseToBeginAfresh(context: Target, view: ConfigView): Promise<void> {
  const { daemon, path, read } = view;
  if (daemon === null) return requireNamedFile(context, view);
  if ((await read()) !== null) return;
  throw new MountaineerError("config_unreadable", `${path} is not there, and its last content still runs`, {
    hint: "mountaineer config rollback 0 writes the running configuration into the file",
  });
}

/** Makes the edits, with the command line as their source. Users are signed out of servers that have no accounts of users afterwards. */
export async function callEdits(
  context: CommandContext,
  call: CallOperation<"edit">,
  edits: InputOf<"edit">["edits"],
): Promise<EditReport> {
  const { signal, remote, notify } = context;
  const isOfServers = edits.some((edit) =>
    /^["']?backend/.test("key" in edit ? edit.key : Object(edit).remove),
  );
  const signIn = remote === null && isOfServers ? await openSignIn(context) : null;
  // The edit reports what is wrong with the file.
  const endAccounts = (await signIn?.accountsBefore(signal).catch(recoverFrom(isOwnError, null))) ?? null;
  const report = await call("edit", { edits, source: "cli" }, signal);
  if (report.changed && endAccounts !== null)
    await endAccounts().catch((error: unknown) =>
      notify(`sign-ins of users stay stored: ${errorText(error)}`),
    );
  return report;
}

async function lockHome(home: string, command: string, signal: AbortSignal): Promise<AsyncDisposable> {
  await ensurePrivateFolder(home);
  return acquireHomeLock(home, { command, waitMs: LOCK_WAIT_MS, clock: systemClock, signal });
}

async function daemonView(context: Target & Signals, daemon: DaemonClient): Promise<ConfigView> {
  const { global } = await daemon.call("status", null, context.signal);
  const path = global.config_path;
  return {
    daemon,
    homeContext: homeContextOf(context),
    path,
    format: configFormat(path),
    read: () => (context.remote === null ? readConfigIfPresent(path) : readRemote(daemon, context.signal)),
    call: daemon.call,
  };
}

async function readRemote({ call }: DaemonClient, signal: AbortSignal): Promise<Uint8Array> {
  return new TextEncoder().encode((await call("config", null, signal)).text);
}

async function ownView(context: Target): Promise<ConfigView> {
  const homeContext = homeContextOf(context);
  const { path, format } = await locateConfig(homeContext, context.configPath);
  const store = openHistory(context.home, path);
  return {
    daemon: null,
    homeContext,
    path,
    format,
    read: () => readConfigIfPresent(path),
    call: callerOf<"history" | "historyText">({
      history: async () => ({
        entries: (await store.list()).map(({ format: _, ...entry }) => entry),
      }),
      historyText: async ({ n }) => decodedText((await store.entry(n)).bytes),
    }),
  };
}

function homeContextOf({ home }: Target): HomeContext {
  return findHomeContext({ ...process.env, MOUNTAINEER_HOME: home });
}
