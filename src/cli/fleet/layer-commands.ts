// What `mountaineer fleet config …` does: looks through the daemon, and signs with the operator's key here.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { DaemonClient } from "../../api/client/client.ts";
import type { FleetLayerReport } from "../../api/fleet-contract.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { LARGEST_LAYER_BYTES } from "../../config/layer/layer.ts";
import { findPlace } from "../../config/locate.ts";
import { type ConfigMistake, mistakesError } from "../../config/values/mistakes.ts";
import { checkLayerApart, loadConfigApart } from "../../config/worker/load-apart.ts";
import type { Handover } from "../../fleet/layer/handovers.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { harmless, harmlessLines } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson, showResult } from "../input/options.ts";
import { readInput } from "../input/standard-input.ts";
import { type DaemonPurpose, withDaemon } from "../sessions/control-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { localTime } from "../views/history-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { homeOptions } from "./home-options.ts";

/** How long to wait for a link that a change of the server's configuration has just cut. */
const LINKED_WITHIN_MS = 15_000;
/** Machines that are there have answered by then. */
const ANSWERED_WITHIN_MS = 5_000;
const BETWEEN_LOOKS_MS = 100;

/** Each resolves with the exit code. */
export function getLayer(context: CommandContext): Promise<number> {
  return withDaemon(context, LINKED, async (daemon) => {
    const report = await daemon.ask("fleetLayer", null, context.signal);
    const { newest, text } = report;
    showResult(context, report, () => (context.isTerminal ? harmlessLines(text ?? "") : (text ?? "")));
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
    const { text } = await daemon.ask("fleetLayerText", { n: revision }, context.signal);
    return signNews(context, daemon, { ...signer, text, name: `revision ${revision}` });
  });
}

export async function diffLayer(context: CommandContext, file: string): Promise<number> {
  const after = await readText(context, file);
  return withDaemon(context, LINKED, async (daemon) => {
    const { newest, text } = await daemon.ask("fleetLayer", null, context.signal);
    const before = newest?.revision == null ? "no revision" : `revision ${newest.revision}`;
    const diff = diffText(text ?? "", after, { before, after: file });
    context.print(context.isTerminal ? renderDiff(diff, context.stdoutStyle) : diff);
    if (diff === "") context.note(`the file is what ${before} is`);
    return 0;
  });
}

export function layerHistory(context: CommandContext): Promise<number> {
  return withDaemon(context, LINKED, async (daemon) => {
    const { entries } = await daemon.ask("fleetLayerHistory", null, context.signal);
    const { bold, red } = paintFor(context.stdoutStyle);
    const lines = entries.map(({ revision, time, by, problem }) =>
      problem === null
        ? `${bold(String(revision).padStart(4))}  ${localTime(time ?? "")}  ${harmless(by ?? "")}\n`
        : `   ${red("?")}  it counts for nothing: ${harmless(problem)}\n`,
    );
    showResult(context, entries, () => lines.join(""));
    if (entries.length === 0 && !context.json) context.note("the fleet has no configuration yet");
    return 0;
  });
}

/** A revision older than the accepted one may have been played back: no machine takes it. */
export function saysAlready({ accepted, newest, text }: FleetLayerReport, wanted: string): boolean {
  return text === wanted && (newest?.revision ?? 0) >= accepted;
}

export interface Signer {
  /** The 32 private bytes of the key that counts. */
  readonly key: Buffer;
  /** The handovers that lead to that key. */
  readonly handovers: readonly Handover[];
  /** The next authority of the fleet's server, DER in base64; null: unchanged. */
  readonly nextAuthority: string | null;
  readonly report: FleetLayerReport;
}

interface Signing extends Signer {
  readonly text: string;
  /** Where the text is from. */
  readonly name: string;
}

/** Signs it, unless it is the current content. */
async function signNews(context: CommandContext, daemon: DaemonClient, signing: Signing): Promise<number> {
  const { key, handovers, nextAuthority, report, text, name } = signing;
  if (saysAlready(report, text)) {
    return told(context, { revision: report.newest?.revision ?? 0, changed: false });
  }
  const { signLayer } = await import("../../fleet/layer/signed-layer.ts");
  const { publicKeyText, publicBytes } = await import("../../fleet/keys/nkey.ts");
  const revision = nextRevision(report);
  // As this machine's file has it: under that line the layer lies here.
  const operator = report.line ?? publicKeyText(publicBytes(key));
  const mistakes = await mistakesIn(context, daemon, { text, name, revision, operator });
  if (mistakes.length > 0) throw mistakesError(mistakes, "nothing was signed, and no machine has it");
  const { name: by } = await daemon.ask("fleet", null, context.signal);
  const time = new Date(systemClock.wallMs()).toISOString();
  const document = signLayer({ revision, time, by, text }, key, handovers, nextAuthority);
  const expected_sequence = report.newest?.sequence ?? 0;
  await daemon.ask("putFleetLayer", { document, expected_sequence }, context.signal);
  return told(context, { revision, changed: true, machines: await answers(context, daemon, revision) });
}

export function nextRevision({ accepted, newest }: Pick<FleetLayerReport, "accepted" | "newest">): number {
  return Math.max(accepted, newest?.revision ?? 0) + 1;
}

