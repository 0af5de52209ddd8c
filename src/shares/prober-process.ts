// Owns the daemon's side of the prober: what is asked, batched and joined; which child carries it; and what
// happens to children whose threads hang.
import { isIP } from "node:net";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import type { LinkLook, Look, OpenFilesAnswer, Prober } from "./prober.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import {
  type AnswerOf,
  foldersSubject,
  type ProberReply,
  type ProberRequest,
  QUESTION_KINDS,
  type QuestionKind,
} from "./prober-protocol.ts";
import { createProberWaits } from "./prober-waits.ts";

interface ProberOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A look without an answer for this long marks its mount. Default 1,000 ms. */
  readonly lookDeadlineMs?: number;
}

const LOOK_DEADLINE_MS = 1_000;
/** The child answers, or says what is late, far sooner; one that says nothing for so long is stopped or lost. */
const SILENT_CHILD_MS = 8_000;
const RESTART_MS = { first: 100, atMost: 5_000 };
const ENDING_AT_MOST_MS = 1_000;

/** Something asked and not answered yet, whichever child carries it. */
interface Pending {
  readonly sequence: number;
  /** A name server may take half a minute; that says nothing about the child. */
  readonly mayTakeLong: boolean;
  carrier: Carrier | null;
  /** It hangs in a retired child, the only one that still waits for it. */
  late: boolean;
  /** Adds itself to the next message. */
  write(request: RequestDraft, nowMs: number): void;
  /** The child that it hung in has ended without an answer, or will not be waited for. */
  lost(reason: string): void;
  /** Late: is there anyone who wants the answer when it comes? */
  readonly keptWhenLate: boolean;
}

interface Question<Kind extends QuestionKind> extends Pending {
  startedAtMs: number;
  readonly waiters: Set<() => void>;
  /** undefined: not yet, or lost. */
  answer: AnswerOf[Kind] | undefined;
  readonly settle: (answer: AnswerOf[Kind] | undefined) => void;
}

interface Scan extends Pending {
  readonly settle: (answers: readonly OpenFilesAnswer[]) => void;
}

interface Carrier {
  readonly child: ProberChild;
  readonly carried: Set<Pending>;
  heardAtMs: number;
  retired: boolean;
  /** Set while it owes answers. */
  silenceTimer: Timer | null;
}

interface RequestDraft {
  readonly questions: { [Kind in QuestionKind]?: (readonly [number, string])[] };
  readonly scans: { sequence: number; paths: readonly string[]; exceptPids: readonly number[] }[];
}

const NO_LINK_ANSWER: LinkLook = { state: "unknown", text: "no answer in time" };

/** What a file holds is asked for after it was written: an answer that was begun before will not do. */
function isOfTheMoment(kind: QuestionKind): boolean {
  return kind === "fileLook" || kind === "fileBytes";
}

