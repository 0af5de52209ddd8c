// `mountaineer fleet config …`: reads the common configuration through the daemon, and signs it with the operator's key.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { DaemonClient } from "../../api/client/client.ts";
import type { FleetLayerReport } from "../../api/contract/fleet.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { findHomeContext } from "../../config/home-context.ts";
import { LARGEST_LAYER_BYTES } from "../../config/layer/layer.ts";
import { type ConfigMistake, mistakesError } from "../../config/values/mistakes.ts";
import { checkLayerApart, loadConfigInChild } from "../../config/worker/load-in-child.ts";
import type { KeyHandover } from "../../fleet/layer/key-handovers.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { printable, printableLines, shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult, warningLine } from "../input/options.ts";
import { readInput } from "../input/standard-input.ts";
import { type DaemonPurpose, withDaemon } from "../sessions/control-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";
import { renderDiff } from "../views/diff-view.ts";
import { localTime } from "../views/history-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { homeOptions } from "./home-options.ts";

/** How long to wait for the answers of connected machines, ms. */
const ANSWERED_WITHIN_MS = 5_000;

/** Resolves with the exit code, as every command of this file does. */
export function getLayer(context: CommandContext): Promise<number> {
  return withDaemon(context, LINKED, async (daemon) => {
    const report = await daemon.call("fleetLayer", null, context.signal);
    const { newest, text } = report;
    showResult(context, report, () => (context.isTerminal ? printableLines(text ?? "") : (text ?? "")));
    if (!context.json) context.note(newestText(report));
    return newest === null || newest.problem === null ? 0 : FAILED_EXIT;
  });
}

export async function setLayer(context: CommandContext, file: string): Promise<number> {
  const text = await readText(context, file);
  return withDaemon(context, LINKED, async (daemon) => {
    const signer = await readSigner(context, daemon);
    const name = file === "-" ? "standard input" : file;
    return signNews(context, daemon, { ...signer, text, name });
  });
}

export async function rollBackLayer(context: CommandContext, revision: number): Promise<number> {
  return withDaemon(context, LINKED, async (daemon) => {
    const signer = await readSigner(context, daemon);
    const { text } = await daemon.call("fleetLayerText", { n: revision }, context.signal);
    return signNews(context, daemon, { ...signer, text, name: `revision ${revision}` });
  });
}

export async function diffLayer(context: CommandContext, file: string): Promise<number> {
  const after = await readText(context, file);
  return withDaemon(context, LINKED, async (daemon) => {
    const { newest, text } = await daemon.call("fleetLayer", null, context.signal);
    const before = newest?.revision == null ? "no revision" : `revision ${newest.revision}`;
    const diff = diffText(text ?? "", after, { before, after: file });
    context.print(context.isTerminal ? renderDiff(diff, context.stdoutStyle) : diff);
    if (diff === "") context.note(`the file is what ${before} is`);
    return 0;
  });
}

export function layerHistory(context: CommandContext): Promise<number> {
  return withDaemon(context, LINKED, async (daemon) => {
    const { entries } = await daemon.call("fleetLayerHistory", null, context.signal);
    showResult(context, entries, ({ bold, red }) =>
      entries.map(({ revision, time, by, problem }) =>
        problem === null
          ? `${bold(String(revision).padStart(4))}  ${localTime(time ?? "")}  ${printable(by ?? "")}`
          : `   ${red("?")}  it counts for nothing: ${printable(problem)}`,
      ),
    );
    if (entries.length === 0 && !context.json) context.note("the fleet has no configuration yet");
    return 0;
  });
}

/**
 * True if the newest revision has the wanted text and is no older than the accepted revision: machines refuse
 * an older one as a possible replay.
 */
export function saysAlready({ accepted, newest, text }: FleetLayerReport, wanted: string): boolean {
  return text === wanted && (newest?.revision ?? 0) >= accepted;
}

