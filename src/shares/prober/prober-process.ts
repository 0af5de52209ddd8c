// The daemon's side of the prober: questions are batched and joined, and late ones are kept separate.
import { isIP } from "node:net";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { FolderListing, LinkLook, Look, OpenFilesAnswer, Prober } from "./prober.ts";
import { type Carrier, type Pending, ProberCarriers } from "./prober-carriers.ts";
import {
  type AnswerOf,
  foldersSubject,
  type ProberReply,
  pathsSubject,
  QUESTION_KINDS,
  type QuestionKind,
} from "./prober-protocol.ts";
import { createProberWaits, type ProberWaits } from "./prober-waits.ts";

interface ProberOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A look without an answer for this long marks its mount. Default 1,000 ms. */
  readonly lookDeadlineMs?: number;
}

const LOOK_DEADLINE_MS = 1_000;

interface Question<Kind extends QuestionKind> extends Pending {
  startedAtMs: number;
  readonly waiters: Set<() => void>;
  /** undefined: none yet, or the question was lost. */
  answer: AnswerOf[Kind] | undefined;
  readonly settle: (answer: AnswerOf[Kind] | undefined) => void;
}

interface Scan extends Pending {
  readonly settle: (answers: readonly OpenFilesAnswer[]) => void;
}

/** How many questions about places below one path may hang: each may hold a process until its mount answers. */
const MOST_HANGING = 2;

const NO_LINK_ANSWER: LinkLook = { state: "unknown", text: "no answer in time" };

/**
 * The content of a file, or the target of a link, is asked for after it was written, so an answer that began before
 * does not count.
 */
function isOfTheMoment(kind: QuestionKind): boolean {
  return kind === "fileLook" || kind === "fileBytes" || kind === "places";
}