/** Starts the prober process; it ends when this process does, however that happens. */
export function startProber(options: ProberOptions): Prober {
  const { clock, logger, lookDeadlineMs = LOOK_DEADLINE_MS } = options;
  const waits = createProberWaits(clock);
  const questions: { readonly [Kind in QuestionKind]: Map<number, Question<Kind>> } = {
    look: new Map(),
    link: new Map(),
    folder: new Map(),
    folders: new Map(),
    realPath: new Map(),
    fileLook: new Map(),
    fileBytes: new Map(),
    addresses: new Map(),
  };
  /** By what makes two questions one: the mount's id, the path, the host. */
  const asked: { readonly [Kind in QuestionKind]: Map<string, Question<Kind>> } = {
    look: new Map(),
    link: new Map(),
    folder: new Map(),
    folders: new Map(),
    realPath: new Map(),
    fileLook: new Map(),
    fileBytes: new Map(),
    addresses: new Map(),
  };
  const scans = new Map<number, Scan>();
  const looks = new Map<string, Look>();
  const carriers = new Set<Carrier>();
  let toSend: Pending[] = [];
  let sendPlanned = false;
  let current: Carrier | null = null;
  let restarts = 0;
  let restartTimer: Timer | null = null;
  let nextSequence = 1;
  let disposed = false;

  // -- children ---------------------------------------------------------------------------------------------

  const startCurrent = (): void => {
    if (disposed || current !== null) return;
    const carrier: Carrier = {
      child: startProberChild(lookDeadlineMs, {
        onReply: (reply) => hear(carrier, reply),
        onEnd: (why) => ended(carrier, why),
      }),
      carried: new Set(),
      heardAtMs: clock.monotonicMs(),
      retired: false,
      silenceTimer: null,
    };
    carriers.add(carrier);
    current = carrier;
    planSend();
  };

  /** It stays one of our processes until it has ended; one blocked in the kernel may take for ever. */
  const end = (carrier: Carrier): Promise<void> => {
    carrier.silenceTimer?.[Symbol.dispose]();
    return carrier.child.kill().then(() => void carriers.delete(carrier));
  };

  /** The child keeps only what hangs in it; a fresh one is asked the rest again. */
  const retire = (carrier: Carrier): void => {
    if (carrier.retired) return;
    carrier.retired = true;
    if (current === carrier) current = null;
    askAgain(carrier, (pending) => !pending.late);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (carrier.carried.size === 0) void end(carrier);
    else carrier.child.send({ questions: {}, scans: [], retire: true });
    startCurrent();
  };

  const askAgain = (carrier: Carrier, which: (pending: Pending) => boolean): void => {
    for (const pending of [...carrier.carried]) {
      if (!which(pending)) continue;
      carrier.carried.delete(pending);
      pending.carrier = null;
      toSend.push(pending);
    }
    planSend();
  };

  const ended = (carrier: Carrier, why: string): void => {
    carriers.delete(carrier);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (disposed) return;
    for (const pending of [...carrier.carried]) if (pending.late) pending.lost(why);
    if (carrier.retired) return;
    carrier.retired = true;
    current = null;
    askAgain(carrier, () => true);
    restartLater(why);
  };

  const restartLater = (why: string): void => {
    const delayMs = Math.min(RESTART_MS.first * 2 ** restarts, RESTART_MS.atMost);
    restarts++;
    logger.warn("prober ended", { why, restartInMs: delayMs });
    restartTimer = clock.setTimer(delayMs, startCurrent);
  };

  const watchSilence = (carrier: Carrier): void => {
    carrier.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      carrier.silenceTimer = null;
      const owes = [...carrier.carried].some(({ mayTakeLong }) => !mayTakeLong);
      if (owes && clock.monotonicMs() - carrier.heardAtMs >= SILENT_CHILD_MS) {
        logger.warn("prober is silent", { pid: carrier.child.pid });
        void end(carrier);
        carrier.retired = true;
        current = null;
        askAgain(carrier, () => true);
        restartLater("it said nothing for too long");
      } else if (carrier.carried.size > 0) {
        watchSilence(carrier);
      }
    });
  };

  // -- messages ---------------------------------------------------------------------------------------------

  const planSend = (): void => {
    if (sendPlanned || disposed || toSend.length === 0) return;
    sendPlanned = true;
    setImmediate(sendAll);
  };

  const sendAll = (): void => {
    sendPlanned = false;
    waits.closeTurn();
    if (current === null || disposed) return;
    const nowMs = clock.monotonicMs();
    const draft: RequestDraft = { questions: {}, scans: [] };
    if (current.carried.size === 0) current.heardAtMs = nowMs;
    for (const pending of toSend) {
      pending.carrier = current;
      current.carried.add(pending);
      pending.write(draft, nowMs);
    }
    toSend = [];
    const request: ProberRequest = { ...draft, retire: false };
    current.child.send(request);
    if (current.silenceTimer === null && current.carried.size > 0) watchSilence(current);
  };

  const hear = (carrier: Carrier, reply: ProberReply): void => {
    if (disposed) return;
    carrier.heardAtMs = clock.monotonicMs();
    restarts = 0;
    for (const kind of QUESTION_KINDS) hearAnswers(carrier, kind, reply);
    for (const [sequence, answers] of reply.scans) {
      const scan = scans.get(sequence);
      if (scan?.carrier === carrier) scan.settle(answers);
    }
    if (reply.late.length > 0) hearLate(carrier, reply.late);
    if (carrier.retired && carrier.carried.size === 0) void end(carrier);
  };

  const hearAnswers = <Kind extends QuestionKind>(carrier: Carrier, kind: Kind, reply: ProberReply): void => {
    for (const [sequence, answer] of reply.answers[kind] ?? []) {
      const question = questions[kind].get(sequence);
      // One that was asked again elsewhere is answered there.
      if (question?.carrier === carrier) question.settle(answer);
    }
  };

  const hearLate = (carrier: Carrier, late: readonly number[]): void => {
    const lateOnes = new Set(late);
    for (const pending of [...carrier.carried]) {
      if (!lateOnes.has(pending.sequence)) continue;
      if (pending.keptWhenLate) pending.late = true;
      else pending.lost("the prober did not answer in time");
    }
    logger.warn("prober has late looks", { pid: carrier.child.pid, late: late.length });
    retire(carrier);
  };

  const drop = (pending: Pending): void => {
    const { carrier } = pending;
    pending.carrier = null;
    if (carrier === null) {
      toSend = toSend.filter((other) => other !== pending);
      return;
    }
    carrier.carried.delete(pending);
    if (carrier.retired && carrier.carried.size === 0) void end(carrier);
  };

  // -- questions --------------------------------------------------------------------------------------------

  /** Joins the question if it is already asked. */
  const question = <Kind extends QuestionKind>(
    kind: Kind,
    key: string,
    subject: string,
    onAnswer: ((question: Question<Kind>) => void) | null,
  ): Question<Kind> => {
    const known = asked[kind].get(key);
    if (known !== undefined && (known.late || known.carrier === null || !isOfTheMoment(kind))) return known;
    const sequence = nextSequence++;
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
        // Not through drop(): hear() kills a retired child once, after the last answer of a message.
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
    toSend.push(created);
    planSend();
    return created;
  };

  const answerOf = <Kind extends QuestionKind, Answer>(
    kind: Kind,
    subject: string,
    waitMs: number,
    read: (answer: AnswerOf[Kind] | undefined) => Answer,
  ): Promise<Answer> => {
    if (disposed) return Promise.resolve(read(undefined));
    const one = question(kind, subject, subject, null);
    return one.late
      ? Promise.resolve(read(undefined))
      : waits.wait(one.waiters, waitMs, () => read(one.answer));
  };

  const readLink = (path: string, waitMs: number): Promise<LinkLook> =>
    answerOf("link", path, waitMs, (link) => link ?? NO_LINK_ANSWER);

  const noteLook = (mountId: string, { answer, startedAtMs }: Question<"look">): void => {
    // A child that was lost with the look leaves nothing known.
    looks.set(
      mountId,
      answer === undefined
        ? { state: "never" }
        : { state: "answered", startedAtMs, finishedAtMs: clock.monotonicMs(), errno: answer },
    );
  };

  const lastLook = (mountId: string): Look => {
    const pending = asked.look.get(mountId);
    if (pending !== undefined) return { state: "pending", startedAtMs: pending.startedAtMs };
    return looks.get(mountId) ?? { state: "never" };
  };

  startCurrent();
  return {
    look(mountId, path, waitMs) {
      if (disposed) return Promise.resolve(lastLook(mountId));
      const look = question("look", mountId, path, (answered) => noteLook(mountId, answered));
      if (look.late) return Promise.resolve(lastLook(mountId));
      return waits.wait(look.waiters, waitMs, () => lastLook(mountId));
    },
    lastLook,
    forget(mountId) {
      looks.delete(mountId);
      const look = asked.look.get(mountId);
      if (look === undefined) return;
      asked.look.delete(mountId);
      questions.look.delete(look.sequence);
      drop(look);
      for (const waiter of look.waiters) waiter();
    },
    readLink,
    readLinks: (paths, waitMs) => Promise.all(paths.map((path) => readLink(path, waitMs))),
    folderExists: (path, waitMs) => answerOf("folder", path, waitMs, (exists) => exists ?? null),
    realPath: (path, waitMs) => answerOf("realPath", path, waitMs, (real) => real ?? null),
    fileLook: (path, waitMs) => answerOf("fileLook", path, waitMs, (found) => found ?? null),
    fileBytes: (path, waitMs) => answerOf("fileBytes", path, waitMs, (found) => found ?? null),
    folders: (root, subpath, waitMs) =>
      answerOf("folders", foldersSubject(root, subpath), waitMs, (found) => found ?? null),
    async openFiles(paths, exceptPids, waitMs) {
      let answers: readonly OpenFilesAnswer[] | null = null;
      if (!disposed && paths.length > 0) {
        const sequence = nextSequence++;
        const waiters = new Set<() => void>();
        const settle = (found: readonly OpenFilesAnswer[]): void => {
          scans.delete(sequence);
          drop(scan);
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
            const ours = [...carriers].map(({ child }) => child.pid);
            request.scans.push({ sequence, paths, exceptPids: [...exceptPids, ...ours] });
          },
          settle,
          lost: (text) => settle(paths.map(() => ({ ok: false, text }))),
        };
        scans.set(sequence, scan);
        toSend.push(scan);
        planSend();
        await waits.wait(waiters, waitMs, () => {});
        if (answers === null) {
          scans.delete(sequence);
          drop(scan);
        }
      }
      const late: OpenFilesAnswer = { ok: false, text: "the prober did not answer in time" };
      return paths.map((_, index) => answers?.[index] ?? late);
    },
    async resolve(host, waitMs) {
      if (isIP(host) !== 0) return [host];
      return answerOf("addresses", host, waitMs, (found) => found ?? []);
    },
    get pids() {
      return [...carriers].map(({ child }) => child.pid).filter((pid) => pid > 0);
    },
    async [Symbol.asyncDispose]() {
      if (disposed) return;
      disposed = true;
      waits.endAll();
      restartTimer?.[Symbol.dispose]();
      const ending = [...carriers].map(end);
      current = null;
      const patience = new AbortController();
      const tooLong = clock.sleep(ENDING_AT_MOST_MS, patience.signal).catch(() => {});
      await Promise.race([Promise.all(ending), tooLong]);
      patience.abort();
    },
  };
}