export interface Signer {
  /** The 32 private bytes of the operator's current key. */
  readonly key: Buffer;
  /** The handovers of the operator's key that lead to `key`, oldest first. */
  readonly handovers: readonly KeyHandover[];
  readonly report: FleetLayerReport;
}

interface Signing extends Signer {
  readonly text: string;
  /** The source of the text: a path, "standard input" or a revision. */
  readonly name: string;
}

/** Signs and publishes the text, unless the fleet has that text already. */
async function signNews(context: CommandContext, daemon: DaemonClient, signing: Signing): Promise<number> {
  const { key, report, text, name } = signing;
  if (saysAlready(report, text)) {
    return showOutcome(context, { revision: report.newest?.revision ?? 0, changed: false });
  }
  const { publicKeyText, publicBytes } = await import("../../fleet/keys/nkey.ts");
  const revision = nextRevision(report);
  // Machines apply the common configuration only if its operator is the key in their own file, so the check
  // gets that key.
  const operator = report.line ?? publicKeyText(publicBytes(key));
  const mistakes = await mistakesIn(context, daemon, { text, name, revision, operator });
  if (mistakes.length > 0) throw mistakesError(mistakes, "nothing was signed, and no machine has it");
  await publishLayer(context, daemon, signing, text);
  return showOutcome(context, {
    revision,
    changed: true,
    machines: await answers(context, daemon, revision),
  });
}

/**
 * Signs the text as the next revision, and puts it into the fleet. Resolves with the revision's number;
 * rejects if another revision was published first.
 */
export async function publishLayer(
  { signal }: CommandContext,
  daemon: DaemonClient,
  { key, handovers, report }: Signer,
  text: string,
): Promise<number> {
  const { signLayer } = await import("../../fleet/layer/signed-layer.ts");
  const revision = nextRevision(report);
  const { name: by } = await daemon.call("fleet", null, signal);
  const time = new Date(systemClock.wallMs()).toISOString();
  const document = signLayer({ revision, time, by, text }, key, handovers);
  const expected_sequence = report.newest?.sequence ?? 0;
  await daemon.call("putFleetLayer", { document, expected_sequence }, signal);
  return revision;
}

export function nextRevision({ accepted, newest }: Pick<FleetLayerReport, "accepted" | "newest">): number {
  return Math.max(accepted, newest?.revision ?? 0) + 1;
}

/**
 * Returns the mistakes of the common configuration. If there are none, returns the mistakes of its combination with
 * this machine's file.
 */
async function mistakesIn(
  { home, signal }: CommandContext,
  daemon: DaemonClient,
  layer: Pick<Signing, "text" | "name"> & { readonly revision: number; readonly operator: string },
): Promise<readonly ConfigMistake[]> {
  const homeContext = findHomeContext({ ...process.env, MOUNTAINEER_HOME: home });
  const limits = { clock: systemClock, signal };
  const { text, name } = layer;
  const alone = await checkLayerApart({ path: name, homeContext, text }, limits);
  if (alone.length > 0) return alone;
  const { global } = await daemon.call("status", null, signal);
  const own = { path: global.config_path, homeContext, content: null, writeStarter: false };
  const { loaded } = await loadConfigInChild({ ...own, layer }, limits);
  return loaded.ok ? [] : loaded.mistakes;
}

export interface Answer {
  readonly machine: string;
  readonly takes: boolean;
  /** Why the machine refuses the revision; null: it accepts the revision, or has not answered yet. */
  readonly reason: string | null;
  /** True if the machine has applied or refused this revision. */
  readonly knows: boolean;
}

/**
 * Waits until each connected machine has applied or refused the revision, but only for a limited time.
 * Resolves with what each of them has said by then.
 */
