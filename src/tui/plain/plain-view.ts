// The plain mode: prints each change once, in a line, and runs typed commands. Draws nothing, so that screen readers work.

import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import type { BackendStatus, Condition, ShareStatus, StatusReport } from "../../api/contract/contract.ts";
import { backendWords, publishedText } from "../../api/words/backend-words.ts";
import { shareWords } from "../../api/words/share-words.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { errorText, expecting } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { type Clock, localClock, systemClock } from "../../runtime/time/clock.ts";
import { catalogItems, searchItems } from "../catalog/catalog-items.ts";
import { type Actions, createActions } from "../dashboard/actions.ts";
import { actionCommands } from "../dashboard/dashboard-screen.ts";
import { createEventRing, type EventRing } from "../events/event-ring.ts";
import { connectionTo, type DaemonLink, startDaemonLink } from "../link/daemon-link.ts";
import { attempt } from "../terminal/attempt.ts";
import { absenceText } from "../terminal/connection.ts";
import { matchingCommands } from "../terminal/palette.ts";
import { createPrompt, type Prompt } from "../terminal/prompt.ts";
import type { Command } from "../terminal/screen.ts";
import { catalogSentences, toolSentences } from "./catalog-sentences.ts";
import { fleetSentences, noFleetSentences } from "./fleet-sentences.ts";

const EVENTS_SAID = 20;
const LOG_LINES_SAID = 40;
const NAMES_SAID = 12;

const HELP = [
  "Type a line and press Enter.",
  "status: everything that is known. events: the last events. logs NAME: the last lines of a backend.",
  "approvals: what waits. approve ID: shows it, and asks.",
  "mount NAME, unmount NAME, switch NAME to Thunderbolt, switch NAME to Fallback, restart NAME,",
  "reload the configuration, restart the daemon.",
  "actions: all of these that there are. help: this. quit: leave.",
  "catalog: what each backend offers. catalog WORDS: what has these words. tool NAME: what it does and takes.",
  "config: where the configuration is, and the command that edits it.",
  "fleet: the machines of the fleet. fleet NAME: all of one. fleet WORDS: those that tell of these words.",
];

