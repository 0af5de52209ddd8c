// The plain mode: says each change once, in a line, and does what is typed. Draws nothing, so a screen reader can follow.

import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { ApprovalsReport } from "../../api/approval-contract.ts";
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import type { BackendStatus, Condition, ShareStatus, StatusReport } from "../../api/contract.ts";
import { backendWords, publishedText } from "../../api/words/backend-words.ts";
import { shareWords } from "../../api/words/share-words.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { type Clock, localClock, systemClock } from "../../runtime/time/clock.ts";
import { catalogItems, searchItems } from "../catalog/catalog-items.ts";
import { type Actions, createActions } from "../dashboard/actions.ts";
import { actionCommands } from "../dashboard/dashboard-screen.ts";
import { createEventRing, type EventRing } from "../events/event-ring.ts";
import { type DaemonLink, endpointConnection, homeConnection, startDaemonLink } from "../link/daemon-link.ts";
import { absenceText } from "../terminal/connection.ts";
import { matchingCommands } from "../terminal/palette.ts";
import { createPrompt, type Prompt } from "../terminal/prompt.ts";
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
  /** The daemon is another machine's. */
  readonly isElsewhere: boolean;
  /** Writes one line. */
  readonly say: (line: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Says what changes until `signal` aborts; `type` takes a line, and is true when a person leaves. */
export function createPlainView({ link, isElsewhere, say, clock, signal }: PlainOptions) {
  const prompt = createPrompt(signal);
  const actions = createActions(link, prompt, signal);
  const ring = createEventRing(link.listen, clock, signal);
  const tell = (text: string): void => {
    for (const line of text.split("\n")) say(harmless(line));
  };
  const { sayConnection, sayAll } = createChanges({ link, prompt, tell, signal });
  const ask = (work: () => Promise<void>): void => {
    work().catch((error: unknown) => {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      tell(`failed: ${errorText(error)}${error.hint === null ? "" : `; ${error.hint}`}`);
    });
  };
  const { sayEvents, sayLogs, sayApprovals, approve, runNamed } = createAnswers({
    link,
    ring,
    prompt,
    actions,
    tell,
    signal,
  });
  const { sayCatalog, sayTool, sayConfig, sayFleet } = createLookups({ link, isElsewhere, tell, signal });

  return {
    begin(): void {
      tell("Mountaineer, live, in lines of text. Type help and Enter for what can be typed.");
      sayConnection();
    },
    type(line: string): boolean {
      const typed = line.trim();
      if (prompt.state.get().question !== null) {
        const isYes = /^y(es)?$/i.test(typed);
        prompt.onKey({ kind: "character", text: isYes ? "y" : "n" });
        if (!isYes) tell("left as it is");
        return false;
      }
      const [word = "", ...rest] = typed.split(/\s+/);
      const argument = rest.join(" ");
      if (typed === "") return false;
      if (word === "quit" || word === "q") return true;
      if (word === "help" || word === "?") for (const help of HELP) tell(help);
      else if (word === "status" || word === "d") sayAll();
      else if (word === "events" || word === "e") sayEvents();
      else if (word === "logs" && argument !== "") ask(() => sayLogs(argument));
      else if (word === "approvals" || word === "a")
        ask(async () => sayApprovals(await (await link.daemon()).ask("approvals", null, signal)));
      else if (word === "approve" && argument !== "") ask(() => approve(argument));
      else if (word === "catalog" || word === "c") ask(() => sayCatalog(argument));
      else if (word === "tool" && argument !== "") ask(() => sayTool(argument));
      else if (word === "config" || word === "g") ask(sayConfig);
      else if (word === "fleet" || word === "F") ask(() => sayFleet(argument));
      else if (word === "actions")
        tell(
          actionCommands(actions)
            .map(({ name }) => name)
            .join("\n"),
        );
      else if (word === "!" || typed === "force") {
        if (!actions.force()) tell("nothing was held up by open files");
      } else runNamed(typed);
      return false;
    },
  };
}

const NOTE_WORDS = { good: "done", plain: "note", warning: "note", bad: "failed" } as const;

interface AnswerParts {
  readonly link: DaemonLink;
  readonly ring: EventRing;
  readonly prompt: Prompt;
  readonly actions: Actions;
  readonly tell: (text: string) => void;
  readonly signal: AbortSignal;
}

type ChangeParts = Pick<AnswerParts, "link" | "prompt" | "tell" | "signal">;

/** Says each change of connection, status and prompt once, until `signal` aborts. */
function createChanges({ link, prompt, tell, signal }: ChangeParts) {
  let known: Statements = new Map();
  let saidConnection = "";
  let said = prompt.state.get();
  const sayConnection = (): void => {
    const connection = link.connection.get();
    const text =
      connection.kind === "waiting"
        ? `${absenceText(connection.sinceMs)}: ${connection.reason}`
        : connection.kind;
    if (text !== saidConnection) tell(text);
    saidConnection = text;
  };
  const sayStatus = (): void => {
    const status = link.status.get();
    if (status === null) return;
    const now = statementsOf(status);
    for (const sentence of changesBetween(known, now)) tell(sentence);
    known = now;
  };
  const sayPrompt = (): void => {
    const now = prompt.state.get();
    const { question, note, running } = now;
    for (const name of running) if (!said.running.includes(name)) tell(name);
    if (note !== null && note !== said.note) tell(`${NOTE_WORDS[note.tone]}: ${note.text}`);
    if (question !== null && question !== said.question)
      tell(`${question} Type yes to do it; anything else leaves it.`);
    said = now;
  };
  const unregister = [
    link.connection.subscribe(sayConnection),
    link.status.subscribe(sayStatus),
    prompt.state.subscribe(sayPrompt),
  ];
  signal.addEventListener(
    "abort",
    () => {
      for (const undo of unregister) undo();
    },
    { once: true },
  );
  const sayAll = (): void => {
    sayConnection();
    tell(saidConnection);
    if (known.size === 0) tell("nothing is known yet");
    for (const sentence of known.values()) tell(sentence);
  };
  return { sayConnection, sayAll };
}

/** What is said, or done, for what was typed. */
function createAnswers({ link, ring, prompt, actions, tell, signal }: AnswerParts) {
  const sayEvents = (): void => {
    const newest = [...ring.newest()].slice(0, EVENTS_SAID).reverse();
    if (newest.length === 0) tell("no events yet");
    for (const event of newest) {
      const whose = event.about === null ? "" : ` ${event.about}`;
      tell(`${localClock(new Date(event.atMs))} ${event.name}${whose} ${event.text}`);
    }
  };
  const sayLogs = async (backend: string): Promise<void> => {
    const { lines } = await (await link.daemon()).ask("logs", { backend: backend }, signal);
    if (lines.length === 0) tell(`${backend}: no lines`);
    for (const line of lines.slice(-LOG_LINES_SAID)) tell(line);
  };
  const sayApprovals = ({ waiting }: ApprovalsReport): void => {
    if (waiting.length === 0) tell("nothing waits for approval");
    for (const { id, summary } of waiting) tell(`${id}: ${summary}`);
  };
  const approve = async (id: string): Promise<void> => {
    const daemon = await link.daemon();
    const entry = (await daemon.ask("approvals", null, signal)).waiting.find((each) => each.id === id);
    if (entry === undefined) {
      tell(`nothing waits that is called ${id}`);
      return;
    }
    tell(diffText(entry.approved, entry.waiting, { before: "approved", after: "waiting" }).trimEnd());
    prompt.ask(`Approve ${id} as shown?`, () =>
      prompt.run(`approving ${id}`, async () => {
        const request = { entries: [{ id, digest: entry.digest }] };
        await (await link.daemon()).ask("approve", request, signal);
        return { tone: "good", text: `approved and applied: ${id}` };
      }),
    );
  };
  const runNamed = (typed: string): void => {
    const commands = actionCommands(actions);
    const exact = commands.find(({ name }) => name.toLowerCase() === typed.toLowerCase());
    if (exact !== undefined) {
      exact.run();
      return;
    }
    const found = matchingCommands(commands, typed);
    if (found.length === 0) tell(`nothing is called ${typed}; type help`);
    else
      tell(
        `type one of them whole: ${found
          .slice(0, NAMES_SAID)
          .map(({ name }) => name)
          .join(", ")}`,
      );
  };

  return { sayEvents, sayLogs, sayApprovals, approve, runNamed };
}

/** What a person looks up, asked afresh each time. */
function createLookups({
  link,
  isElsewhere,
  tell,
  signal,
}: Pick<PlainOptions, "link" | "isElsewhere"> & Pick<AnswerParts, "tell" | "signal">) {
  const items = async () => catalogItems(await (await link.daemon()).ask("catalog", null, signal));
  // A line end in a foreign name must not begin a sentence that looks like ours.
  const tellEach = (sentences: readonly string[]): void => {
    for (const sentence of sentences) tell(harmless(sentence));
  };
  return {
    async sayCatalog(words: string): Promise<void> {
      tellEach(catalogSentences(searchItems(await items(), words), words));
    },
    async sayTool(name: string): Promise<void> {
      const found = (await items()).find((item) => item.kind === "tool" && item.name === name);
      if (found === undefined) tell(`no tool is called ${name}; type catalog and words of its name`);
      else tellEach(toolSentences(found, isElsewhere));
    },
    async sayFleet(words: string): Promise<void> {
      try {
        tellEach(fleetSentences(await (await link.daemon()).ask("fleet", null, signal), words));
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code !== "fleet_off") throw error;
        tellEach(noFleetSentences());
      }
    },
    async sayConfig(): Promise<void> {
      const { path } = await (await link.daemon()).ask("config", null, signal);
      tell(`The configuration is ${path}${isElsewhere ? " on that machine" : ""}.`);
      tell(`To edit it, run ${isElsewhere ? "there" : "in a shell"}: mountaineer config edit`);
      tell(
        "It opens VISUAL or EDITOR, checks what you wrote when that ends, and applies it or says what is wrong.",
      );
      tell("mountaineer config diff: what changed last. mountaineer config history: what was accepted when.");
    },
  };
}