export async function answers(
  { signal }: CommandContext,
  daemon: DaemonClient,
  revision: number,
): Promise<readonly Answer[]> {
  const look = async () => {
    const { machines } = await daemon.call("fleet", null, signal);
    const here = machines.filter(({ presence }) => presence === "here");
    return here.map(({ name, state }) => {
      const { refused = null, revision: runs = null } = state?.layer ?? {};
      const takes = runs === revision;
      const reason = refused?.reason ?? null;
      return { machine: name, takes, reason, knows: takes || refused?.revision === revision };
    });
  };
  const isOver = (said: readonly Answer[]) => said.every(({ knows }) => knows);
  return pollUntil({ withinMs: ANSWERED_WITHIN_MS, signal }, look, isOver);
}

interface Outcome {
  readonly revision: number;
  readonly changed: boolean;
  readonly machines?: readonly Answer[];
}

function showOutcome(context: CommandContext, { revision, changed, machines = [] }: Outcome): number {
  const answered = machines.map(({ machine, takes, reason }) => ({ machine, takes, reason }));
  showResult(context, { revision, changed, machines: answered }, (paint) => [
    doneLine(paint, `revision ${revision} ${changed ? "is the fleet's configuration" : "says so already"}`),
    ...answered.map(({ machine, takes, reason }) => {
      const name = printable(machine);
      if (takes) return `  ${doneLine(paint, `${name} runs it`)}`;
      const why = reason === null ? "has not answered yet" : `does not: ${printable(reason)}`;
      return `  ${warningLine(paint, `${name} ${why}`)}`;
    }),
  ]);
  return 0;
}

/**
 * Reads the operator's key. Rejects with `secret_unavailable` if this machine does not have it, and with
 * `usage` if it is no longer the current one.
 */
export async function readSigner(context: CommandContext, daemon: DaemonClient): Promise<Signer> {
  const { operatorKeys, settledOperatorKey } = await import("../../fleet/enrollment/operator-key.ts");
  const { readTrust } = await import("../../fleet/layer/operator-trust.ts");
  const { handoversTo } = await import("../../fleet/layer/key-handovers.ts");
  const { publicBytes, publicKeyText } = await import("../../fleet/keys/nkey.ts");
  const options = homeOptions(context);
  await operatorKeys(options);
  const report = await daemon.call("fleetLayer", null, context.signal);
  const line = report.line ?? report.operator;
  const key = await settledOperatorKey(options, line);
  const operator = publicKeyText(publicBytes(key));
  const trust = line === null ? null : await readTrust(context.home, line);
  if (trust !== null && report.operator === operator) {
    const { handovers } = trust;
    return { key, handovers: handoversTo(operator, handovers), report };
  }
  const found = report.operator === null ? "names no operator" : "names another operator than the key here";
  throw new MountaineerError("usage", `[fleet] ${found}: no machine like that would take what is signed`, {
    hint: `on every machine of the fleet: ${shellCommand`mountaineer config set fleet.operator ${operator}`}`,
  });
}

async function readText({ stdin, signal }: CommandContext, file: string): Promise<string> {
  const tooLong = () =>
    new MountaineerError("usage", `a fleet's configuration has at most ${LARGEST_LAYER_BYTES} bytes`);
  const limits = { mostBytes: LARGEST_LAYER_BYTES, tooLong };
  try {
    const bytes =
      file === "-" ? await readInput(stdin, signal, limits) : await readFile(resolve(file), { signal });
    if (bytes.length > LARGEST_LAYER_BYTES) throw tooLong();
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MountaineerError) throw error;
    throw new MountaineerError("config_unreadable", `${file} cannot be read: ${errorText(error)}`, {
      cause: error,
    });
  }
}

function newestText({ newest, operator }: FleetLayerReport): string {
  if (newest === null) return "the fleet has no configuration yet: mountaineer fleet config set FILE";
  const { revision, time, by, problem } = newest;
  if (problem !== null) return `what stands there counts for nothing: ${printable(problem)}`;
  return `revision ${revision}, signed on ${printable(by ?? "")} at ${localTime(time ?? "")} by ${operator}`;
}

export const LINKED: DaemonPurpose = { intent: "look", so: "and it has the link to the fleet" };