/** Starts the process at the first question. It ends with this process, however that ends, and when it is idle. */
export function startProber(options: ProberOptions): Prober {
  const { clock, logger, lookDeadlineMs = LOOK_DEADLINE_MS } = options;
  const waits = createProberWaits(clock);
  const looks = new Map<string, Look>();
  const children: ProberCarriers = new ProberCarriers({
    clock,
    logger,
    lookDeadlineMs,
    waits,
    takeAnswers(carrier, reply) {
      for (const kind of QUESTION_KINDS) asking.takeAnswers(carrier, kind, reply);
      scanning.takeAnswers(carrier, reply);
    },
  });
  let nextSequence = 1;
  const tools: AskTools = { clock, waits, children, newSequence: () => nextSequence++ };
  const asking = createProberQuestions(tools);
  const scanning = createProberScans(tools);

  const readLink = (path: string, waitMs: number): Promise<LinkLook> =>
    asking.answerOf("link", path, waitMs, (link) => link ?? NO_LINK_ANSWER);
  /** The answer, or null while it is unknown. */
  const answerOrNull =
    <Kind extends "folder" | "realPath" | "fileLook" | "fileBytes">(kind: Kind) =>
    (path: string, waitMs: number): Promise<AnswerOf[Kind] | null> =>
      asking.answerOf(kind, path, waitMs, (answer) => answer ?? null);
  const folders =
    (wants: "names" | "look") =>
    (root: string, subpath: string, waitMs: number): Promise<FolderListing | null> =>
      asking.answerOf("folders", foldersSubject({ root, subpath, wants }), waitMs, (found) => found ?? null);

  const noteLook = (mountId: string, { answer, startedAtMs }: Question<"look">): void => {
    // If the child was lost with the look, nothing is known.
    looks.set(
      mountId,
      answer === undefined
        ? { state: "never" }
        : { state: "answered", startedAtMs, finishedAtMs: clock.monotonicMs(), errno: answer },
    );
  };

  const lastLook = (mountId: string): Look => {
    const pending = asking.asked.look.get(mountId);
    if (pending !== undefined) return { state: "pending", startedAtMs: pending.startedAtMs };
    return looks.get(mountId) ?? { state: "never" };
  };

  /**
   * Questions about places that hang and that nobody waits for any more: by their number, the path that each began
   * with.
   */
  const hanging = new Map<number, string>();
  const places: Prober["places"] = async (paths, waitMs) => {
    const [first = ""] = paths;
    const alike = [...hanging.values()].filter((path) => path === first);
    if (children.disposed || alike.length >= MOST_HANGING) return null;
    const subject = pathsSubject(paths);
    const one = asking.question("places", subject, subject, ({ sequence }) => hanging.delete(sequence));
    if (one.late) return null;
    await waits.wait(one.waiters, waitMs, () => {});
    const isOver = one.waiters.size > 0 || !asking.questions.places.has(one.sequence);
    if (!isOver && one.late) hanging.set(one.sequence, first);
    else if (!isOver) asking.drop("places", subject, one);
    return one.answer ?? null;
  };

  return {
    look(mountId, path, waitMs) {
      if (children.disposed) return Promise.resolve(lastLook(mountId));
      const look = asking.question("look", mountId, path, (answered) => noteLook(mountId, answered));
      if (look.late) return Promise.resolve(lastLook(mountId));
      return waits.wait(look.waiters, waitMs, () => lastLook(mountId));
    },
    lastLook,
    forget(mountId) {
      looks.delete(mountId);
      const look = asking.asked.look.get(mountId);
      if (look !== undefined) asking.drop("look", mountId, look);
    },
    readLink,
    readLinks: (paths, waitMs) => Promise.all(paths.map((path) => readLink(path, waitMs))),
    folderExists: answerOrNull("folder"),
    realPath: answerOrNull("realPath"),
    fileLook: answerOrNull("fileLook"),
    fileBytes: answerOrNull("fileBytes"),
    exposures: (paths, waitMs) =>
      asking.answerOf("exposures", pathsSubject(paths), waitMs, (found) => found ?? null),
    places,
    folders: folders("names"),
    folderLook: folders("look"),
    openFiles: scanning.openFiles,
    async resolve(host, waitMs) {
      if (isIP(host) !== 0) return [host];
      return asking.answerOf("addresses", host, waitMs, (found) => found ?? []);
    },
    get pids() {
      return children.pids;
    },
    async [Symbol.asyncDispose]() {
      if (children.disposed) return;
      const ending = children[Symbol.asyncDispose]();
      waits.endAll();
      await ending;
    },
  };
}

interface AskTools {
  readonly clock: Clock;
  readonly waits: ProberWaits;
  readonly children: ProberCarriers;
  readonly newSequence: () => number;
}

type QuestionMaps<Key> = { readonly [Kind in QuestionKind]: Map<Key, Question<Kind>> };

function questionMaps<Key>(): QuestionMaps<Key> {
  return {
    look: new Map(),
    link: new Map(),
    folder: new Map(),
    folders: new Map(),
    realPath: new Map(),
    places: new Map(),
    fileLook: new Map(),
    fileBytes: new Map(),
    exposures: new Map(),
    addresses: new Map(),
  };
}

