// `config validate`: checks a file and lists every error.
import { resolve } from "node:path";
import type { DaemonClient } from "../../api/client/client.ts";
import { withoutName } from "../../api/labels/label.ts";
import { configFormat, findHomeContext } from "../../config/home-context.ts";
import { decodedText, readConfigBytes } from "../../config/read/config-bytes.ts";
import { formatOfText } from "../../config/read/file-values.ts";
import { type LoadedConfig, parseConfig } from "../../config/read/load.ts";
import { LARGEST_FILE_BYTES } from "../../config/read/source-text.ts";
import type { ConfigFormat, ConfigSnapshot } from "../../config/snapshot.ts";
import { mistakesError, pathText } from "../../config/values/mistakes.ts";
import { expandPath } from "../../config/values/paths.ts";
import { ERROR_CODES, MountaineerError } from "../../runtime/errors.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";
import { printable, sharesAndBackends, shellCommand } from "../../runtime/text/plain-text.ts";
import { openDoctor } from "../in-process/open.ts";
import type { CommandContext, Signals, Target } from "../input/command.ts";
import { doneLine, showJson, showText, warningLine } from "../input/options.ts";
import { readNamedInput } from "../input/standard-input.ts";
import { requireNamedFile, viewConfig } from "../sessions/config-session.ts";
import { show } from "../sessions/control-session.ts";

/**
 * Resolves with the exit code. Rejects with `config_unreadable`, and with `config_invalid`, whose message
 * lists every error.
 */
export async function checkConfig(
  context: CommandContext,
  file: string | null,
  format: ConfigFormat | null,
): Promise<number> {
  const {
    path,
    loaded,
    waiting = [],
    daemon = null,
  } = file === null ? await checkOwn(context) : await checkFile(context, file, format);
  const warnings = loaded.ok ? await warningsOf(context, loaded.snapshot, daemon) : [];
  if (context.json) {
    const errors = loaded.ok ? [] : loaded.mistakes;
    showJson(context, { ok: loaded.ok, path, errors, warnings, waiting });
    return loaded.ok ? 0 : ERROR_CODES.config_invalid.exit;
  }
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  const { config } = loaded.snapshot;
  const count =
    sharesAndBackends(config.shares.length, config.backends.length) ?? "it configures nothing yet";
  showText(context, (paint) => {
    const warned = (text: string, hint: string | null) => [
      warningLine(paint, printable(text)),
      ...(hint === null ? [] : [paint.dim(`    hint: ${printable(hint)}`)]),
    ];
    return [
      doneLine(paint, `${printable(path)} is valid: ${count}`),
      ...warnings.flatMap(({ path: key, text, hint }) => warned(`${key}: ${text}`, hint)),
      ...waiting.flatMap((id) =>
        warned(`${id} would wait for approval`, shellCommand`mountaineer approve ${id}`),
      ),
    ];
  });
  return 0;
}

interface Checked {
  readonly path: string;
  readonly loaded: LoadedConfig;
  /** Ids of the entries that would wait for approval. */
  readonly waiting?: readonly string[];
  readonly daemon?: DaemonClient | null;
}

async function warningsOf(
  context: Target & Signals,
  snapshot: ConfigSnapshot,
  daemon: DaemonClient | null,
): Promise<readonly { readonly path: string; readonly text: string; readonly hint: string | null }[]> {
  const doctor = await openDoctor(context);
  const found = await doctor.foresee(snapshot, daemon, context.signal);
  const foreseen = found.map(({ area, code, subject, text, hint }) => {
    const [key = "", ...rest] = text.split(": ");
    if (code === "rule_matches_nothing") return { path: key, text: rest.join(": "), hint };
    if (subject === null)
      return { path: code === "auth_token_missing" ? "incoming_auth" : "server", text, hint };
    const list = area === "credentials" ? "shares" : "backends";
    return { path: pathText([list, subject]), text: withoutName(text, subject), hint };
  });
  return [...snapshot.warnings, ...foreseen];
}

async function checkFile(
  context: CommandContext,
  file: string,
  given: ConfigFormat | null,
): Promise<Checked> {
  const homeContext = findHomeContext({ ...process.env, MOUNTAINEER_HOME: context.home });
  const path = file === "-" ? file : resolve(expandPath(file, homeContext.userHome));
  const input = await readNamedInput(path, context, LARGEST_FILE_BYTES);
  if (input === null) await requireResponsiveDisk(path);
  const bytes = input ?? (await readConfigBytes(path));
  // What another program hands over has no name that says its format.
  const named = /\.(?:toml|ya?ml)$/i.test(path) ? configFormat(path) : formatOfText(decodedText(bytes));
  return {
    path: file === "-" ? "standard input" : path,
    loaded: await parseConfig(bytes, path, homeContext, given ?? named),
  };
}

/** Rejects with `config_unreadable`, and with `config_invalid`, whose message lists every error of the file in use. */
export async function requireValidConfig(context: Target & Signals): Promise<void> {
  const { loaded } = await readOwn(context);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
}

async function checkOwn(context: Target & Signals): Promise<Checked> {
  const { isThere, ...own } = await readOwn(context);
  return { ...own, waiting: own.loaded.ok && isThere ? await waitingIn(context, own.daemon) : [] };
}

function readOwn(context: Target & Signals) {
  return viewConfig(context, async ({ path, homeContext, read, daemon }) => {
    await requireNamedFile(context, { path, read });
    const bytes = await read();
    const loaded = await parseConfig(bytes ?? new Uint8Array(), path, homeContext);
    return { path, daemon, loaded, isThere: bytes !== null };
  });
}

/** Ids of entries that would wait if a daemon read the file now; empty if unknown. */
async function waitingIn(context: Target & Signals, daemon: DaemonClient | null): Promise<readonly string[]> {
  const { signal } = context;
  try {
    if (daemon !== null) return (await daemon.call("reload", { dry_run: true }, signal)).waiting ?? [];
    return (await show(context, "approvals", null)).waiting.map(({ id }) => id);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof MountaineerError)) throw error;
    return [];
  }
}