interface PlainOptions {
  readonly link: DaemonLink;
  /** True if the daemon is on another machine. */
  readonly isElsewhere: boolean;
  readonly say: (line: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Prints changes until `signal` aborts. `type` handles a typed line, and returns true if the user leaves. */
export function createPlainView({ link, isElsewhere, say, clock, signal }: PlainOptions) {
  const prompt = createPrompt(signal);
  const actions = createActions(link, prompt, signal);
  const ring = createEventRing(link.listen, clock, signal);
  const print = (text: string): void => {
    for (const line of text.split("\n")) say(harmless(line));
  };
  const parts: PlainParts = { link, isElsewhere, ring, prompt, actions, print, signal };
  const { printConnection, printAll } = createChanges(parts);
  const commands = { ...createCommands(parts), ...createLookups(parts), status: printAll, d: printAll };
  const run = (command: PlainCommand, argument: string): void =>
    void attempt(
      async () => command(argument),
      (error) => print(`failed: ${errorText(error)}${error.hint === null ? "" : `; ${error.hint}`}`),
      signal,
    );

  return {
    begin(): void {
      print("Mountaineer, live, in lines of text. Type help and Enter for what can be typed.");
      printConnection();
    },
    type(line: string): boolean {
      const typed = line.trim();
      if (prompt.state.get().question !== null) {
        const isYes = /^y(es)?$/i.test(typed);
        prompt.onKey({ kind: "character", text: isYes ? "y" : "n" });
        if (!isYes) print("left as it is");
        return false;
      }
      const [word = "", ...rest] = typed.split(/\s+/);
      const argument = rest.join(" ");
      if (word === "quit" || word === "q") return true;
      const known: Readonly<Record<string, PlainCommand>> = commands;
      const command = Object.hasOwn(known, word) ? known[word] : undefined;
      if (command !== undefined && (argument !== "" || !NEED_ARGUMENT.has(word))) run(command, argument);
      else if (typed !== "") runNamed(typed, actionCommands(actions), print);
      return false;
    },
  };
}

/** The argument is the rest of the typed line. */
type PlainCommand = (argument: string) => void | Promise<void>;

/** Commands that need an argument; without one, the typed word is searched for in the names of actions. */
const NEED_ARGUMENT: ReadonlySet<string> = new Set(["logs", "approve", "tool"]);

interface PlainParts extends Pick<PlainOptions, "link" | "isElsewhere" | "signal"> {
  readonly ring: EventRing;
  readonly prompt: Prompt;
  readonly actions: Actions;
  /** Prints lines of text, with control characters spelled out. */
  readonly print: (text: string) => void;
}

const NOTE_WORDS = { good: "done", plain: "note", warning: "note", bad: "failed" } as const;

/** Prints each change once, until `signal` aborts. */
function createChanges({ link, prompt, print, signal }: PlainParts) {
  let known: Statements = new Map();
  let printedConnection = "";
  let printed = prompt.state.get();
  const printConnection = (): void => {
    const connection = link.connection.get();
    const text =
      connection.kind === "waiting"
        ? `${absenceText(connection.sinceMs)}: ${connection.reason}`
        : connection.kind;
    if (text !== printedConnection) print(text);
    printedConnection = text;
  };
  const printStatus = (): void => {
    const status = link.status.get();
    if (status === null) return;
    const now = statementsOf(status);
    for (const sentence of changesBetween(known, now)) print(sentence);
    known = now;
  };
  const printPrompt = (): void => {
    const now = prompt.state.get();
    const { question, note, running } = now;
    for (const name of running) if (!printed.running.includes(name)) print(name);
    if (note !== null && note !== printed.note) print(`${NOTE_WORDS[note.tone]}: ${note.text}`);
    if (question !== null && question !== printed.question)
      print(`${question} Type yes to do it; anything else leaves it.`);
    printed = now;
  };
  const unregister = [
    link.connection.subscribe(printConnection),
    link.status.subscribe(printStatus),
    prompt.state.subscribe(printPrompt),
  ];
  const end = (): void => {
    for (const undo of unregister) undo();
  };
  signal.addEventListener("abort", end, { once: true });
  return {
    printConnection,
    printAll(): void {
      printConnection();
      print(printedConnection);
      if (known.size === 0) print("nothing is known yet");
      for (const sentence of [...known.values()].flat()) print(sentence);
    },
  };
}

function createCommands({ link, ring, prompt, actions, print, signal }: PlainParts) {
  const help = (): void => print(HELP.join("\n"));
  const events = (): void => {
    const newest = [...ring.newest()].slice(0, EVENTS_SAID).reverse();
    if (newest.length === 0) print("no events yet");
    for (const { about, atMs, name, text } of newest)
      print(`${localClock(new Date(atMs))} ${name}${about === null ? "" : ` ${about}`} ${text}`);
  };
  const approvals = async (): Promise<void> => {
    const { waiting } = await link.ask("approvals", null, signal);
    if (waiting.length === 0) print("nothing waits for approval");
    for (const { id, summary } of waiting) print(`${id}: ${summary}`);
  };
  const force = (): void => {
    if (!actions.force()) print("nothing was held up by open files");
  };
  return {
    help,
    "?": help,
    events,
    e: events,
    approvals,
    a: approvals,
    force,
    "!": force,
    actions(): void {
      for (const { name } of actionCommands(actions)) print(name);
    },
    async logs(backend: string): Promise<void> {
      const { lines } = await link.ask("logs", { backend }, signal);
      if (lines.length === 0) print(`${backend}: no lines`);
      for (const line of lines.slice(-LOG_LINES_SAID)) print(line);
    },
    async approve(id: string): Promise<void> {
      const { waiting } = await link.ask("approvals", null, signal);
      const entry = waiting.find((each) => each.id === id);
      if (entry === undefined) {
        print(`nothing waits that is called ${id}`);
        return;
      }
      print(diffText(entry.approved, entry.waiting, { before: "approved", after: "waiting" }).trimEnd());
      prompt.ask(`Approve ${id} as shown?`, () =>
        prompt.run(`approving ${id}`, async () => {
          await link.ask("approve", { entries: [{ id, digest: entry.digest }] }, signal);
          return { tone: "good", text: `approved and applied: ${id}` };
        }),
      );
    },
  };
}

/** Runs the command with the typed name, or prints the names that match it. */
function runNamed(typed: string, commands: readonly Command[], print: PlainParts["print"]): void {
  const exact = commands.find(({ name }) => name.toLowerCase() === typed.toLowerCase());
  if (exact !== undefined) {
    exact.run();
    return;
  }
  const found = matchingCommands(commands, typed).slice(0, NAMES_SAID);
  if (found.length === 0) print(`nothing is called ${typed}; type help`);
  else print(`type one of them whole: ${found.map(({ name }) => name).join(", ")}`);
}

/** Each lookup asks the daemon anew. */
function createLookups({ link, isElsewhere, print, signal }: PlainParts) {
  const items = async () => catalogItems(await link.ask("catalog", null, signal));
  // Spells out line breaks, because a line break in a foreign name could begin a line that looks like the program's
  // own.
  const printEach = (sentences: readonly string[]): void => {
    for (const sentence of sentences) print(harmless(sentence));
  };
  const catalog = async (words: string): Promise<void> =>
    printEach(catalogSentences(searchItems(await items(), words), words));
  const fleet = async (words: string): Promise<void> => {
    const report = await link.ask("fleet", null, signal).catch(expecting("fleet_off", null));
    printEach(report === null ? noFleetSentences() : fleetSentences(report, words));
  };
  const config = async (): Promise<void> => {
    const { path } = await link.ask("config", null, signal);
    print(`The configuration is ${path}${isElsewhere ? " on that machine" : ""}.`);
    print(`To edit it, run ${isElsewhere ? "there" : "in a shell"}: mountaineer config edit`);
    print(
      "It opens VISUAL or EDITOR, checks what you wrote when that ends, and applies it or says what is wrong.",
    );
    print("mountaineer config diff: what changed last. mountaineer config history: what was accepted when.");
  };
  return {
    catalog,
    c: catalog,
    fleet,
    F: fleet,
    config,
    g: config,
    async tool(name: string): Promise<void> {
      const found = (await items()).find((item) => item.kind === "tool" && item.name === name);
      if (found === undefined) print(`no tool is called ${name}; type catalog and words of its name`);
      else printEach(toolSentences(found, isElsewhere));
    },
  };
}

// A status in plain mode: one sentence for each subject, without figures that change all the time.

/** Sentences by subject; more than one if a subject has several conditions with the same code. */
type Statements = ReadonlyMap<string, readonly string[]>;

export function statementsOf({ global, shares, gateway, backends = [] }: StatusReport): Statements {
  const statements: readonly (readonly [string, string])[] = [
    ...shares.map((share) => [`share ${share.name}`, shareSentence(share)] as const),
    ...(gateway === undefined
      ? []
      : [
          [
            "gateway",
            gateway.url === null ? "gateway: not listening" : `gateway: listens at ${gateway.url}`,
          ] as const,
        ]),
    ...backends.map((backend) => [`backend ${backend.name}`, backendSentence(backend)] as const),
    ...backends.flatMap(waitingStatements),
    ...global.conditions.map((each) => conditionStatement(null, each)),
    ...(gateway?.conditions ?? []).map((each) => conditionStatement("gateway", each)),
    ...shares.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
    ...backends.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
  ];
  return new Map(
    [...Map.groupBy(statements, ([about]) => about)].map(([about, all]) => [
      about,
      all.map(([, sentence]) => sentence),
    ]),
  );
}

/** The new and changed sentences, then those that are over, in a stable order. */
export function changesBetween(before: Statements, now: Statements): readonly string[] {
  const said: string[] = [];
  const over: string[] = [];
  for (const about of new Set([...now.keys(), ...before.keys()])) {
    const was = before.get(about) ?? [];
    const is = now.get(about) ?? [];
    const added = is.filter((sentence) => !was.includes(sentence));
    const removed = was.filter((sentence) => !is.includes(sentence));
    said.push(...added);
    // A changed sentence counts as added and removed; only removed sentences without a replacement are over.
    over.push(...removed.slice(added.length).map((sentence) => `over: ${sentence}`));
  }
  return [...said, ...over];
}

function shareSentence(share: ShareStatus): string {
  const { name, last_error: error } = share;
  return [
    `share ${name}: ${shareWords(share).text}`,
    ...(share.tb_recovery_pending ? [`Thunderbolt is back, type: switch ${name} to Thunderbolt`] : []),
    ...(error === null ? [] : [`last error: ${error}`]),
  ].join("; ");
}

function backendSentence(backend: BackendStatus): string {
  const { name, enabled, phase, reason, last_error: error } = backend;
  const why = phase === "Ready" || !enabled ? null : (reason ?? error);
  return [
    `backend ${name}: ${backendWords(backend).text}`,
    ...(enabled && phase === "Ready" ? [publishedText(backend)] : []),
    ...(why === null ? [] : [why]),
  ].join(", ");
}

/** The statement that a call waits for the backend's answer, without figures, which change all the time. */
function waitingStatements({ name, waiting_calls: waiting }: BackendStatus): readonly [string, string][] {
  if (waiting === undefined) return [];
  return [[`waiting ${name}`, `note: ${name}: a call has waited for its answer for over 10 s`]];
}

function conditionStatement(
  subject: string | null,
  { code, severity, title, hint }: Condition,
): readonly [string, string] {
  const whose = subject === null ? "" : `${subject}: `;
  return [
    `condition ${subject ?? ""} ${code}`,
    `${severity}: ${whose}${title}${hint === null ? "" : `; ${hint}`}`,
  ];
}

// Starts the plain mode: lines from standard input, lines to standard output.

interface PlainStart {
  /** The home directory, absolute. */
  readonly home: string;
  /** The address of another machine's daemon; null: the daemon of `home`. */
  readonly endpoint: HttpEndpoint | null;
  readonly print: (text: string) => void;
  readonly input: Readable;
  readonly signal: AbortSignal;
}

/** Resolves when the user leaves or the input ends; rejects with the reason of `signal`. */
export async function startPlain({ home, endpoint, print, input, signal }: PlainStart): Promise<void> {
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const link = startDaemonLink({ connect: connectionTo(home, endpoint, until), signal: until });
  const view = createPlainView({
    link,
    isElsewhere: endpoint !== null,
    say: (line) => print(`${line}\n`),
    clock: systemClock,
    signal: until,
  });
  view.begin();
  // On a terminal, readline would redraw the line that is being typed.
  const lines = createInterface({ input, terminal: false });
  const end = (): void => lines.close();
  signal.addEventListener("abort", end, { once: true });
  try {
    for await (const line of lines) if (view.type(line)) break;
  } finally {
    signal.removeEventListener("abort", end);
    leave.abort();
    lines.close();
    input.destroy();
  }
  signal.throwIfAborted();
}