/** Questions that several callers may ask at once: one message for all of them. */
function createProberQuestions({ clock, waits, newSequence, children }: AskTools) {
  /** By their sequence numbers. */
  const questions = questionMaps<number>();
  /** By what makes two questions equal: the mount's id, the path, the host. */
  const asked = questionMaps<string>();

  const takeAnswers = <Kind extends QuestionKind>(carrier: Carrier, kind: Kind, reply: ProberReply): void => {
    for (const [sequence, answer] of reply.answers[kind] ?? []) {
      const question = questions[kind].get(sequence);
      // A question that was asked again in another child is answered there.
      if (question?.carrier === carrier) question.settle(answer);
    }
  };

  /** Joins the question if it is already asked. */
  const question = <Kind extends QuestionKind>(
    kind: Kind,
    key: string,
    subject: string,
    onAnswer: ((question: Question<Kind>) => void) | null,
  ): Question<Kind> => {
    const known = asked[kind].get(key);
    if (known !== undefined && (known.late || known.carrier === null || !isOfTheMoment(kind))) return known;
    const sequence = newSequence();
    const created: Question<Kind> = {
      sequence,
      mayTakeLong: kind === "addresses",
      keptWhenLate: true,
      carrier: null,
      late: false,
      startedAtMs: clock.monotonicMs(),
      waiters: new Set(),
      answer: undefined,
      write(request, nowMs) {
        created.startedAtMs = nowMs;
        const ofKind = request.questions[kind];
        if (ofKind === undefined) request.questions[kind] = [[sequence, subject]];
        else ofKind.push([sequence, subject]);
      },
      settle(answer) {
        questions[kind].delete(sequence);
        if (asked[kind].get(key) === created) asked[kind].delete(key);
        // Not through drop(): ProberCarriers ends a retired child once, after the last answer of a message.
        created.carrier?.carried.delete(created);
        created.carrier = null;
        created.answer = answer;
        onAnswer?.(created);
        for (const waiter of created.waiters) waiter();
      },
      lost: () => created.settle(undefined),
    };
    questions[kind].set(sequence, created);
    asked[kind].set(key, created);
    children.ask(created);
    return created;
  };

  const answerOf = <Kind extends QuestionKind, Answer>(
    kind: Kind,
    subject: string,
    waitMs: number,
    read: (answer: AnswerOf[Kind] | undefined) => Answer,
  ): Promise<Answer> => {
    if (children.disposed) return Promise.resolve(read(undefined));
    const one = question(kind, subject, subject, null);
    return one.late
      ? Promise.resolve(read(undefined))
      : waits.wait(one.waiters, waitMs, () => read(one.answer));
  };

  /** Nobody wants its answer any more. */
  const drop = <Kind extends QuestionKind>(kind: Kind, key: string, dropped: Question<Kind>): void => {
    questions[kind].delete(dropped.sequence);
    if (asked[kind].get(key) === dropped) asked[kind].delete(key);
    children.drop(dropped);
    for (const waiter of dropped.waiters) waiter();
  };

  return { takeAnswers, answerOf, asked, question, questions, drop };
}

/** Questions for the processes that hold files open: one answer for each path, and nobody waits for a late one. */
function createProberScans({ waits, newSequence, children }: AskTools) {
  const scans = new Map<number, Scan>();
  const openFiles = async (
    paths: readonly string[],
    exceptPids: readonly number[],
    waitMs: number,
    exceptGroups: readonly number[] = [],
  ): Promise<readonly OpenFilesAnswer[]> => {
    let answers: readonly OpenFilesAnswer[] | null = null;
    if (!children.disposed && paths.length > 0) {
      const sequence = newSequence();
      const waiters = new Set<() => void>();
      const settle = (found: readonly OpenFilesAnswer[]): void => {
        scans.delete(sequence);
        children.drop(scan);
        answers = found;
        for (const waiter of waiters) waiter();
      };
      const scan: Scan = {
        sequence,
        mayTakeLong: false,
        keptWhenLate: false,
        carrier: null,
        late: false,
        write: (request) => {
          const pids = [...exceptPids, ...children.pids];
          request.scans.push({ sequence, paths, exceptPids: pids, exceptGroups });
        },
        settle,
        lost: (text) => settle(paths.map(() => ({ ok: false, text }))),
      };
      scans.set(sequence, scan);
      children.ask(scan);
      await waits.wait(waiters, waitMs, () => {});
      if (answers === null) {
        scans.delete(sequence);
        children.drop(scan);
      }
    }
    const late: OpenFilesAnswer = { ok: false, text: "the prober did not answer in time" };
    return paths.map((_, index) => answers?.[index] ?? late);
  };

  return {
    openFiles,
    takeAnswers(carrier: Carrier, reply: ProberReply): void {
      for (const [sequence, answers] of reply.scans) {
        const scan = scans.get(sequence);
        if (scan?.carrier === carrier) scan.settle(answers);
      }
    },
  };
}