/** Mistakes of the layer by itself, and under this machine's own file. */
async function mistakesIn(
  { home, signal }: CommandContext,
  daemon: DaemonClient,
  layer: {
    readonly text: string;
    readonly name: string;
    readonly revision: number;
    readonly operator: string;
  },
): Promise<readonly ConfigMistake[]> {
  const place = findPlace({ ...process.env, MOUNTAINEER_HOME: home });
  const limits = { clock: systemClock, signal };
  const { text, name } = layer;
  const alone = await checkLayerApart({ path: name, place, text }, limits);
  if (alone.length > 0) return alone;
  const { global } = await daemon.ask("status", null, signal);
  const own = { path: global.config_path, place, content: null, writeStarter: false };
  const { loaded } = await loadConfigApart({ ...own, layer }, limits);
  return loaded.ok ? [] : loaded.mistakes;
}

export interface Answer {
  readonly machine: string;
  readonly takes: boolean;
  /** Why it refuses; null: it has not answered yet, or it accepts. */
  readonly reason: string | null;
  /** It has seen that revision, and knows the key by which it is signed. */
  readonly knows: boolean;
}

/** What the machines that are there answered in time. */
export async function answers(
  { signal }: CommandContext,
  daemon: DaemonClient,
  revision: number,
): Promise<readonly Answer[]> {
  const untilMs = systemClock.monotonicMs() + ANSWERED_WITHIN_MS;
  for (;;) {
    const { machines } = await daemon.ask("fleet", null, signal);
    const here = machines.filter(({ presence }) => presence === "here");
    const said = here.map(({ name, state }) => {
      const { refused = null, revision: runs = null } = state?.layer ?? {};
      const isOver = runs === revision || refused?.revision === revision;
      const reason = refused?.reason ?? null;
      return { isOver, answer: { machine: name, takes: runs === revision, reason, knows: isOver } };
    });
    // What a machine says about an earlier revision is not an answer.
    if (said.every(({ isOver }) => isOver) || systemClock.monotonicMs() >= untilMs) {
      return said.map(({ answer }) => answer);
    }
    await systemClock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

interface Outcome {
  readonly revision: number;
  readonly changed: boolean;
  readonly machines?: readonly Answer[];
}

function told(context: CommandContext, { revision, changed, machines = [] }: Outcome): number {
  if (context.json) {
    const told = machines.map(({ machine, takes, reason }) => ({ machine, takes, reason }));
    showJson(context, { revision, changed, machines: told });
    return 0;
  }
  const { green, yellow, symbols } = paintFor(context.stdoutStyle);
  const done = changed
    ? `revision ${revision} is the fleet's configuration`
    : `revision ${revision} says so already`;
  context.print(`${green(symbols.good)} ${done}\n`);
  for (const { machine, takes, reason } of machines) {
    const name = harmless(machine);
    if (takes) context.print(`  ${green(symbols.good)} ${name} runs it\n`);
    else
      context.print(
        `  ${yellow(symbols.warning)} ${name} ${reason === null ? "has not answered yet" : `does not: ${harmless(reason)}`}\n`,
      );
  }
  return 0;
}

/** Rejects with `secret_unavailable` where the key is not, and with `usage` where it is not the one that counts. */
export async function readSigner(context: CommandContext, daemon: DaemonClient): Promise<Signer> {
  const { operatorKeys, settledOperatorKey } = await import("../../fleet/way-in/operator-key.ts");
  const { readTrust } = await import("../../fleet/layer/operator-trust.ts");
  const { handoversTo } = await import("../../fleet/layer/handovers.ts");
  const { publicBytes, publicKeyText } = await import("../../fleet/keys/nkey.ts");
  const options = homeOptions(context);
  await operatorKeys(options);
  const report = await afterRenewal(context, daemon);
  const line = report.line ?? report.operator;
  const key = await settledOperatorKey(options, line);
  const operator = publicKeyText(publicBytes(key));
  const trust = line === null ? null : await readTrust(context.home, line);
  if (trust !== null && report.operator === operator) {
    const { handovers } = trust;
    const { readFleet } = await import("../../fleet/way-in/fleet-folder.ts");
    const { nextAuthority } = await import("../../fleet/way-in/renew-certificate.ts");
    const next = (await readFleet(context.home)) === null ? null : await nextAuthority(context.home);
    return {
      key,
      handovers: handoversTo(operator, handovers),
      nextAuthority: next?.certificate ?? null,
      report,
    };
  }
  const found = report.operator === null ? "names no operator" : "names another operator than the key here";
  throw new MountaineerError("usage", `[fleet] ${found}: no machine like that would take what is signed`, {
    hint: `on every machine of the fleet: mountaineer config set fleet.operator ${operator}`,
  });
}

/**
 * The result after the server, if it is here, has got its permissions renewed: a server set up by an earlier version
 * does not let this machine write.
 */
async function afterRenewal(context: CommandContext, daemon: DaemonClient): Promise<FleetLayerReport> {
  const { home, signal } = context;
  const { renewServer } = await import("../../fleet/way-in/server-process.ts");
  const isRenewed = await renewServer({ home, clock: systemClock }, signal);
  const untilMs = systemClock.monotonicMs() + (isRenewed ? LINKED_WITHIN_MS : 0);
  for (;;) {
    try {
      return await daemon.ask("fleetLayer", null, signal);
    } catch (error) {
      const passes = error instanceof MountaineerError && error.code === "fleet_unreachable";
      if (!passes || systemClock.monotonicMs() >= untilMs) throw error;
    }
    await systemClock.sleep(BETWEEN_LOOKS_MS, signal);
  }
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
  if (problem !== null) return `what stands there counts for nothing: ${harmless(problem)}`;
  return `revision ${revision}, signed on ${harmless(by ?? "")} at ${localTime(time ?? "")} by ${operator}`;
}

/** What needs the link that a daemon has. */
export const LINKED: DaemonPurpose = { intent: "look", so: "and it has the link to the fleet" };