// What is to be said of a status in plain mode: one sentence for each thing, without figures that change by themselves.

/** Sentences by what they are about. */
type Statements = ReadonlyMap<string, string>;

export function statementsOf({ global, shares, gateway, backends = [] }: StatusReport): Statements {
  const conditions = [
    ...global.conditions.map((each) => conditionStatement(null, each)),
    ...(gateway?.conditions ?? []).map((each) => conditionStatement("gateway", each)),
    ...shares.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
    ...backends.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
  ];
  return new Map([
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
    ...conditions,
  ]);
}

/** Sentences that are new or say another thing, then what is over; in a stable order. */
export function changesBetween(before: Statements, now: Statements): readonly string[] {
  const said = [...now].flatMap(([about, sentence]) => (before.get(about) === sentence ? [] : [sentence]));
  const over = [...before].flatMap(([about, sentence]) => (now.has(about) ? [] : [`over: ${sentence}`]));
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

/** Without its figures, which move by themselves. */
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
  /** Absolute. */
  readonly home: string;
  /** The daemon of another machine; null: that of this home. */
  readonly endpoint: HttpEndpoint | null;
  readonly print: (text: string) => void;
  readonly input: Readable;
  readonly signal: AbortSignal;
}

/** Until a person leaves, the input ends, or `signal` aborts, whose reason it then rejects with. */
export async function startPlain({ home, endpoint, print, input, signal }: PlainStart): Promise<void> {
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const connect = endpoint === null ? homeConnection(home) : endpointConnection(endpoint, until);
  const link = startDaemonLink({ connect, signal: until });
  const view = createPlainView({
    link,
    isElsewhere: endpoint !== null,
    say: (line) => print(`${line}\n`),
    clock: systemClock,
    signal: until,
  });
  view.begin();
  // Not a terminal for readline: it would draw over the line that is typed.
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
